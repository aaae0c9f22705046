//! Items within the items of a PUT.

use http::Method;
use serde_json::{Value, json};

use super::super::nested::{blog, keys};

#[tokio::test]
async fn items_within_items_are_made_and_changed() {
    let world = blog(shape!()).await;
    let put = async |path: &str, body: Value| {
        world.api.call(Method::PUT, &format!("/items/{path}"), Some(body)).await
    };
    let path = "authors?on_conflict=slug&fields=slug,posts.id,posts.title,posts.comments.title&deep[posts][_sort]=id";
    let authors = json!([
        {"slug": "b", "posts": [{"title": "p", "comments": [{"title": "c"}]}]},
        {"slug": "a", "posts": {"create": [{"title": "q"}]}},
    ]);
    let made = put(path, authors).await.expect(200).data();
    assert_eq!(
        (&made[0]["slug"], &made[1]["slug"]),
        (&json!("b"), &json!("a")),
        "the order is the request's"
    );
    assert_eq!(made[0]["posts"][0]["comments"], json!([{"title": "c"}]));
    let (p, q) = (made[0]["posts"][0]["id"].clone(), made[1]["posts"][0]["id"].clone());
    // One is there and takes a post of another, one is new, one only changes itself.
    let authors = json!([
        {"slug": "c", "name": "new", "posts": [{"title": "r"}]},
        {"slug": "b", "posts": {"create": [{"title": "s"}], "update": [{"id": q, "title": "Q"}], "delete": [p]}},
        {"slug": "a", "name": "changed"},
    ]);
    let done = put(path, authors).await.expect(200).data();
    let titles = |at: usize| {
        done[at]["posts"].as_array().unwrap().iter().map(|post| post["title"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((titles(0), titles(1), titles(2)), (vec![json!("r")], vec![json!("Q"), json!("s")], vec![]));
    assert_eq!((keys(&world, "authors").await.len(), keys(&world, "posts").await.len()), (3, 4));
    let caused = "SELECT count(*) FROM eventus.events e JOIN eventus.events c ON c.id = e.causation_id \
                  WHERE e.collection = 'posts' AND c.collection = 'authors'";
    let caused: i64 = sqlx::query_scalar(caused).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(caused, 6, "made: four; moved and let go: two");
    // One that is wrong takes all of it back.
    let wrong = json!([{"slug": "a", "name": "x"}, {"slug": "d", "posts": [{"title": null}]}]);
    let refused = put(path, wrong).await.refused(400, "FAILED_VALIDATION");
    assert_eq!(refused.json()["errors"][0]["extensions"]["path"], json!(["posts"]));
    let names = world.api.get("/items/authors?fields=name&sort=slug").await.expect(200).data();
    assert_eq!(names, json!([{"name": "changed"}, {"name": null}, {"name": "new"}]));
    // What decides is a value of its own.
    put("posts?on_conflict=author", json!({"author": {"name": "x"}, "title": "t"}))
        .await
        .refused(400, "INVALID_QUERY");
    // An item that is referred to.
    let post = json!({"id": q, "author": {"slug": "e"}, "tags": [{"tag": {"name": "t"}}]});
    let post = put("posts?fields=title,author.slug,tags.tag.name", post).await.expect(200).data();
    assert_eq!(post, json!({"title": "Q", "author": {"slug": "e"}, "tags": [{"tag": {"name": "t"}}]}));
    world.quiet(std::time::Duration::from_secs(10)).await;
}
