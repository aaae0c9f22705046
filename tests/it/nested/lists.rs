//! Lists of items: whole ones and their parts, links, and what becomes of those that are taken out.

use serde_json::{Value, json};

use super::{blog, keys};

#[tokio::test]
async fn a_whole_list_takes_the_place_of_the_one_before() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let post = json!({"title": "t", "comments": [{"title": "a"}, {"title": "b"}, {"title": "c"}]});
    api.post("/items/posts", post).await.expect(200);
    api.post("/items/comments", json!({"title": "loose"})).await.expect(200);
    let path = "/items/posts/1?fields=comments.id,comments.title&deep[comments][_sort]=id";
    // Stays, changes, comes from elsewhere, is new; the third is let go.
    let list = json!({"comments": [1, {"id": 2, "title": "B"}, 4, {"title": "new"}]});
    let after = api.patch(path, list).await.expect(200).data();
    assert_eq!(
        after["comments"],
        json!([{"id": 1, "title": "a"}, {"id": 2, "title": "B"}, {"id": 4, "title": "loose"}, {"id": 5, "title": "new"}])
    );
    let gone = api.get("/items/comments/3?fields=post").await.expect(200).data();
    assert_eq!(gone["post"], Value::Null);
    let none = api.patch(path, json!({"comments": []})).await.expect(200).data();
    assert_eq!(none["comments"], json!([]));
    assert_eq!(keys(&world, "comments").await, [1, 2, 3, 4, 5]);
    // What is taken out of the junction goes, the tags stay.
    let tags = json!({"tags": [{"tag": {"name": "x"}}, {"tag": {"name": "y"}}]});
    api.patch("/items/posts/1", tags).await.expect(200);
    let tags =
        api.patch("/items/posts/1?fields=tags.id,tags.tag.name", json!({"tags": [2, {"tag": 1}]})).await;
    let tags = tags.expect(200).data();
    assert_eq!(tags["tags"], json!([{"id": 2, "tag": {"name": "y"}}, {"id": 3, "tag": {"name": "x"}}]));
    api.patch("/items/posts/1", json!({"tags": null})).await.expect(200);
    assert_eq!((keys(&world, "posts_tags").await, keys(&world, "tags").await), (vec![], vec![1, 2]));
}

#[tokio::test]
async fn parts_of_a_list_come_change_and_go() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let post = json!({"title": "t", "comments": {"create": [{"title": "a"}, {"title": "b"}]}, "tags": {"create": [{"tag": {"name": "x"}}]}});
    api.post("/items/posts", post).await.expect(200);
    let path =
        "/items/posts/1?fields=comments.id,comments.title,tags.tag.name,tags.id&deep[comments][_sort]=id";
    let parts = json!({
        "comments": {"create": [{"title": "c"}], "update": [{"id": 1, "title": "A"}], "delete": [2]},
        "tags": {"update": [{"id": 1, "tag": {"id": 1, "name": "X"}}]},
    });
    let after = api.patch(path, parts).await.expect(200).data();
    assert_eq!(after["comments"], json!([{"id": 1, "title": "A"}, {"id": 3, "title": "c"}]));
    assert_eq!(after["tags"], json!([{"id": 1, "tag": {"name": "X"}}]));
    assert_eq!(keys(&world, "comments").await, [1, 2, 3], "let go, not deleted");
    let after = api.patch(path, json!({"tags": {"delete": [1]}})).await.expect(200).data();
    assert_eq!((&after["tags"], keys(&world, "posts_tags").await), (&json!([]), vec![]));
    // What comes and is taken out in one change is out, in whatever order it is said.
    let both = json!({"comments": {"update": [{"id": 3, "title": "gone"}], "delete": [3]}});
    let after = api.patch(path, both).await.expect(200).data();
    assert_eq!(after["comments"], json!([{"id": 1, "title": "A"}]));
    // What another post shows is none of this one's business.
    api.post("/items/posts", json!({"title": "other", "comments": [2]})).await.expect(200);
    api.patch(path, json!({"comments": {"delete": [2]}})).await.expect(200);
    assert_eq!(api.get("/items/comments/2?fields=post").await.expect(200).data()["post"], 2);
}

#[tokio::test]
async fn one_change_for_several_items_is_done_for_each() {
    let world = blog(shape!()).await;
    let api = &world.api;
    api.post("/items/posts", json!([{"title": "a"}, {"title": "b"}])).await.expect(200);
    let both = json!({"keys": [1, 2], "data": {"comments": {"create": [{"title": "to both"}]}}});
    let both = api.patch("/items/posts?fields=id,comments.title", both).await.expect(200).data();
    let comments = json!([{"title": "to both"}]);
    assert_eq!(both, json!([{"id": 1, "comments": comments}, {"id": 2, "comments": comments}]));
    let fitting = json!({"query": {"filter": {"title": {"_eq": "b"}}}, "data": {"comments": []}});
    api.patch("/items/posts", fitting).await.expect(200);
    let left = api.get("/items/comments?fields=post").await.expect(200).data();
    assert_eq!(left, json!([{"post": 1}, {"post": null}]));
    let each = json!([{"id": 1, "comments": [{"title": "x"}]}, {"id": 2, "title": "B"}]);
    let each = api.patch("/items/posts?fields=title,comments.title", each).await.expect(200).data();
    assert_eq!(each, json!([{"title": "a", "comments": [{"title": "x"}]}, {"title": "B", "comments": []}]));
}

