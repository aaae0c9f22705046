//! Undo: events that do the opposite bring items back to what they were.

use http::Method;
use serde_json::{Value, json};

use super::{blog, last_position, named};
use crate::api::Api;
use crate::world::World;

/// Everything that both collections hold, as clients see it.
async fn all(api: &Api) -> Value {
    let posts = api.get("/items/posts?sort=id").await.expect(200).data();
    json!([posts, api.get("/items/authors?sort=id&fields=id,name,pin").await.expect(200).data()])
}

async fn actions(world: &World, after: i64) -> Vec<(String, String)> {
    let sql = "SELECT name, key FROM eventus.events WHERE position > $1 ORDER BY position";
    sqlx::query_as(sql).bind(after).fetch_all(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn a_request_is_taken_back() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}])).await.expect(200);
    api.post("/items/posts", json!([{"title": "one", "author": 1}, {"title": "two", "author": 1}]))
        .await
        .expect(200);
    let before = all(api).await;
    // The author goes, and her posts lose her.
    named(api, "gone", Method::DELETE, "/items/authors/1", Value::Null).await.expect(204);
    let after = all(api).await;
    let last = last_position(&world).await;
    let dry =
        api.post("/utils/undo", json!({"request_id": "gone", "dry_run": true})).await.expect(200).data();
    assert_eq!((last_position(&world).await, all(api).await), (last, after.clone()));
    let done = named(api, "back", Method::POST, "/utils/undo", json!({"request_id": "gone"})).await;
    let done = done.expect(200).data();
    assert_eq!((&done["undone"], &done["dry_run"]), (&dry["undone"], &json!(false)));
    let undone: Vec<_> = done["undone"].as_array().unwrap().iter().map(|step| &step["action"]).collect();
    assert_eq!(undone, ["create", "update", "update"]);
    assert_eq!(all(api).await, before);
    let written = actions(&world, last).await;
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["items.create", "items.update", "items.update"]);
    let causes: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM eventus.events e JOIN eventus.events c ON c.id = e.causation_id \
         WHERE e.request_id = 'back' AND c.request_id = 'gone' AND e.depth = 1",
    )
    .fetch_one(&world.pool().await)
    .await
    .unwrap();
    assert_eq!(causes, 3);
    // Versions go on without a gap, and what was taken back can be taken back.
    let versions: Vec<i64> = sqlx::query_scalar(
        "SELECT version FROM eventus.events WHERE collection = 'authors' AND key = '1' ORDER BY position",
    )
    .fetch_all(&world.pool().await)
    .await
    .unwrap();
    assert_eq!(versions, [1, 2, 3]);
    api.post("/utils/undo", json!({"request_id": "gone"})).await.refused(409, "CONFLICT");
    api.post("/utils/undo", json!({"request_id": "back"})).await.expect(200);
    assert_eq!(all(api).await, after);
    world.quiet(std::time::Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_stretch_of_the_log_is_taken_back() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}])).await.expect(200);
    api.post("/items/posts", json!([{"title": "a", "author": 1}, {"title": "b", "author": 2}]))
        .await
        .expect(200);
    let (before, from) = (all(api).await, last_position(&world).await + 1);
    api.post("/items/authors", json!({"name": "Eve"})).await.expect(200);
    api.post("/items/posts", json!({"title": "c", "author": 3})).await.expect(200);
    api.patch("/items/posts/1", json!({"title": "b2"})).await.expect(200);
    api.patch("/items/posts", json!({"keys": [1, 2], "data": {"author": 3}})).await.expect(200);
    api.delete("/items/posts/2", None).await.expect(204);
    api.post("/items/posts", json!({"id": 2, "title": "another"})).await.expect(200);
    api.delete("/items/authors/2", None).await.expect(204);
    let to = last_position(&world).await;
    let undo = json!({"from": from, "to": to});
    let done = api.post("/utils/undo", undo.clone()).await.expect(200).data();
    assert_eq!(all(api).await, before);
    assert_eq!(done["undone"].as_array().unwrap().len(), 8);
    assert_eq!(done["skipped"], json!([]));
    for bad in [
        json!({}),
        json!({"from": 1}),
        json!({"from": 3, "to": 2}),
        json!({"from": 0, "to": 2}),
        json!([]),
        json!({"from": 1, "to": to + 1_000}),
        json!({"request_id": "x", "from": 1, "to": 2}),
        json!({"request_id": ""}),
        json!({"request_id": "nobody-sent-it"}),
        json!({"from": 1, "to": 2, "dry": true}),
        json!({"from": "a", "to": 2}),
    ] {
        let refused = api.post("/utils/undo", bad.clone()).await;
        assert_eq!((refused.status, &*refused.code()), (400, "INVALID_PAYLOAD"), "{bad}: {}", refused.text);
    }
    world.user("reader@example.com", "token-of-a-reader").await;
    api.with_token(Some("token-of-a-reader")).post("/utils/undo", undo).await.refused(403, "FORBIDDEN");
    assert_eq!(all(api).await, before);
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_named() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    named(api, "made", Method::POST, "/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}]))
        .await
        .expect(200);
    api.post("/items/posts", json!({"title": "a", "author": 1})).await.expect(200);
    let reasons = async |body: Value| -> Vec<(String, String)> {
        let refused = api.post("/utils/undo", body).await.refused(409, "CONFLICT");
        let items = refused.json()["errors"][0]["extensions"]["items"].take();
        let told = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        items.as_array().unwrap().iter().map(|item| (told(item, "key"), told(item, "reason"))).collect()
    };
    let pair = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
    let before = all(api).await;
    // Somebody refers to Ada by now: PostgreSQL would change that post by itself.
    let found = reasons(json!({"request_id": "made", "force": true})).await;
    assert!(
        found.contains(&pair("1", "others_refer_to_it")) && found.contains(&pair("1", "refers_to_it")),
        "{found:?}"
    );
    named(api, "renamed", Method::PATCH, "/items/posts/1", json!({"title": "b"})).await.expect(200);
    api.patch("/items/posts/1", json!({"title": "c", "author": 2})).await.expect(200);
    assert_eq!(reasons(json!({"request_id": "renamed"})).await, [pair("1", "changed_since")]);
    let forced = json!({"request_id": "renamed", "force": true});
    api.post("/utils/undo", forced).await.expect(200);
    let post = api.get("/items/posts/1").await.expect(200).data();
    assert_eq!(post, json!({"id": 1, "title": "a", "author": 2}));
    assert_eq!(all(api).await[1], before[1]);
    // The author that a post had is gone for good.
    named(api, "moved", Method::PATCH, "/items/posts/1", json!({"author": null})).await.expect(200);
    api.delete("/items/authors/2", None).await.expect(204);
    assert_eq!(reasons(json!({"request_id": "moved"})).await, [pair("1", "does_not_fit")]);
    // A secret's old value is nowhere.
    api.patch("/fields/authors/pin", json!({"meta": {"special": ["conceal"]}})).await.expect(200);
    api.patch("/items/authors/1", json!({"pin": "one"})).await.expect(200);
    named(api, "pin", Method::PATCH, "/items/authors/1", json!({"pin": "two", "name": "Ada L."}))
        .await
        .expect(200);
    assert_eq!(reasons(json!({"request_id": "pin"})).await, [pair("1", "secret_values_are_gone")]);
    api.post("/utils/undo", json!({"request_id": "pin", "force": true})).await.expect(200);
    assert_eq!(api.get("/items/authors/1?fields=name").await.data(), json!({"name": "Ada"}));
    let pin: String = sqlx::query_scalar("SELECT pin FROM authors WHERE id = 1")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(pin, "two");
}

#[tokio::test]
async fn items_within_items_are_taken_back() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/authors", json!({"name": "Ada", "posts": [{"title": "a"}, {"title": "b"}]}))
        .await
        .expect(200);
    let before = all(api).await;
    // Outside in: a post with a new author who has more posts; inside out they refer to each other.
    let post = json!({"title": "c", "author": {"name": "Eve", "posts": [{"title": "d"}]}});
    named(api, "made", Method::POST, "/items/posts", post).await.expect(200);
    let changed = json!({"name": "Ada L.", "posts": {"create": [{"title": "e"}], "update": [{"id": 1, "title": "a2"}], "delete": [2]}});
    named(api, "changed", Method::PATCH, "/items/authors/1", changed).await.expect(200);
    let after = all(api).await;
    for id in ["changed", "made"] {
        named(api, &format!("undo-{id}"), Method::POST, "/utils/undo", json!({"request_id": id}))
            .await
            .expect(200);
    }
    assert_eq!(all(api).await, before);
    for id in ["undo-made", "undo-changed"] {
        api.post("/utils/undo", json!({"request_id": id})).await.expect(200);
    }
    assert_eq!(all(api).await, after);
    world.quiet(std::time::Duration::from_secs(20)).await;
}
