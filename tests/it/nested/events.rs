//! What a nested write leaves in the log: one event per item, those that nest before those that are nested.

use serde_json::json;

use super::blog;

/// Name, collection, key, version, place in the batch, length of the chain of causes, and the cause's collection.
type Logged = (String, String, String, i64, i32, i16, Option<String>);

async fn logged(world: &crate::world::World, after: i64) -> Vec<Logged> {
    let sql = "SELECT e.name, e.collection, e.key, e.version, e.batch_index, e.depth, c.collection
        FROM eventus.events e LEFT JOIN eventus.events c ON c.id = e.causation_id
        WHERE e.name LIKE 'items.%' AND e.position > $1 ORDER BY e.position";
    sqlx::query_as(sql).bind(after).fetch_all(&world.pool().await).await.unwrap()
}

async fn end(world: &crate::world::World) -> i64 {
    sqlx::query_scalar("SELECT max(position) FROM eventus.events")
        .fetch_one(&world.pool().await)
        .await
        .unwrap()
}

fn entry(name: &str, collection: &str, key: &str, place: (i64, i32, i16), cause: Option<&str>) -> Logged {
    let (version, index, depth) = place;
    let cause = cause.map(str::to_owned);
    (format!("items.{name}"), collection.to_owned(), key.to_owned(), version, index, depth, cause)
}

#[tokio::test]
async fn every_item_has_its_event_after_that_of_the_item_around_it() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let post = json!({"title": "t", "author": {"name": "Ada"}, "comments": [{"title": "a", "writer": {"name": "Bob"}}, {"title": "b"}]});
    let before = end(&world).await;
    api.post("/items/posts", post).await.expect(200);
    assert_eq!(
        logged(&world, before).await,
        [
            entry("create", "posts", "1", (1, 0, 0), None),
            entry("create", "authors", "1", (1, 1, 1), Some("posts")),
            entry("create", "comments", "1", (1, 2, 1), Some("posts")),
            entry("create", "comments", "2", (1, 3, 1), Some("posts")),
            entry("create", "authors", "2", (1, 4, 2), Some("comments")),
        ]
    );
    let parents = api.get("/revisions?filter[item][_eq]=2&filter[collection][_in]=authors,comments&fields=collection,parent.collection");
    let mut parents = parents.await.expect(200).data();
    parents.as_array_mut().unwrap().sort_by_key(|revision| revision["collection"].to_string());
    assert_eq!(
        parents,
        json!([
            {"collection": "authors", "parent": {"collection": "comments"}},
            {"collection": "comments", "parent": {"collection": "posts"}},
        ])
    );
    let before = end(&world).await;
    let change = json!({"author": {"id": 1, "name": "A."}, "comments": {"update": [{"id": 2, "title": "B"}], "delete": [1]}});
    api.patch("/items/posts/1", change).await.expect(200);
    assert_eq!(
        logged(&world, before).await,
        [
            entry("update", "posts", "1", (2, 0, 0), None),
            entry("update", "authors", "1", (2, 1, 1), Some("posts")),
            entry("update", "comments", "2", (2, 2, 1), Some("posts")),
            entry("update", "comments", "1", (2, 3, 1), Some("posts")),
        ]
    );
    let before = end(&world).await;
    api.patch("/items/posts/1", json!({"tags": [{"tag": {"name": "x"}}]})).await.expect(200);
    api.patch("/items/posts/1", json!({"tags": []})).await.expect(200);
    let names: Vec<_> =
        logged(&world, before).await.into_iter().map(|event| (event.0, event.1, event.3)).collect();
    let name =
        |name: &str, collection: &str, version| (format!("items.{name}"), collection.to_owned(), version);
    assert_eq!(
        names,
        [
            name("update", "posts", 3),
            name("create", "posts_tags", 1),
            name("create", "tags", 1),
            name("update", "posts", 4),
            name("delete", "posts_tags", 2),
        ]
    );
    // Only what hangs on the post has changed: the post is stamped all the same.
    let changed = api.get("/items/posts/1?fields=changed").await.expect(200).data();
    assert!(changed["changed"].is_string(), "{changed}");
    world.quiet(std::time::Duration::from_secs(10)).await;
}

/// An item that is reached twice has versions that ascend with the log.
#[tokio::test]
async fn versions_ascend_where_an_item_comes_twice() {
    let world = blog(shape!()).await;
    let api = &world.api;
    api.post("/items/posts", json!({"title": "t", "author": {"name": "Ada"}})).await.expect(200);
    let before = end(&world).await;
    let circle =
        json!({"title": "outer", "author": {"id": 1, "name": "A", "posts": [{"id": 1, "title": "inner"}]}});
    let after = api.patch("/items/posts/1?fields=title", circle).await.expect(200).data();
    assert_eq!(after["title"], "outer");
    let posts: Vec<_> = logged(&world, before).await.into_iter().filter(|event| event.1 == "posts").collect();
    assert_eq!(posts.iter().map(|event| event.3).collect::<Vec<_>>(), [2, 3]);
    let revisions =
        api.get("/revisions?filter[collection][_eq]=posts&sort=id&fields=delta").await.expect(200).data();
    assert_eq!(revisions.as_array().unwrap().len(), 3, "{revisions}");
}

/// A hundred posts with two tags each: a few statements per level, not per item.
#[tokio::test]
async fn batches_of_several_statements_count_on() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let author = api.post("/items/authors", json!({"name": "a"})).await.expect(200).data()["id"].clone();
    let images = json!(vec![json!({"artist": author}); 1_001]);
    api.post("/items/images?fields=id", images).await.expect(200);
    let all = json!({"query": {"filter": {"id": {"_gt": 0}}}, "data": {"file": "f"}});
    api.patch("/items/images?fields=id", all).await.expect(200);
    // The images lose their artist in the same batch as he goes.
    api.delete(&format!("/items/authors/{author}"), None).await.expect(204);
    api.delete("/items/images", Some(json!({"query": {"filter": {"id": {"_gt": 0}}}}))).await.expect(204);
    let pool = world.pool().await;
    let holes: i64 = sqlx::query_scalar(super::HOLES).fetch_one(&pool).await.unwrap();
    assert_eq!(holes, 0);
    let sizes = "SELECT array_agg(n ORDER BY last) FROM (SELECT count(*) AS n, max(position) AS last FROM eventus.events \
                 WHERE collection IN ('images', 'authors') AND name LIKE 'items.%' GROUP BY batch_id) b";
    let sizes: Vec<i64> = sqlx::query_scalar(sizes).fetch_one(&pool).await.unwrap();
    assert_eq!(sizes, [1, 1_001, 1_001, 1_002, 1_001]);
}

#[tokio::test]
async fn levels_are_written_by_sets() {
    let world = blog(shape!()).await;
    let post = |n: usize| json!({"title": format!("p{n}"), "tags": [{"tag": {"name": "x"}}, {"tag": {"name": "y"}}]});
    let posts: Vec<_> = (0..100).map(post).collect();
    let before = end(&world).await;
    world.api.post("/items/posts?fields=id", json!(posts)).await.expect(200);
    let events = logged(&world, before).await;
    assert_eq!(events.len(), 500);
    let indexes: Vec<i32> = events.iter().map(|event| event.4).collect();
    assert_eq!(indexes, (0..500).collect::<Vec<_>>());
    world.quiet(std::time::Duration::from_secs(30)).await;
}