/// Lists of one request that want the same items: the last one has them.
#[tokio::test]
async fn lists_take_items_from_each_other() {
    let world = blog(shape!()).await;
    let api = &world.api;
    let posts = json!([{"title": "a", "comments": [{"title": "1"}, {"title": "2"}]}, {"title": "b"}]);
    api.post("/items/posts", posts).await.expect(200);
    let path = "/items/posts?fields=comments.id&deep[comments][_sort]=id";
    let ids = |all: &[i64]| json!({"comments": all.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
    // Let go by one and taken by the other, in whatever order.
    let moved = json!([{"id": 1, "comments": {"delete": [1]}}, {"id": 2, "comments": [{"id": 1}]}]);
    let moved = api.patch(path, moved).await.expect(200).data();
    assert_eq!(moved, json!([ids(&[2]), ids(&[1])]));
    let back = json!([{"id": 1, "comments": [{"id": 1}, 2]}, {"id": 2, "comments": {"delete": [1]}}]);
    assert_eq!(api.patch(path, back).await.expect(200).data(), json!([ids(&[1, 2]), ids(&[])]));
    // Taken and let go at once, then taken by another.
    let third =
        json!([{"id": 1, "comments": {"update": [{"id": 2}], "delete": [2]}}, {"id": 2, "comments": [2]}]);
    assert_eq!(api.patch(path, third).await.expect(200).data(), json!([ids(&[1]), ids(&[2])]));
    // One list for two: the first takes what the second has, and the second takes it back.
    let same = json!({"keys": [2, 1], "data": {"comments": [1, 2]}});
    api.patch("/items/posts", same).await.expect(200);
    let last = api.get("/items/comments?fields=post&sort=id").await.expect(200).data();
    assert_eq!(last, json!([{"post": 2}, {"post": 2}]));
    let apart = json!([{"id": 1, "comments": [1]}, {"id": 2, "comments": [2]}]);
    api.patch("/items/posts", apart).await.expect(200);
    // Who is only named beside such is stamped as any other.
    let named = json!([{"id": 1}, {"id": 2, "tags": []}]);
    let named = api.patch("/items/posts?fields=changed", named).await.expect(200).data();
    assert!(named[0]["changed"].is_string() && named[1]["changed"].is_string(), "{named}");
    // What comes to the list by what is nested in it is none of those that it names.
    api.post("/items/authors", json!({"name": "a"})).await.expect(200);
    let deeper = json!({"name": "w", "posts": {"update": [{"id": 2, "author": 1}]}});
    let nested = json!({"posts": [{"id": 1, "comments": {"update": [{"id": 1, "writer": deeper}]}}]});
    let author = api.patch("/items/authors/1?fields=posts", nested).await.expect(200).data();
    assert_eq!(author, json!({"posts": [1]}));
    let loose = api.get("/items/posts/2?fields=author").await.expect(200).data();
    assert_eq!(loose, json!({"author": null}));
    // One change for several: the places of what is made go on, and the last key keeps what can be only once.
    let both =
        json!({"keys": [2, 1], "data": {"comments": {"create": [{"title": "n"}], "update": [{"id": 1}]}}});
    let both = api.patch("/items/posts?fields=id,comments.id", both).await.expect(200).data();
    assert_eq!(
        (both[0]["comments"].as_array().unwrap().len(), both[1]["comments"].as_array().unwrap().len()),
        (1, 3)
    );
    let places = api.get("/items/comments?fields=sort&filter[title][_eq]=n&sort=id").await.expect(200).data();
    assert_eq!(places, json!([{"sort": 1}, {"sort": 1}]));
}

/// An item that is named and not changed is in the answer; the answer has the collection's own order.
#[tokio::test]
async fn answers_have_all_that_is_named_in_its_own_order() {
    let world = blog(shape!()).await;
    let api = &world.api;
    api.patch("/collections/comments", json!({"meta": {"sort_field": "sort"}})).await.expect(200);
    let comments = json!([{"title": "a", "sort": 3}, {"title": "b"}, {"title": "c", "sort": 1}]);
    let made = api.post("/items/comments?fields=id", comments).await.expect(200).data();
    assert_eq!(made, json!([{"id": 3}, {"id": 1}, {"id": 2}]));
    let changed = json!([{"id": 2}, {"id": 1, "title": "A"}, {"id": 3}]);
    let changed = api.patch("/items/comments?fields=id,title", changed).await.expect(200).data();
    assert_eq!(changed, json!([{"id": 3, "title": "c"}, {"id": 1, "title": "A"}, {"id": 2, "title": "b"}]));
    let all = json!({"keys": [1, 2, 3], "data": {"title": "x"}});
    let all = api.patch("/items/comments?fields=id", all).await.expect(200).data();
    assert_eq!(all, json!([{"id": 3}, {"id": 1}, {"id": 2}]));
}
