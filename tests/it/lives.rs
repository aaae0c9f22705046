//! A collection that is made again under its old name: the versions of its items go on.

use serde_json::{Value, json};

use crate::world::World;

async fn made(world: &World, fields: Value) {
    world.collection("posts", fields).await;
}

#[tokio::test]
async fn versions_never_repeat() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let title = || json!([{"field": "title", "type": "string"}]);
    made(&world, title()).await;
    api.post("/items/posts", json!([{"title": "a"}, {"title": "b"}])).await.expect(200);
    for title in ["a2", "a3"] {
        api.patch("/items/posts/1", json!({"title": title})).await.expect(200);
    }
    api.delete("/collections/posts", None).await.expect(204);
    made(&world, title()).await;
    api.post("/items/posts", json!([{"title": "A"}, {"title": "B"}])).await.expect(200);
    api.patch("/items/posts/2", json!({"title": "B2"})).await.expect(200);
    api.delete("/items/posts/1", None).await.expect(204);
    api.post("/items/posts", json!({"id": 1, "title": "A again"})).await.expect(200);
    api.delete("/collections/posts", None).await.expect(204);
    // Nothing of the second life was changed at the end of the third.
    made(&world, title()).await;
    api.post("/items/posts", json!({"title": "C"})).await.expect(200);
    api.delete("/collections/posts", None).await.expect(204);
    made(&world, json!([{"field": "id", "type": "uuid", "schema": {"is_primary_key": true}}])).await;
    let key = "3f8b0d6e-52a7-4c0e-8b7a-0a2f5f1f7f10";
    api.post("/items/posts", json!({"id": key})).await.expect(200);
    let pool = world.pool().await;
    let sql = "SELECT key, version FROM eventus.events WHERE collection = 'posts' ORDER BY key, position";
    let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&pool).await.unwrap();
    let found: Vec<(&str, i64)> = found.iter().map(|(key, version)| (key.as_str(), *version)).collect();
    let one = [1, 2, 3, 4, 5, 6, 7].map(|version| ("1", version));
    let two = [1, 4, 5].map(|version| ("2", version));
    assert_eq!(found, [&one[..], &two[..], &[(key, 8)]].concat());
    world.quiet(std::time::Duration::from_secs(20)).await;
}
