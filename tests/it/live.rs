//! Live events for everybody: who may read an item hears of it, and of what he may read of it.

mod grpc;
mod rights;

use serde_json::{Value, json};

use super::permissions::{Office, may};
use crate::api::Api;
use crate::sse::{self, Event, Stream};
use crate::world::World;

/// Who is allowed nothing but this policy may read these fields of published articles.
async fn readers(office: &Office, fields: &[&str]) -> String {
    let published = json!({"status": {"_eq": "published"}});
    office.policy(json!([may("read", "articles", fields, published)])).await
}

/// The public sees these fields of every article.
async fn open_to_all(admin: &Api, fields: &[&str]) {
    let mut permission = may("read", "articles", fields, Value::Null);
    permission["policy"] = json!("abf8a154-5b1c-4a46-ac9c-7300570f4f17");
    admin.post("/permissions?fields=id", permission).await.expect(200);
}

/// What an event says of its item.
fn told(event: &Event) -> Value {
    let Event { name, data, .. } = event;
    json!([name, data["key"], data["payload"], data["previous"], data["fields"]])
}

async fn hears(stream: &mut Stream, expected: Value) -> Event {
    let event = stream.next().await;
    assert_eq!(told(&event), expected);
    event
}

#[tokio::test]
async fn each_hears_of_what_he_may_read() {
    let office = Office::open(World::start(shape!()).await).await;
    let admin = &office.world.api;
    readers(&office, &["id", "title", "status"]).await;
    open_to_all(admin, &["id", "title"]).await;
    let public = admin.with_token(None);
    let mut writer = sse::open(&office.writer, "/events/articles", None).await;
    let mut anyone = sse::open(&public, "/events?collections=articles,&events=items.*", None).await;
    let mut whole = sse::open(admin, "/events/articles", None).await;
    admin.post("/items/articles", json!({"title": "a", "status": "draft", "notes": "n"})).await.expect(200);
    for body in [
        json!({"notes": "hidden from both"}),
        json!({"title": "b", "notes": "m", "status": "published"}),
        json!({"title": "c"}),
        json!({"status": "draft"}),
        json!({"title": "d"}),
    ] {
        admin.patch("/items/articles/4", body).await.expect(200);
    }
    admin.delete("/items/articles/4", None).await.expect(204);
    admin.delete("/items/articles/1", None).await.expect(204);
    // What it was before is nothing for who did not see it then.
    let update = |payload: Value, previous: Value, fields: Value| {
        json!(["items.update", "4", payload, previous, fields])
    };
    let seen = hears(
        &mut writer,
        update(json!({"title": "b", "status": "published"}), Value::Null, json!(["title", "status"])),
    )
    .await;
    for hidden in
        ["position", "user", "role", "request_id", "batch_id", "batch_index", "depth", "traceparent"]
    {
        assert_eq!(seen.data[hidden], Value::Null, "{hidden}");
    }
    assert!(seen.id.len() > 32 && seen.data["id"].is_string() && seen.data["version"] == 3, "{seen:?}");
    hears(&mut writer, update(json!({"title": "c"}), json!({"title": "b"}), json!(["title"]))).await;
    let gone = json!({"id": 1, "title": "one", "status": "published"});
    hears(&mut writer, json!(["items.delete", "1", null, gone, null])).await;

    hears(&mut anyone, json!(["items.create", "4", {"id": 4, "title": "a"}, null, null])).await;
    for (new, old) in [("b", "a"), ("c", "b"), ("d", "c")] {
        hears(&mut anyone, update(json!({"title": new}), json!({"title": old}), json!(["title"]))).await;
    }
    hears(&mut anyone, json!(["items.delete", "4", null, {"id": 4, "title": "d"}, null])).await;
    hears(&mut anyone, json!(["items.delete", "1", null, {"id": 1, "title": "one"}, null])).await;
    for version in 1..=7 {
        let event = whole.next().await;
        assert_eq!((&event.data["version"], event.id), (&json!(version), event.data["position"].to_string()));
        assert!(event.data["user"].is_string());
    }
}

