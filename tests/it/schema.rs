//! Collections, fields and relations over HTTP.

use serde_json::json;

use crate::world::{Shape, World};

#[tokio::test]
async fn a_collection_is_made_changed_and_deleted() {
    let world = World::start(Shape::Split).await;
    let api = &world.api;
    let fields =
        json!([{"field": "title", "type": "string", "meta": {"interface": "input", "note": "a note"}}]);
    let body = json!({"collection": "posts", "schema": {}, "meta": {"icon": "article", "sort_field": "title"}, "fields": fields});
    let made = api.post("/collections", body.clone()).await.expect(200).data();
    assert_eq!(made["collection"], "posts");
    assert_eq!((&made["meta"]["icon"], &made["meta"]["collapse"]), (&json!("article"), &json!("open")));
    assert_eq!(made["schema"], json!({"schema": "public", "name": "posts", "comment": null}));
    api.post("/collections", body).await.refused(400, "INVALID_PAYLOAD");
    for name in ["", "directus_x", "a/b"] {
        api.post("/collections", json!({"collection": name, "schema": {}}))
            .await
            .refused(400, "INVALID_PAYLOAD");
    }
    let id = api.get("/fields/posts/id").await.expect(200).data();
    assert_eq!((&id["type"], &id["schema"]["has_auto_increment"]), (&json!("integer"), &json!(true)));
    let title = api.get("/fields/posts/title").await.expect(200).data();
    assert_eq!((&title["schema"]["max_length"], &title["meta"]["note"]), (&json!(255), &json!("a note")));
    let changed =
        api.patch("/collections/posts", json!({"meta": {"note": "texts"}})).await.expect(200).data();
    assert_eq!((&changed["meta"]["note"], &changed["meta"]["icon"]), (&json!("texts"), &json!("article")));
    api.post("/items/posts", json!([{"title": "b"}, {"title": "a"}])).await.expect(200);
    let list = api.get("/items/posts?fields=title").await.expect(200).data();
    assert_eq!(list, json!([{"title": "a"}, {"title": "b"}]), "the sort field orders");
    api.delete("/collections/posts", None).await.expect(204);
    api.get("/items/posts").await.refused(403, "FORBIDDEN");
    api.delete("/collections/directus_users", None).await.refused(403, "FORBIDDEN");
    let folder = api
        .post("/collections", json!({"collection": "group", "schema": null, "meta": {"icon": "folder"}}))
        .await
        .expect(200)
        .data();
    assert_eq!(folder["schema"], json!(null));
}

#[tokio::test]
async fn fields_come_change_and_go() {
    let world = World::start(Shape::AllInOne).await;
    let api = &world.api;
    world.collection("posts", json!([{"field": "title", "type": "string"}])).await;
    api.post("/items/posts", json!([{"title": "12"}, {"title": "x"}])).await.expect(200);
    let count =
        json!({"field": "count", "type": "integer", "schema": {"default_value": 7, "is_indexed": true}});
    let made = api.post("/fields/posts", count.clone()).await.expect(200).data();
    assert_eq!((&made["schema"]["default_value"], &made["schema"]["is_indexed"]), (&json!(7), &json!(true)));
    api.post("/fields/posts", count).await.refused(400, "INVALID_PAYLOAD");
    api.post("/fields/posts", json!({"field": "x", "type": "nope"})).await.refused(400, "INVALID_PAYLOAD");
    assert_eq!(api.get("/items/posts/1?fields=count").await.expect(200).data(), json!({"count": 7}));
    api.patch("/fields/posts/title", json!({"type": "integer"})).await.refused(400, "INVALID_PAYLOAD");
    api.patch("/items/posts/2", json!({"title": "13"})).await.expect(200);
    let number = api.patch("/fields/posts/title", json!({"type": "integer"})).await.expect(200).data();
    assert_eq!(number["type"], "integer");
    assert_eq!(api.get("/items/posts/1?fields=title").await.expect(200).data(), json!({"title": 12}));
    let strict = json!({"schema": {"is_nullable": false, "is_unique": true}});
    let strict = api.patch("/fields/posts/title", strict).await.expect(200).data();
    assert_eq!(
        (&strict["schema"]["is_nullable"], &strict["schema"]["is_unique"]),
        (&json!(false), &json!(true))
    );
    api.post("/items/posts", json!({"title": 12})).await.refused(400, "RECORD_NOT_UNIQUE");
    let loose = json!({"schema": {"is_nullable": true, "is_unique": false, "default_value": null}});
    api.patch("/fields/posts/title", loose).await.expect(200);
    api.post("/items/posts", json!({"title": 12})).await.expect(200);
    api.delete("/fields/posts/count", None).await.expect(204);
    api.get("/items/posts?fields=count").await.refused(403, "FORBIDDEN");
    api.delete("/fields/posts/id", None).await.refused(400, "INVALID_PAYLOAD");
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let world = World::start(Shape::AllInOne).await;
    let api = &world.api;
    let field = "x\"); DROP TABLE directus_users; --";
    let fields = json!([{"field": field, "type": "string", "schema": {"default_value": "'; DROP TABLE directus_users; --"}}]);
    world.collection("od\"d", fields).await;
    let made = api.post("/items/od%22d", json!({field: "it's"})).await.expect(200).data();
    assert_eq!(made[field], "it's");
    api.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_reference_is_kept() {
    let world = World::start(Shape::AllInOne).await;
    let api = &world.api;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    world.collection("books", json!([{"field": "author", "type": "integer"}])).await;
    let relation = json!({"collection": "books", "field": "author", "related_collection": "authors"});
    let made = api.post("/relations", relation).await.expect(200).data();
    assert_eq!(made["schema"]["foreign_key_table"], "authors");
    api.post("/items/books", json!({"author": 9})).await.refused(400, "INVALID_FOREIGN_KEY");
    api.post("/items/authors", json!({"name": "A"})).await.expect(200);
    api.post("/items/books", json!({"author": 1})).await.expect(200);
    api.delete("/items/authors/1", None).await.refused(400, "INVALID_FOREIGN_KEY");
}

/// A table made behind our back is seen after the control row moves; a plan against a dropped column is made again.
#[tokio::test]
async fn a_schema_that_moves_under_a_plan_is_followed() {
    let world = World::start(Shape::AllInOne).await;
    world
        .collection("posts", json!([{"field": "a", "type": "string"}, {"field": "b", "type": "string"}]))
        .await;
    world.api.post("/items/posts", json!({"a": "1", "b": "2"})).await.expect(200);
    let pool = world.pool().await;
    sqlx::query("ALTER TABLE posts DROP COLUMN b").execute(&pool).await.unwrap();
    assert_eq!(world.api.get("/items/posts/1").await.expect(200).data(), json!({"id": 1, "a": "1"}));
    sqlx::query("ALTER TABLE posts ALTER COLUMN a TYPE text").execute(&pool).await.unwrap();
    assert_eq!(world.api.get("/items/posts/1").await.expect(200).data(), json!({"id": 1, "a": "1"}));
}
