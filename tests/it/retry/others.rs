//! Writes that are no items: sorting, going back, promoting, undoing, events of one's own. They happen once, too, and those
//! that change one item look at its version.

use http::Method;
use serde_json::{Value, json};

use super::{count, keyed, notes, twice};
use crate::api::{Answer, Api};
use crate::world::World;

async fn matching(api: &Api, path: &str, tag: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("if-match", tag)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    api.raw(Method::POST, path, &headers, body).await.unwrap()
}

/// Three notes that are sorted, have revisions and versions.
async fn start(world: &World) {
    notes(world).await;
    let meta = json!({"meta": {"sort_field": "n", "versioning": true, "accountability": "all"}});
    world.api.patch("/collections/notes", meta).await.expect(200);
    let three: Vec<Value> = (1..=3).map(|n| json!({"title": format!("t{n}"), "n": n})).collect();
    world.api.post("/items/notes", json!(three)).await.expect(200);
}

/// The path of a saved version of the first note, and what is sent to promote it.
async fn version(api: &Api, key: &str, title: &str) -> (String, Value) {
    let version = json!({"key": key, "collection": "notes", "item": "1"});
    let id = api.post("/versions", version).await.expect(200).data()["id"].clone();
    let path = format!("/versions/{}", id.as_str().unwrap());
    api.post(&format!("{path}/save"), json!({"title": title})).await.expect(200);
    let compared = api.get(&format!("{path}/compare")).await.expect(200).data();
    (format!("{path}/promote"), json!({"mainHash": compared["mainHash"]}))
}

/// The revision that the first note had first.
async fn revision(api: &Api) -> String {
    let path = "/revisions?filter[collection]=notes&filter[item]=1&sort=id&limit=1&fields=id";
    format!("/utils/revert/{}", api.get(path).await.expect(200).data()[0]["id"])
}

#[tokio::test]
async fn they_happen_once() {
    let world = World::start(shape!()).await;
    start(&world).await;
    let api = &world.api;
    let post = Method::POST;
    let places = async || api.get("/items/notes?fields=id&sort=n").await.expect(200).data();
    twice(api, post.clone(), "/utils/sort/notes", "sort", json!({"item": 1, "to": 3})).await;
    assert_eq!(places().await, json!([{"id": 2}, {"id": 3}, {"id": 1}]));
    let other = json!({"item": 1, "to": 2});
    keyed(api, post.clone(), "/utils/sort/notes", "sort", other).await.refused(422, "UNPROCESSABLE_CONTENT");

    let (promote, body) = version(api, "draft", "promoted").await;
    assert_eq!(twice(api, post.clone(), &promote, "promote", body).await, "1");
    let revert = revision(api).await;
    twice(api, post.clone(), &revert, "revert", Value::Null).await;
    // What is refused is not kept: it is asked anew.
    let wrong = keyed(api, post.clone(), "/utils/revert/999999", "wrong", Value::Null).await;
    wrong.refused(403, "FORBIDDEN");
    keyed(api, post.clone(), &revert, "wrong", Value::Null).await.expect(204);

    let custom = json!({"event": "custom.once", "payload": {"a": 1}});
    let made = twice(api, post.clone(), "/events", "emit", custom).await;
    assert_eq!(count(&world, "eventus.events WHERE name = 'custom.once'").await, 1);
    assert!(made["position"].as_i64().is_some_and(|position| position > 0), "{made}");

    let changed =
        api.patch("/items/notes", json!({"keys": [2, 3], "data": {"title": "x"}})).await.expect(200);
    let undo = json!({"request_id": changed.header("x-request-id").unwrap()});
    let rehearsal = json!({"request_id": undo["request_id"], "dry_run": true});
    for _ in 0..2 {
        let answer = keyed(api, post.clone(), "/utils/undo", "dry", rehearsal.clone()).await.expect(200);
        assert_eq!(answer.header("idempotency-replayed"), None, "nothing was done that could be kept");
    }
    let done = twice(api, post.clone(), "/utils/undo", "undo", undo.clone()).await;
    assert_eq!(done["undone"].as_array().unwrap().len(), 2);
    let titles = api.get("/items/notes?fields=title&filter[id][_gt]=1&sort=id").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "t2"}, {"title": "t3"}]));
    // An erasure takes bodies out of what is kept.
    let erased = "UPDATE eventus.idempotency_keys SET items = NULL WHERE key = 'undo'";
    sqlx::query(erased).execute(&world.pool().await).await.unwrap();
    let again = keyed(api, post.clone(), "/utils/undo", "undo", undo).await.expect(204);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 6);
    let nobody = api.with_token(None);
    let anonymous = keyed(&nobody, post, "/utils/sort/notes", "k", json!({"item": 1, "to": 3})).await;
    anonymous.refused(400, "INVALID_HEADER");
}

#[tokio::test]
async fn of_one_item_they_look_at_the_version() {
    let world = World::start(shape!()).await;
    start(&world).await;
    let api = &world.api;
    let tag = async || api.get("/items/notes/1").await.expect(200).header("etag").unwrap().to_owned();
    let title = async || api.get("/items/notes/1?fields=title").await.expect(200).data()["title"].clone();
    let seen = tag().await;
    api.patch("/items/notes/1", json!({"title": "changed"})).await.expect(200);
    let revert = revision(api).await;
    let refused = matching(api, &revert, &seen, Value::Null).await.refused(412, "PRECONDITION_FAILED");
    assert_eq!(refused.json()["errors"][0]["extensions"]["version"], 2);
    assert_eq!(title().await, "changed");
    matching(api, &revert, &tag().await, Value::Null).await.expect(204);
    assert_eq!(title().await, "t1");
    let (promote, body) = version(api, "draft", "promoted").await;
    matching(api, &promote, &seen, body.clone()).await.refused(412, "PRECONDITION_FAILED");
    assert_eq!(title().await, "t1");
    matching(api, &promote, &tag().await, body).await.expect(200);
    assert_eq!(title().await, "promoted");
    // Of what is no change of one item a condition would say nothing.
    for (path, body) in [
        ("/utils/sort/notes", json!({"item": 1, "to": 3})),
        ("/utils/undo", json!({"request_id": "x"})),
        ("/events", json!({"event": "custom.a"})),
    ] {
        matching(api, path, "*", body).await.refused(400, "INVALID_HEADER");
    }
}