#[tokio::test]
async fn streams_are_refused_and_resumed() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let public = admin.with_token(None);
    for api in [writer, &public] {
        api.get("/events").await.refused(403, "FORBIDDEN");
    }
    readers(&office, &["id", "title"]).await;
    let there = writer.get("/events/authors").await.refused(403, "FORBIDDEN").text;
    let missing = writer.get("/events/nothing").await.refused(403, "FORBIDDEN").text;
    assert_eq!(there.replace("authors", "nothing"), missing);
    writer.get("/events?collections=articles,authors").await.refused(403, "FORBIDDEN");
    admin.get("/events/nothing").await.refused(403, "FORBIDDEN");
    // Of the definitions is told by their own endpoints, whatever is allowed.
    writer.get("/events/directus_fields").await.refused(403, "FORBIDDEN");
    writer.get("/events/1").await.refused(403, "FORBIDDEN");

    let mut stream = sse::open(writer, "/events", None).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let status = ["draft", "published"][n % 2];
        admin.post("/items/articles", json!({"title": n, "status": status})).await.expect(200);
        admin.patch("/items/authors/1", json!({"salary": n})).await.expect(200);
    }
    for n in [1, 3] {
        let event = stream.next().await;
        assert_eq!(event.data["payload"], json!({"id": n + 4, "title": n.to_string()}));
        ids.push(event.id);
    }
    drop(stream);
    admin.patch("/items/articles/3", json!({"title": "later"})).await.expect(200);
    // No gap and no duplicate, by the header that browsers send and by the parameter.
    let mut stream = sse::open(writer, "/events", Some(&ids[0])).await;
    assert_eq!(stream.next().await.data["payload"]["title"], "3");
    assert_eq!(stream.next().await.data["payload"]["title"], "later");
    let mut stream = sse::open(writer, &format!("/events/articles?last_event_id={}", ids[1]), None).await;
    assert_eq!(stream.next().await.data["payload"]["title"], "later");
    admin.patch("/items/articles/3", json!({"title": "live"})).await.expect(200);
    assert_eq!(stream.next().await.data["payload"]["title"], "live");

    // A place is whose it is, and as it is.
    open_to_all(admin, &["id"]).await;
    let bent = format!("{}{}", if ids[0].starts_with('A') { "B" } else { "A" }, &ids[0][1..]);
    for (api, id) in
        [(writer, bent.as_str()), (writer, "1"), (&public, &ids[0]), (admin, &ids[0]), (writer, "x y")]
    {
        let path = format!("/events/articles?last_event_id={}", id.replace(' ', "%20"));
        let begun = std::time::Instant::now();
        while api.get("/items/articles").await.status == 403 {
            assert!(begun.elapsed().as_secs() < 10);
        }
        api.get(&path).await.refused(400, "INVALID_QUERY");
    }
}

#[tokio::test]
async fn who_has_missed_too_much_is_told() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    readers(&office, &["id", "title"]).await;
    let mut stream = sse::open(writer, "/events", None).await;
    admin.patch("/items/articles/1", json!({"title": "x"})).await.expect(200);
    let place = stream.next().await.id;
    for n in 0..3 {
        admin.patch("/items/articles/1", json!({"title": n})).await.expect(200);
    }
    let pool = office.world.pool().await;
    let last = "DELETE FROM eventus.events WHERE position < (SELECT max(position) FROM eventus.events)";
    sqlx::query(last).execute(&pool).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let resets = async |id: &str, api: &Api| {
        let mut stream = sse::open(api, "/events/articles", Some(id)).await;
        let event = stream.next().await;
        assert_eq!(event.name, "reset");
        // And then it goes on from here.
        admin
            .patch("/items/articles/1", json!({"title": &id[id.len().saturating_sub(20)..]}))
            .await
            .expect(200);
        assert_eq!(stream.next().await.name, "items.update");
        event.data["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(resets(&place, writer).await, "trimmed");
    assert_eq!(resets("1", admin).await, "trimmed");
    assert_eq!(resets("999999", admin).await, "replaced");
    // From the beginning is from where the log begins.
    assert_eq!(sse::open(admin, "/events/articles", Some("0")).await.next().await.name, "items.update");
    let fresh = stream.next().await.id;
    sqlx::query("UPDATE eventus.relay SET epoch = gen_random_uuid()").execute(&pool).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(resets(&fresh, writer).await, "replaced");
}
