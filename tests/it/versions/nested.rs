//! Versions that keep items within their item: read as they would be, promoted with all that is in them.

use serde_json::{Value, json};

use super::super::nested::{blog, keys};
use super::{place, read, version};
use crate::world::{Shape, World};

/// A post with two comments and a tag, in a collection with versions.
async fn world(shape: Shape) -> World {
    let world = blog(shape).await;
    let api = &world.api;
    api.patch("/collections/posts", json!({"meta": {"versioning": true}})).await.expect(200);
    let post = json!({
        "title": "t", "author": {"name": "Ada"}, "comments": [{"title": "a"}, {"title": "b"}],
        "tags": [{"tag": {"name": "red"}}],
    });
    api.post("/items/posts", post).await.expect(200);
    world
}

#[tokio::test]
async fn items_within_a_version_are_read_as_they_would_be_and_promoted() {
    let world = world(shape!()).await;
    let api = &world.api;
    let made = version(&world, "draft", "posts", "1").await;
    let place = place(&made);
    let delta = json!({
        "title": "T", "author": {"name": "Bob"},
        "comments": {"create": [{"title": "c"}], "update": [{"id": 1, "title": "A"}], "delete": [2]},
        "tags": [{"tag": {"name": "blue"}}],
        "blocks": [{"collection": "headings", "item": {"text": "h"}}],
    });
    let saved = api.post(&format!("{place}/save"), delta.clone()).await.expect(200).data();
    assert_eq!((&saved["comments"], &saved["author"]), (&delta["comments"], &delta["author"]));
    let main = read(&world, "/items/posts/1?fields=*,comments.title,author.name").await;
    // New items have no keys yet, wherever theirs would stand.
    let path = "/items/posts/1?version=draft&deep[comments][_sort]=id&fields=title,author.id,author.name,comments.id,\
                comments.title,tags.id,tags.tag.id,tags.tag.name,blocks.item:headings.id,blocks.item:headings.text,\
                blocks.collection";
    let expected = json!({
        "title": "T", "author": {"id": null, "name": "Bob"},
        "comments": [{"id": 1, "title": "A"}, {"id": null, "title": "c"}],
        "tags": [{"id": null, "tag": {"id": null, "name": "blue"}}],
        "blocks": [{"collection": "headings", "item": {"id": null, "text": "h"}}],
    });
    assert_eq!(read(&world, path).await, expected);
    assert_eq!(read(&world, path).await, expected, "a look changes nothing");
    let plain = read(&world, "/items/posts/1?version=draft&fields=author,comments,tags").await;
    assert_eq!(plain, json!({"author": null, "comments": [null, 1], "tags": [null]}));
    let renamed = "/items/posts/1?version=draft&fields=who.name,who.id&alias[who]=author";
    assert_eq!(read(&world, renamed).await, json!({"who": {"name": "Bob", "id": null}}));
    let raw = read(&world, "/items/posts/1?version=draft&versionRaw=true").await;
    assert_eq!((&raw["comments"], &raw["title"]), (&delta["comments"], &json!("T")));
    assert_eq!(read(&world, "/items/posts/1?fields=*,comments.title,author.name").await, main);
    assert_eq!((keys(&world, "comments").await, keys(&world, "tags").await), (vec![1, 2], vec![1]));
    let compared = read(&world, &format!("{place}/compare")).await;
    assert_eq!((&compared["current"]["tags"], &compared["outdated"]), (&delta["tags"], &json!(false)));
    let events = "SELECT count(*) FROM eventus.events WHERE name LIKE 'items.%'";
    let before: i64 = sqlx::query_scalar(events).fetch_one(&world.pool().await).await.unwrap();
    let hash = json!({"mainHash": compared["mainHash"]});
    api.post(&format!("{place}/promote"), hash).await.expect(200);
    let path = "/items/posts/1?deep[comments][_sort]=id&fields=author.name,comments.post,comments.title,tags.post,\
                tags.tag.name,blocks.item:headings.text,blocks.collection";
    let item = read(&world, path).await;
    assert_eq!(item["author"], json!({"name": "Bob"}));
    assert_eq!(item["comments"], json!([{"post": 1, "title": "A"}, {"post": 1, "title": "c"}]));
    assert_eq!(item["tags"], json!([{"post": 1, "tag": {"name": "blue"}}]));
    assert_eq!(item["blocks"], json!([{"collection": "headings", "item": {"text": "h"}}]));
    let after: i64 = sqlx::query_scalar(events).fetch_one(&world.pool().await).await.unwrap();
    // Post, author; comments made, changed and let go; tag and its junction, the old one gone; heading and its block.
    assert_eq!(after - before, 10);
    world.quiet(std::time::Duration::from_secs(10)).await;
}

#[tokio::test]
async fn what_is_wrong_within_a_version() {
    let world = world(shape!()).await;
    let api = &world.api;
    let made = version(&world, "draft", "posts", "1").await;
    let place = place(&made);
    let save = async |body: Value| api.post(&format!("{place}/save"), body).await;
    for body in [
        json!({"comments": 5}),
        json!({"comments": {"other": []}}),
        json!({"comments": {"create": {}}}),
        json!({"author": [1]}),
    ] {
        save(body).await.refused(400, "INVALID_PAYLOAD");
    }
    assert_eq!(read(&world, &place).await["delta"], Value::Null);
    // It may be unfinished: what is wrong is said when it is looked at or written.
    save(json!({"comments": [{"title": null}], "title": "T"})).await.expect(200);
    let hash = read(&world, &format!("{place}/compare")).await["mainHash"].clone();
    for answer in [
        api.get("/items/posts/1?version=draft").await,
        api.post(&format!("{place}/promote"), json!({"mainHash": hash})).await,
    ] {
        let refused = answer.refused(400, "FAILED_VALIDATION");
        assert_eq!(refused.json()["errors"][0]["extensions"]["path"], json!(["comments"]));
    }
    assert_eq!(
        (keys(&world, "comments").await, read(&world, "/items/posts/1?fields=title").await),
        (vec![1, 2], json!({"title": "t"}))
    );
    // A part of it can be promoted.
    api.post(&format!("{place}/promote"), json!({"mainHash": hash, "fields": ["title"]})).await.expect(200);
    assert_eq!(read(&world, "/items/posts/1?fields=title").await, json!({"title": "T"}));
    // A version of a taken-over database says in each object who sent it when.
    let marked = json!({
        "_user": "u", "_date": "d",
        "comments": {"create": [{"title": "c", "_user": "u", "_date": "d"}], "update": [], "delete": [], "_user": "u", "_date": "d"},
    });
    sqlx::query("UPDATE directus_versions SET delta = $1::json")
        .bind(marked.to_string())
        .execute(&world.pool().await)
        .await
        .unwrap();
    let shown =
        read(&world, "/items/posts/1?version=draft&fields=comments.title&deep[comments][_sort]=title").await;
    assert_eq!(shown["comments"], json!([{"title": "a"}, {"title": "b"}, {"title": "c"}]));
}
