//! One of the processes of a fleet dies under load, or is away: the others go on, and nothing is lost.

use http::Method;
use serde_json::json;

use crate::storm::{ITEMS, Storm};
use crate::world::{Options, Shape, World};

async fn killed(role: &str) {
    killed_in(Storm::start(Shape::Split).await, role).await;
}

async fn killed_in(mut storm: Storm, role: &str) {
    let index = storm.world.process_of(role);
    let acked = storm
        .rage(async |world| {
            world.kill9(index);
            world.spawn(index);
            world.ready().await;
        })
        .await;
    assert!(acked.len() > ITEMS / 2, "most creates are acknowledged: {}", acked.len());
    storm.settle(&acked).await;
}

#[tokio::test]
async fn kill_9_of_the_gateway() {
    killed("gateway").await;
}

#[tokio::test]
async fn kill_9_of_items() {
    killed("items").await;
}

#[tokio::test]
async fn kill_9_of_auth() {
    killed("auth").await;
}

#[tokio::test]
async fn kill_9_of_hooks() {
    killed("hooks").await;
}

#[tokio::test]
async fn kill_9_of_analytics() {
    killed("analytics").await;
}

#[tokio::test]
async fn kill_9_of_webhooks() {
    killed("webhooks").await;
}

#[tokio::test]
async fn kill_9_of_cdn_purge() {
    killed_in(Storm::with_cdn(Shape::Split).await, "cdn-purge").await;
}

/// Filter hooks registered and nobody there to answer: 503, and nothing is written.
#[tokio::test]
async fn a_filter_that_does_not_answer_stops_the_write() {
    let options = Options::default()
        .set("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles")
        .set("EVENTUS_FILTER_DEADLINE", "500ms");
    let mut world = World::with(Shape::Split, options).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world.collection("plain", json!([{"field": "title", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"title": "before"})).await.expect(200);
    let hooks = world.process_of("hooks");
    world.kill9(hooks);
    let answer = world.api.post("/items/articles", json!({"title": "during"})).await;
    assert!(answer.refused(503, "SERVICE_UNAVAILABLE").header("retry-after").is_some());
    world.api.post("/items/plain", json!({"title": "not filtered"})).await.expect(200);
    world.spawn(hooks);
    world.ready().await;
    world.api.post("/items/articles", json!({"title": "after"})).await.expect(200);
    let titles = world.api.get("/items/articles?fields=title").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "before"}, {"title": "after"}]));
}

/// What was answered before asks no filter again.
#[tokio::test]
async fn a_retry_is_answered_while_filters_are_away() {
    let options = Options::default()
        .set("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles")
        .set("EVENTUS_FILTER_DEADLINE", "500ms");
    let mut world = World::with(Shape::Split, options).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    let post = async |world: &World, key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        world.api.raw(Method::POST, "/items/articles", &headers, r#"{"title":"a"}"#).await.unwrap()
    };
    let first = post(&world, "k").await.expect(200);
    let hooks = world.process_of("hooks");
    world.kill9(hooks);
    post(&world, "l").await.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(post(&world, "k").await.expect(200).text, first.text);
}

#[tokio::test]
async fn a_service_that_is_away_is_a_503_that_says_when() {
    let mut world = World::start(Shape::Split).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    let items = world.process_of("items");
    world.kill9(items);
    for (method, path) in
        [(Method::GET, "/items/articles"), (Method::POST, "/items/articles"), (Method::GET, "/collections")]
    {
        let answer = world.api.call(method, path, None).await.refused(503, "SERVICE_UNAVAILABLE");
        assert_eq!((answer.header("retry-after"), answer.header("cache-control")), (Some("1"), None));
    }
    world.api.get("/server/ping").await.expect(200);
    let health = world.api.get("/server/health").await.expect(503);
    assert_eq!(health.json()["status"], "error");
}
