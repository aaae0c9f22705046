//! Collections, fields and relations over HTTP.

mod outside;

use std::time::Duration;

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_collection_is_made_changed_and_deleted() {
    let world = World::start(shape!()).await;
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
    let world = World::start(shape!()).await;
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
    let world = World::start(shape!()).await;
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
    let world = World::start(shape!()).await;
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

/// Shelves, books that go with them (and with the book they are the sequel of), notes that stay.
async fn library(world: &World) {
    let api = &world.api;
    world.collection("shelves", json!([{"field": "name", "type": "string"}])).await;
    world
        .collection(
            "books",
            json!([{"field": "shelf", "type": "integer"}, {"field": "sequel", "type": "integer"}]),
        )
        .await;
    world
        .collection(
            "notes",
            json!([{"field": "book", "type": "integer"}, {"field": "shelf", "type": "integer"}]),
        )
        .await;
    for (collection, field, related, rule) in [
        ("books", "shelf", "shelves", "CASCADE"),
        ("books", "sequel", "books", "CASCADE"),
        ("notes", "book", "books", "SET NULL"),
        ("notes", "shelf", "shelves", "NO ACTION"),
    ] {
        let schema = json!({"on_delete": rule});
        let relation = json!({"collection": collection, "field": field, "related_collection": related, "schema": schema});
        let made = api.post("/relations", relation).await.expect(200).data();
        assert_eq!(made["schema"]["on_delete"], rule);
    }
}

/// What PostgreSQL would do by itself is done by statements of ours, with an event each and the deletion as its cause.
#[tokio::test]
async fn what_follows_from_a_deletion_is_logged() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    library(&world).await;
    api.post("/items/shelves", json!([{"name": "a"}, {"name": "b"}])).await.expect(200);
    // Book 3 stands on the other shelf, but hangs on book 2.
    api.post("/items/books", json!([{"shelf": 1}, {"shelf": 1}, {"shelf": 2, "sequel": 2}]))
        .await
        .expect(200);
    api.post("/items/notes", json!([{"book": 1}, {"book": 3}, {"shelf": 2}])).await.expect(200);
    api.delete("/items/shelves/2", None).await.refused(400, "INVALID_FOREIGN_KEY");
    let pool = world.pool().await;
    let last: i64 =
        sqlx::query_scalar("SELECT max(position) FROM eventus.events").fetch_one(&pool).await.unwrap();
    api.delete("/items/shelves/1", None).await.expect(204);
    assert_eq!(api.get("/items/books").await.expect(200).data(), json!([]));
    assert_eq!(
        api.get("/items/notes?fields=book").await.expect(200).data(),
        json!([{"book": null}, {"book": null}, {"book": null}])
    );
    let events: Vec<(String, String, String, bool, i16)> = sqlx::query_as(
        "SELECT e.name, e.collection, e.key, e.causation_id = r.id, e.depth FROM eventus.events e LEFT JOIN eventus.events r \
         ON r.collection = 'shelves' AND r.name = 'items.delete' WHERE e.position > $1 ORDER BY e.position",
    )
    .bind(last)
    .fetch_all(&pool)
    .await
    .map(|rows: Vec<(String, String, String, Option<bool>, i16)>| {
        rows.into_iter().map(|(name, collection, key, caused, depth)| (name, collection, key, caused == Some(true), depth)).collect()
    })
    .unwrap();
    let event = |name: &str, collection: &str, key: &str, caused, depth| {
        (name.to_owned(), collection.to_owned(), key.to_owned(), caused, depth)
    };
    assert_eq!(
        events,
        [
            event("items.update", "notes", "1", true, 1),
            event("items.update", "notes", "2", true, 1),
            event("items.delete", "books", "1", true, 1),
            event("items.delete", "books", "2", true, 1),
            event("items.delete", "books", "3", true, 1),
            event("items.delete", "shelves", "1", false, 0),
        ]
    );
}

/// Posts with tags by a junction that can also point to anything.
async fn tagged_posts(world: &World) {
    world.collection("tags", json!([{"field": "name", "type": "string"}])).await;
    world
        .collection("posts", json!([{"field": "tags", "type": "alias", "meta": {"special": ["m2m"]}}]))
        .await;
    let junction = json!([{"field": "post", "type": "integer"}, {"field": "tag", "type": "integer"}, {"field": "sort", "type": "integer"},
        {"field": "item", "type": "string"}, {"field": "kind", "type": "string"}]);
    world.collection("posts_tags", junction).await;
}

