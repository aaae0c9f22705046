//! Rights that change while somebody listens.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::permissions::{Office, may};
use super::readers;
use crate::sse;
use crate::world::World;

#[tokio::test]
async fn streams_follow_the_rules_of_now() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let policy = readers(&office, &["id", "title"]).await;
    let mut stream = sse::open(writer, "/events", None).await;
    let change = async |value: &str| {
        admin.patch("/items/articles/1", json!({"title": value, "notes": value})).await.expect(200);
    };
    change("a").await;
    assert_eq!(stream.next().await.data["payload"], json!({"title": "a"}));
    // One field more, at once and on the same stream.
    let permission =
        admin.get(&format!("/permissions?filter[policy][_eq]={policy}")).await.expect(200).data();
    let path = format!("/permissions/{}", permission[0]["id"]);
    admin.patch(&path, json!({"fields": ["id", "title", "notes"]})).await.expect(200);
    change("b").await;
    assert_eq!(stream.next().await.data["payload"], json!({"title": "b", "notes": "b"}));
    // Rules that look at who asks: he hears of his own only, on a stream that others shared before.
    admin.patch(&path, json!({"permissions": {"owner": {"_eq": "$CURRENT_USER"}}})).await.expect(200);
    change("c").await;
    admin.patch("/items/articles/1", json!({"owner": office.user, "title": "d"})).await.expect(200);
    assert_eq!(stream.next().await.data["payload"], json!({"title": "d"}));
    // A field that is gone is not told of.
    admin.delete("/fields/articles/notes", None).await.expect(204);
    admin.patch("/items/articles/1", json!({"title": "e"})).await.expect(200);
    assert_eq!(stream.next().await.data["payload"], json!({"title": "e"}));
    // Nothing is left: the stream ends when there would be something to say, and says nothing of it.
    admin.delete(&path, None).await.expect(204);
    admin.patch("/items/articles/1", json!({"title": "f"})).await.expect(200);
    assert!(stream.end().await.contains("reconnect"));
    writer.get("/events").await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn streams_end_with_what_they_were_opened_by() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    readers(&office, &["id"]).await;
    let login = async || {
        let who = json!({"email": "writer@example.com", "password": "writer-pw"});
        admin.with_token(None).post("/auth/login", who).await.expect(200).data()
    };
    let session = login().await;
    let token = session["access_token"].as_str().unwrap();
    let mut by_session = sse::open(&admin.with_token(Some(token)), "/events", None).await;
    let mut by_token = sse::open(writer, "/events", None).await;
    let begun = Instant::now();
    let out = json!({"refresh_token": session["refresh_token"], "mode": "json"});
    admin.with_token(None).post("/auth/logout", out).await.expect(204);
    assert!(by_session.end().await.contains("credential"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Another policy: he comes again and hears more.
    let all = json!([may("read", "authors", &["*"], Value::Null)]);
    office.policy_for(json!({"user": office.user}), json!({}), all).await;
    assert!(by_token.end().await.contains("access has changed, reconnect"));
    let mut by_token = sse::open(writer, "/events", None).await;
    admin.patch("/items/authors/1", json!({"name": "Anne"})).await.expect(200);
    assert_eq!(by_token.next().await.data["payload"], json!({"name": "Anne"}));
    let begun = Instant::now();
    admin.patch(&format!("/users/{}", office.user), json!({"status": "suspended"})).await.expect(200);
    assert!(by_token.end().await.contains("credential"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn people_hear_of_people_as_they_may_read_them() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let own = json!({"id": {"_eq": "$CURRENT_USER"}});
    office.policy(json!([may("read", "directus_users", &["id", "first_name"], own)])).await;
    let other = json!({"email": "other@example.com", "first_name": "Other", "role": office.role, "token": "other-token"});
    admin.post("/users", other).await.expect(200);
    let mut mine = sse::open(writer, "/events?events=users.*", None).await;
    let mut others = sse::open(&admin.with_token(Some("other-token")), "/events", None).await;
    // Logins are for administrators.
    let who = json!({"email": "writer@example.com", "password": "writer-pw"});
    admin.with_token(None).post("/auth/login", who).await.expect(200);
    let path = format!("/users/{}", office.user);
    admin.patch(&path, json!({"last_name": "Hidden"})).await.expect(200);
    admin.patch(&path, json!({"first_name": "Shown", "last_name": "Hidden, too"})).await.expect(200);
    let event = mine.next().await;
    assert_eq!((event.name.as_str(), &event.data["collection"]), ("users.update", &json!("directus_users")));
    assert_eq!(event.data["payload"], json!({"first_name": "Shown"}));
    admin.patch(&path, json!({"token": "next-token"})).await.expect(200);
    assert!(mine.end().await.contains("credential"));
    let me = sqlx::query_scalar::<_, String>(
        "SELECT id::text FROM directus_users WHERE email = 'other@example.com'",
    );
    let me: String = me.fetch_one(&office.world.pool().await).await.unwrap();
    admin.patch(&format!("/users/{me}"), json!({"first_name": "Self"})).await.expect(200);
    assert_eq!(others.next().await.data["payload"], json!({"first_name": "Self"}));
}
