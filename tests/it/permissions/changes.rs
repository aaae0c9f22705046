//! Changes of what somebody may do: at once for who asks the same process, within a second everywhere; addresses; the public;
//! what the app is given; fields that are made again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Office, may};
use crate::api::Api;
use crate::world::World;

/// Waits until the status is this one; how long that took.
async fn until(api: &Api, path: &str, status: u16) -> Duration {
    let begun = Instant::now();
    while api.get(path).await.status != status {
        assert!(begun.elapsed() < Duration::from_secs(10), "{path} is not answered with {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_change_of_rules_is_true_everywhere_within_a_second() {
    let mut world = World::start(shape!()).await;
    let other = world.replica();
    let office = Office::open(world).await;
    let other = other.with_token(Some("writer-token"));
    until(&other, "/items/articles", 403).await;
    let policy = office.policy(json!([may("read", "articles", &["id", "title"], Value::Null)])).await;
    assert_eq!(office.reads("/items/articles?fields=title&limit=1").await[0]["title"], "one");
    let taken = until(&other, "/items/articles", 200).await;
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    // A rule more, a rule less, a field less.
    let admin = &office.world.api;
    let permission =
        admin.get(&format!("/permissions?filter[policy][_eq]={policy}")).await.expect(200).data();
    let path = format!("/permissions/{}", permission[0]["id"]);
    admin.patch(&path, json!({"fields": ["id"]})).await.expect(200);
    office.writer.get("/items/articles?fields=title").await.refused(403, "FORBIDDEN");
    let taken = until(&other, "/items/articles?fields=title", 403).await;
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    admin.delete(&path, None).await.expect(204);
    office.writer.get("/items/articles").await.refused(403, "FORBIDDEN");
    let taken = until(&other, "/items/articles", 403).await;
    assert!(taken < Duration::from_secs(1), "{taken:?}");
}

#[tokio::test]
async fn a_field_that_is_made_again_is_not_shown_by_the_rules_of_the_old_one() {
    let office = Office::open(World::start(shape!()).await).await;
    office.policy(json!([may("read", "articles", &["id", "notes"], Value::Null)])).await;
    assert_eq!(office.reads("/items/articles/1").await, json!({"id": 1, "notes": "n1"}));
    let admin = &office.world.api;
    admin.delete("/fields/articles/notes", None).await.expect(204);
    admin.post("/fields/articles", json!({"field": "notes", "type": "string"})).await.expect(200);
    assert_eq!(office.reads("/items/articles/1").await, json!({"id": 1}));
    office.writer.get("/items/articles?fields=notes").await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn the_public_has_its_policy_and_addresses_bind() {
    let office = Office::open(World::start(shape!()).await).await;
    let public = office.world.api.with_token(None);
    let admin = &office.world.api;
    let policy = "abf8a154-5b1c-4a46-ac9c-7300570f4f17";
    let mut permission = may("read", "articles", &["id", "title"], json!({"status": {"_eq": "published"}}));
    permission["policy"] = json!(policy);
    admin.post("/permissions?fields=id", permission).await.expect(200);
    until(&public, "/items/articles", 200).await;
    assert_eq!(
        public.get("/items/articles?sort=id").await.expect(200).data(),
        json!([{"id": 1, "title": "one"}, {"id": 3, "title": "three"}])
    );
    // Who has a role is not the public; a bad token is nobody.
    office.writer.get("/items/articles").await.refused(403, "FORBIDDEN");
    public.with_token(Some("no-such-token")).get("/items/articles").await.refused(401, "INVALID_CREDENTIALS");
    // A policy may hold at some addresses only; one of an administrator, too.
    let here = json!({"ip_access": ["127.0.0.1", "::1"], "app_access": true});
    let there = json!({"ip_access": ["10.1.0.0/16"], "admin_access": true});
    let holder = || json!({"user": office.user});
    let read = json!([may("read", "authors", &["name"], Value::Null)]);
    office.policy_for(holder(), there, json!([])).await;
    office.policy_for(holder(), here, read).await;
    until(&office.writer, "/items/authors", 200).await;
    office.writer.get("/items/articles").await.refused(403, "FORBIDDEN");
    let globals = office.reads("/policies/me/globals").await;
    assert_eq!(globals, json!({"app_access": true, "admin_access": false, "enforce_tfa": false}));
}

#[tokio::test]
async fn the_app_is_given_the_least_that_it_needs() {
    let office = Office::open(World::start(shape!()).await).await;
    let app = json!({"app_access": true});
    let read = json!([may("read", "articles", &["id", "title"], Value::Null)]);
    office.policy_for(json!({"role": office.role}), app, read).await;
    until(&office.writer, "/collections", 200).await;
    let shown = office.reads("/collections").await;
    let names: Vec<&str> =
        shown.as_array().unwrap().iter().map(|one| one["collection"].as_str().unwrap()).collect();
    assert!(names.contains(&"articles") && !names.contains(&"authors"), "{names:?}");
    office.writer.get("/collections/authors").await.refused(403, "FORBIDDEN");
    let fields = office.reads("/fields/articles").await;
    let names: Vec<&str> =
        fields.as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "title"]);
    office.writer.get("/fields/articles/notes").await.refused(403, "FORBIDDEN");
    let me = office.reads("/users/me").await;
    assert_eq!((&me["email"], me.get("token")), (&json!("writer@example.com"), None));
    let preset = json!({"collection": "articles", "user": office.user, "layout": "tabular"});
    let preset = office.writer.post("/presets", preset).await.expect(200).data();
    assert_eq!(preset["user"], json!(office.user));
    office
        .writer
        .post("/presets", json!({"collection": "articles", "user": null}))
        .await
        .refused(400, "FAILED_VALIDATION");
    let mine = office.reads("/permissions/me").await;
    assert_eq!(mine["articles"]["read"], json!({"access": "full", "fields": ["id", "title"]}));
    assert_eq!(mine["articles"]["update"], json!({"access": "none"}));
    assert_eq!(mine["directus_presets"]["create"]["access"], "full");
    // Rules that stand in no table are listed behind the others.
    let listed = office.world.api.get("/permissions").await.expect(200).data();
    assert_eq!(listed.as_array().unwrap().iter().filter(|one| one["system"] == json!(true)).count(), 20);
    let item = office.reads("/permissions/me/articles/1").await;
    assert_eq!(
        item,
        json!({"update": {"access": false}, "delete": {"access": false}, "share": {"access": false}})
    );
}