#[tokio::test]
async fn every_kind_of_relation_is_made_changed_and_deleted() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    tagged_posts(&world).await;
    let alias = api.get("/fields/posts/tags").await.expect(200).data();
    assert_eq!(
        (&alias["type"], &alias["schema"], &alias["meta"]["special"]),
        (&json!("alias"), &json!(null), &json!(["m2m"]))
    );
    let meta = json!({"one_field": "tags", "junction_field": "tag", "sort_field": "sort", "one_deselect_action": "delete"});
    let made = api
        .post(
            "/relations",
            json!({"collection": "posts_tags", "field": "post", "related_collection": "posts", "meta": meta}),
        )
        .await
        .expect(200)
        .data();
    assert_eq!((&made["meta"]["one_field"], &made["meta"]["sort_field"]), (&json!("tags"), &json!("sort")));
    let meta = json!({"junction_field": "post"});
    api.post(
        "/relations",
        json!({"collection": "posts_tags", "field": "tag", "related_collection": "tags", "meta": meta}),
    )
    .await
    .expect(200);
    let many_to_any = json!({"one_collection_field": "kind", "one_allowed_collections": ["posts", "tags"]});
    let any =
        json!({"collection": "posts_tags", "field": "item", "related_collection": null, "meta": many_to_any});
    let made = api.post("/relations", any.clone()).await.expect(200).data();
    assert_eq!(
        (&made["schema"], &made["meta"]["one_allowed_collections"]),
        (&json!(null), &json!(["posts", "tags"]))
    );
    api.post("/relations", any).await.refused(400, "INVALID_PAYLOAD");
    for (field, related) in [("nope", "tags"), ("sort", "nope"), ("id", "tags")] {
        api.post(
            "/relations",
            json!({"collection": "posts_tags", "field": field, "related_collection": related}),
        )
        .await
        .refused(400, "INVALID_PAYLOAD");
    }
    let rule = json!({"schema": {"on_delete": "CASCADE"}, "meta": {"one_deselect_action": "nullify"}});
    let changed = api.patch("/relations/posts_tags/post", rule).await.expect(200).data();
    assert_eq!(
        (&changed["schema"]["on_delete"], &changed["meta"]["sort_field"]),
        (&json!("CASCADE"), &json!("sort"))
    );
    assert_eq!(api.get("/relations/posts_tags").await.expect(200).data().as_array().unwrap().len(), 3);
    // What names a deleted collection goes with it, on the other side too.
    api.delete("/collections/tags", None).await.expect(204);
    api.get("/relations/posts_tags/tag").await.refused(403, "FORBIDDEN");
    let any = api.get("/relations/posts_tags/item").await.expect(200).data();
    assert_eq!(any["meta"]["one_allowed_collections"], json!(["posts"]));
    api.delete("/relations/posts_tags/post", None).await.expect(204);
    assert_eq!(
        api.get("/fields/posts_tags/post").await.expect(200).data()["schema"]["foreign_key_table"],
        json!(null)
    );
    api.delete("/fields/posts_tags/item", None).await.expect(204);
    assert_eq!(api.get("/relations/posts_tags").await.expect(200).data(), json!([]));
}

/// What hangs on one another in a circle goes whole, and every item of it is logged.
#[tokio::test]
async fn a_circle_of_references_loses_no_event() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    for name in ["teams", "people"] {
        world.collection(name, json!([{"field": "other", "type": "integer"}])).await;
    }
    for (collection, related) in [("teams", "people"), ("people", "teams")] {
        let schema = json!({"on_delete": "CASCADE"});
        let relation = json!({"collection": collection, "field": "other", "related_collection": related, "schema": schema});
        api.post("/relations", relation).await.expect(200);
    }
    api.post("/items/teams", json!([{}, {}])).await.expect(200);
    api.post("/items/people", json!([{"other": 1}, {"other": 2}])).await.expect(200);
    api.patch("/items/teams", json!([{"id": 1, "other": 2}, {"id": 2, "other": 1}])).await.expect(200);
    api.delete("/items/teams/1", None).await.expect(204);
    for name in ["teams", "people"] {
        assert_eq!(api.get(&format!("/items/{name}")).await.expect(200).data(), json!([]));
    }
    let gone = "SELECT array_agg(collection || key ORDER BY collection, key) FROM eventus.events WHERE name = 'items.delete'";
    let gone: Vec<String> = sqlx::query_scalar(gone).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(gone, ["people1", "people2", "teams1", "teams2"]);
}

