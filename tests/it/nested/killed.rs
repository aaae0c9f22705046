//! kill -9 of everything while nested writes are under way: of each request all or nothing is there, with its events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::blog;
use crate::api::{Answer, Api};

const CLIENTS: usize = 6;
/// Writes per client.
const WRITES: usize = 60;
/// After a call that came to nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes a post with two comments and a tag, or gives one two other comments and another tag.
async fn write(api: &Api, client: usize, number: usize, done: &AtomicUsize) {
    let comment = |of: &str| json!({"title": format!("{of}{client}-{number}"), "writer": {"name": "w"}});
    let body = json!({
        "title": "t", "comments": [comment("a"), comment("b")], "tags": {"create": [{"tag": {"name": "x"}}]},
    });
    let newest = match number % 2 {
        0 => None,
        _ => call(api, Method::GET, "/items/posts?fields=id&sort=-id&limit=1", json!(null)).await,
    };
    match newest.and_then(|answer| answer.data()[0]["id"].as_i64()) {
        Some(id) => call(api, Method::PATCH, &format!("/items/posts/{id}?fields=id"), body).await,
        None => call(api, Method::POST, "/items/posts?fields=id", body).await,
    };
    done.fetch_add(1, Ordering::Relaxed);
}

/// The answer, if one came and it is no outage; else a pause, so that not all calls fall into it.
async fn call(api: &Api, method: Method, path: &str, body: Value) -> Option<Answer> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    match api.raw(method, path, &[("content-type", "application/json")], body).await {
        Ok(answer) if answer.status == 200 => Some(answer),
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{}", answer.text);
            tokio::time::sleep(PAUSE).await;
            None
        }
        Err(_) => {
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

#[tokio::test]
async fn all_or_nothing_after_kill_9() {
    let mut world = blog(shape!()).await;
    let api = world.api.clone();
    let done = AtomicUsize::new(0);
    let clients = (0..CLIENTS).map(|client| {
        let (api, done) = (&api, &done);
        async move {
            for number in 0..WRITES {
                write(api, client, number, done).await;
            }
        }
    });
    let harm = async {
        let some = || async { done.load(Ordering::Relaxed) > CLIENTS * WRITES / 4 };
        testkit::eventually(Duration::from_secs(60), some).await;
        world.kill9_all();
        world.spawn_all();
        world.ready().await;
    };
    futures_util::join!(join_all(clients), harm);
    world.quiet(Duration::from_secs(60)).await;
    let pool = world.pool().await;
    let posts: i64 = sqlx::query_scalar("SELECT count(*) FROM posts").fetch_one(&pool).await.unwrap();
    assert!(posts > 20, "most writes are done: {posts}");
    for (what, sql) in [
        (
            "posts without exactly their two comments",
            "SELECT count(*) FROM posts p WHERE 2 <> (SELECT count(*) FROM comments c WHERE c.post = p.id)",
        ),
        ("comments without their writer", "SELECT count(*) FROM comments WHERE writer IS NULL"),
        (
            "authors, tags or junctions that nobody has",
            "SELECT (SELECT count(*) FROM authors) - (SELECT count(*) FROM comments) \
                  + (SELECT count(*) FROM tags) - (SELECT count(*) FROM posts_tags)",
        ),
        (
            "items without an event",
            "SELECT count(*) FROM (SELECT 'posts' AS c, id FROM posts UNION ALL SELECT 'comments', id FROM comments \
             UNION ALL SELECT 'authors', id FROM authors UNION ALL SELECT 'tags', id FROM tags \
             UNION ALL SELECT 'posts_tags', id FROM posts_tags) i WHERE NOT EXISTS (SELECT FROM eventus.events e \
             WHERE e.collection = i.c AND e.key = i.id::text AND e.name = 'items.create')",
        ),
        ("batches with a hole", super::HOLES),
    ] {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(found, 0, "{what}");
    }
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.events WHERE name = 'items.create'")
        .fetch_one(&pool)
        .await
        .unwrap();
    let items = "SELECT (SELECT count(*) FROM posts) + (SELECT count(*) FROM comments) + (SELECT count(*) FROM authors) \
                 + (SELECT count(*) FROM tags) + (SELECT count(*) FROM posts_tags)";
    let items: i64 = sqlx::query_scalar(items).fetch_one(&pool).await.unwrap();
    assert_eq!(events, items, "an event for each item, and no other");
}
