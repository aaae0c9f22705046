//! What is refused, and that then nothing of the whole request is there.

use serde_json::{Value, json};

use super::{blog, keys};

#[tokio::test]
async fn all_or_nothing() {
    let world = blog(shape!()).await;
    let api = &world.api;
    api.post("/items/authors", json!({"name": "Ada", "slug": "ada"})).await.expect(200);
    api.post("/items/posts", json!({"title": "there", "comments": [{"title": "c"}]})).await.expect(200);
    let with = |name: &str, value: Value| json!({"title": "t", name: value});
    let deep = json!({"title": "t", "comments": [{"title": "ok", "writer": {"name": "x", "slug": "ada"}}]});
    for (body, status, code) in [
        (with("comments", json!([{"title": "ok"}, {}])), 400, "FAILED_VALIDATION"),
        (with("comments", json!([{"title": null}])), 400, "FAILED_VALIDATION"),
        (with("comments", json!([999])), 403, "FORBIDDEN"),
        (with("comments", json!(["x"])), 403, "FORBIDDEN"),
        (with("comments", json!("x")), 400, "INVALID_PAYLOAD"),
        (with("comments", json!(true)), 400, "INVALID_PAYLOAD"),
        (with("comments", json!([[1]])), 400, "INVALID_PAYLOAD"),
        (with("comments", json!([null])), 400, "INVALID_PAYLOAD"),
        (with("comments", json!({"create": {"title": "x"}})), 400, "INVALID_PAYLOAD"),
        (with("comments", json!({"update": [{"title": "x"}]})), 400, "INVALID_PAYLOAD"),
        (with("comments", json!({"nope": []})), 400, "INVALID_PAYLOAD"),
        (with("author", json!({"name": "x", "slug": "ada"})), 400, "RECORD_NOT_UNIQUE"),
        (with("author", json!({"id": "x"})), 403, "FORBIDDEN"),
        (with("author", json!(999)), 400, "INVALID_FOREIGN_KEY"),
        (with("blocks", json!([{"item": {"text": "x"}}])), 400, "INVALID_PAYLOAD"),
        (with("blocks", json!([{"collection": "posts", "item": {"title": "x"}}])), 400, "INVALID_PAYLOAD"),
        (with("tags", json!([{"tag": {"name": 5, "id": 1.5}}])), 403, "FORBIDDEN"),
        (deep, 400, "RECORD_NOT_UNIQUE"),
    ] {
        api.post("/items/posts", body.clone()).await.refused(status, code);
        api.post("/items/posts", json!([{"title": "fine", "tags": [{"tag": {"name": "n"}}]}, body.clone()]))
            .await
            .refused(status, code);
        api.patch("/items/posts/1", body).await.refused(status, code);
    }
    for (collection, expected) in [
        ("posts", vec![1]),
        ("comments", vec![1]),
        ("authors", vec![1]),
        ("tags", vec![]),
        ("posts_tags", vec![]),
        ("posts_blocks", vec![]),
    ] {
        assert_eq!(keys(&world, collection).await, expected, "{collection}");
    }
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.events WHERE name LIKE 'items.%'")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(events, 3);
}

#[tokio::test]
async fn depth_has_an_end() {
    let world = blog(shape!()).await;
    let nested = |levels: usize| {
        (0..levels).fold(json!({"name": "last"}), |inner, level| match level % 3 {
            0 => json!({"title": "t", "writer": inner}),
            1 => json!({"title": "t", "comments": [inner]}),
            _ => json!({"name": "a", "posts": [inner]}),
        })
    };
    world.api.post("/items/posts", nested(8)).await.expect(200);
    world.api.post("/items/posts", nested(14)).await.refused(400, "INVALID_PAYLOAD");
}