/// A NUL that PostgreSQL's JSON would swallow and never give back in parts.
#[tokio::test]
async fn nul_is_refused_wherever_it_stands() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world
        .collection("notes", json!([{"field": "j", "type": "json"}, {"field": "t", "type": "string"}]))
        .await;
    for (path, body) in [
        ("/items/notes", json!({"j": {"a": "\u{0}"}})),
        ("/items/notes", json!({"t": "\u{0}"})),
        ("/fields/notes", json!({"field": "g", "type": "string", "schema": {"default_value": "\u{0}"}})),
        ("/collections", json!({"collection": "w", "schema": {}, "meta": {"note": "\u{0}"}})),
    ] {
        api.post(path, body).await.refused(400, "INVALID_PAYLOAD");
    }
    api.post("/items/notes", json!({"j": {"a": "\\u0000"}, "t": "x"})).await.expect(200);
    api.patch("/items/notes/1", json!({"t": "y"})).await.expect(200);
    api.get("/revisions").await.expect(200);
}

#[tokio::test]
async fn several_changes_are_all_or_none() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("a", json!([{"field": "x", "type": "string"}, {"field": "y", "type": "string"}])).await;
    world.collection("b", json!([])).await;
    let sorted = json!([{"collection": "b", "meta": {"sort": 1}}, {"collection": "a", "meta": {"sort": 2}}]);
    let changed = api.patch("/collections", sorted).await.expect(200).data();
    assert_eq!((&changed[0]["collection"], &changed[1]["meta"]["sort"]), (&json!("b"), &json!(2)));
    let bad = json!([{"collection": "a", "meta": {"sort": 7}}, {"collection": "nope", "meta": {"sort": 8}}]);
    api.patch("/collections", bad).await.refused(403, "FORBIDDEN");
    api.patch("/collections", json!([{"meta": {}}])).await.refused(400, "INVALID_PAYLOAD");
    assert_eq!(api.get("/collections/a").await.expect(200).data()["meta"]["sort"], 2);
    let fields =
        json!([{"field": "x", "meta": {"sort": 9}}, {"field": "y", "schema": {"is_nullable": false}}]);
    let changed = api.patch("/fields/a", fields).await.expect(200).data();
    assert_eq!(
        (&changed[0]["meta"]["sort"], &changed[1]["schema"]["is_nullable"]),
        (&json!(9), &json!(false))
    );
    // Values that a shorter field could not hold are not cut.
    api.post("/items/a", json!({"x": "long enough", "y": ""})).await.expect(200);
    api.patch("/fields/a/x", json!({"schema": {"max_length": 3}})).await.refused(400, "INVALID_PAYLOAD");
    assert_eq!(api.get("/items/a/1?fields=x").await.expect(200).data()["x"], "long enough");
}

/// An index beside the traffic: after the answer, with an event of its own; what an attempt that died left is replaced.
#[tokio::test]
async fn indexes_are_made_beside_the_traffic() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let pool = world.pool().await;
    let indexed = json!({"field": "a", "type": "string", "schema": {"is_indexed": true}});
    let body =
        json!({"collection": "big", "schema": {}, "fields": [indexed, {"field": "b", "type": "integer"}]});
    api.post("/collections?concurrentIndexCreation", body).await.expect(200);
    let is_indexed = async |field: &str| {
        api.get(&format!("/fields/big/{field}")).await.expect(200).data()["schema"]["is_indexed"] == true
    };
    testkit::eventually(Duration::from_secs(20), || is_indexed("a")).await;
    // A copy of two equal values makes a unique index fail and leaves it invalid, under the name that ours will have.
    api.post("/items/big", json!([{"b": 1}, {"b": 1}])).await.expect(200);
    let left = "CREATE UNIQUE INDEX CONCURRENTLY big_b_index ON public.big (b)";
    sqlx::raw_sql(left).execute(&pool).await.unwrap_err();
    let wish = json!({"schema": {"is_indexed": true}});
    api.patch("/fields/big/b?concurrentIndexCreation=true", wish).await.expect(200);
    testkit::eventually(Duration::from_secs(20), || is_indexed("b")).await;
    let events = "SELECT count(*) FROM eventus.events WHERE name = 'fields.update' AND key IN ('big.a', 'big.b') \
                  AND payload::jsonb = '{\"schema\": {\"is_indexed\": true}}'";
    assert_eq!(sqlx::query_scalar::<_, i64>(events).fetch_one(&pool).await.unwrap(), 2);
    let jobs = "SELECT count(*) FROM eventus.index_jobs";
    assert_eq!(sqlx::query_scalar::<_, i64>(jobs).fetch_one(&pool).await.unwrap(), 0);
}
