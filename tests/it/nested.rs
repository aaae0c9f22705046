//! Items with others nested in them: every kind of relation, every form, all or nothing, one event per item.

use serde_json::{Value, json};

use crate::world::{Shape, World};

mod events;
mod killed;
mod lists;
mod model;
mod refusals;
mod system;

/// Batches whose events don't count up from 0, each place once.
const HOLES: &str = "SELECT count(*) FROM (SELECT FROM eventus.events WHERE name LIKE 'items.%' GROUP BY batch_id \
     HAVING count(*) <> max(batch_index) + 1 OR count(*) <> count(DISTINCT batch_index)) b";

/// A blog: posts with an author, comments, tags by a junction, blocks of any of two kinds, translations.
pub async fn blog(shape: Shape) -> World {
    let world = World::start(shape).await;
    let text = |name: &str| json!({"field": name, "type": "string"});
    let number = |name: &str| json!({"field": name, "type": "integer"});
    let alias =
        |name: &str, special: &str| json!({"field": name, "type": "alias", "meta": {"special": [special]}});
    let title = json!({"field": "title", "type": "string", "schema": {"is_nullable": false}, "meta": {"required": true}});
    let changed = json!({"field": "changed", "type": "timestamp", "meta": {"special": ["date-updated"]}});
    let slug = json!({"field": "slug", "type": "string", "schema": {"is_unique": true}});
    let authors = json!([text("name"), alias("posts", "o2m"), slug]);
    let posts = json!([
        title,
        changed,
        number("author"),
        alias("comments", "o2m"),
        alias("tags", "m2m"),
        alias("blocks", "m2a"),
        alias("translations", "translations")
    ]);
    world.collection("authors", authors).await;
    world.collection("posts", posts).await;
    world.collection("comments", json!([title, number("post"), number("writer"), number("sort")])).await;
    world.collection("tags", json!([text("name")])).await;
    world.collection("posts_tags", json!([number("post"), number("tag"), number("sort")])).await;
    world.collection("headings", json!([text("text")])).await;
    world.collection("images", json!([text("file"), number("artist")])).await;
    world.collection("posts_blocks", json!([number("post"), text("item"), text("collection")])).await;
    let language = json!({"field": "language", "type": "string"});
    world.collection("posts_translations", json!([number("post"), language, text("text")])).await;
    relations(&world).await;
    world
}

async fn relations(world: &World) {
    for (collection, field, related, meta) in [
        ("posts", "author", json!("authors"), json!({"one_field": "posts"})),
        ("comments", "post", json!("posts"), json!({"one_field": "comments", "sort_field": "sort"})),
        ("comments", "writer", json!("authors"), json!({})),
        (
            "posts_tags",
            "post",
            json!("posts"),
            json!({"one_field": "tags", "junction_field": "tag", "sort_field": "sort", "one_deselect_action": "delete"}),
        ),
        ("posts_tags", "tag", json!("tags"), json!({"junction_field": "post"})),
        ("images", "artist", json!("authors"), json!({})),
        (
            "posts_blocks",
            "post",
            json!("posts"),
            json!({"one_field": "blocks", "junction_field": "item", "one_deselect_action": "delete"}),
        ),
        (
            "posts_blocks",
            "item",
            Value::Null,
            json!({"one_collection_field": "collection", "one_allowed_collections": ["headings", "images"], "junction_field": "post"}),
        ),
        ("posts_translations", "post", json!("posts"), json!({"one_field": "translations"})),
    ] {
        let mut relation =
            json!({"collection": collection, "field": field, "related_collection": related, "meta": meta});
        if collection == "images" {
            relation["schema"] = json!({"on_delete": "SET NULL"});
        }
        world.api.post("/relations", relation).await.expect(200);
    }
}

/// The keys of a collection's items.
pub async fn keys(world: &World, collection: &str) -> Vec<i64> {
    let items =
        world.api.get(&format!("/items/{collection}?fields=id&limit=-1&sort=id")).await.expect(200).data();
    items.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

/// Everything at once, by one request.
#[tokio::test]
async fn a_whole_tree_is_made_and_read_back() {
    let world = blog(shape!()).await;
    let post = json!({
        "title": "Hello",
        "author": {"name": "Ada"},
        "comments": [{"title": "first", "writer": {"name": "Bob"}}, {"title": "second"}],
        "tags": [{"tag": {"name": "red"}}, {"tag": {"name": "blue"}}],
        "blocks": [
            {"collection": "headings", "item": {"text": "Chapter"}},
            {"collection": "images", "item": {"file": "a.png", "artist": {"name": "Cy"}}},
        ],
        "translations": {"create": [{"language": "de", "text": "Hallo"}]},
    });
    let fields = "title,author.name,comments.title,comments.writer.name,tags.tag.name,blocks.collection,\
                  blocks.item:headings.text,blocks.item:images.file,blocks.item:images.artist.name,\
                  translations.language,translations.text";
    let made = world.api.post(&format!("/items/posts?fields={fields}"), post).await.expect(200).data();
    assert_eq!(
        made,
        json!({
            "title": "Hello",
            "author": {"name": "Ada"},
            "comments": [{"title": "first", "writer": {"name": "Bob"}}, {"title": "second", "writer": null}],
            "tags": [{"tag": {"name": "red"}}, {"tag": {"name": "blue"}}],
            "blocks": [
                {"collection": "headings", "item": {"text": "Chapter"}},
                {"collection": "images", "item": {"file": "a.png", "artist": {"name": "Cy"}}},
            ],
            "translations": [{"language": "de", "text": "Hallo"}],
        })
    );
    world.quiet(std::time::Duration::from_secs(10)).await;
}

/// Items that a field refers to: linked, changed, made, let go.
#[tokio::test]
async fn one_item_is_linked_changed_or_made() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let ada = api.post("/items/authors", json!({"name": "Ada"})).await.expect(200).data()["id"].clone();
    let fields = "fields=id,author.id,author.name";
    let path = format!("/items/posts?{fields}");
    let of = |author: Value| json!({"title": "t", "author": author});
    let linked = api.post(&path, of(json!({"id": ada}))).await.expect(200).data();
    assert_eq!(linked["author"], json!({"id": ada, "name": "Ada"}));
    let changed = api.post(&path, of(json!({"id": ada, "name": "Ada L."}))).await.expect(200).data();
    assert_eq!(changed["author"], json!({"id": ada, "name": "Ada L."}));
    let given = api.post(&path, of(json!({"id": 77, "name": "Given"}))).await.expect(200).data();
    assert_eq!(given["author"], json!({"id": 77, "name": "Given"}));
    let one = format!("/items/posts/{}?{fields}", given["id"]);
    let made = api.patch(&one, json!({"author": {"name": "New"}})).await.expect(200).data();
    assert_eq!((&made["author"]["name"], &made["author"]["id"]), (&json!("New"), &json!(78)));
    let none = api.patch(&one, json!({"author": null})).await.expect(200).data();
    assert_eq!(none["author"], Value::Null);
    // Several posts at once share what they are all to refer to.
    let all = json!({"keys": [1, 2, 3], "data": {"author": {"name": "Shared"}}});
    let shared = api.patch(&path, all).await.expect(200).data();
    let authors: Vec<_> =
        shared.as_array().unwrap().iter().map(|post| post["author"]["id"].clone()).collect();
    assert_eq!(authors, [json!(79), json!(79), json!(79)]);
    // A key that is new comes twice: made once, then changed.
    let twice = json!([of(json!({"id": 90, "name": "a"})), of(json!({"id": 90, "name": "b"}))]);
    let twice = api.post(&path, twice).await.expect(200).data();
    assert_eq!((&twice[0]["author"]["name"], &twice[1]["author"]["id"]), (&json!("b"), &json!(90)));
}

/// What is written is in the lists of the items that it leads to, in the answer already.
#[tokio::test]
async fn answers_see_what_was_written() {
    let world = blog(shape!()).await;
    let api = &world.api;
    api.post("/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}])).await.expect(200);
    let path = "/items/posts?fields=id,author.posts";
    let made = api.post(path, json!({"title": "t", "author": 1})).await.expect(200).data();
    assert_eq!(made, json!({"id": 1, "author": {"posts": [1]}}));
    let made = api.post(path, json!([{"title": "u", "author": 1}, {"title": "v", "author": 2}])).await;
    let made = made.expect(200).data();
    assert_eq!(made, json!([{"id": 2, "author": {"posts": [1, 2]}}, {"id": 3, "author": {"posts": [3]}}]));
    let moved =
        api.patch("/items/posts/1?fields=author.posts", json!({"author": 2})).await.expect(200).data();
    assert_eq!(moved, json!({"author": {"posts": [1, 3]}}));
}
