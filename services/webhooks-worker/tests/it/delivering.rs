//! What arrives, and what does not.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use event_store::NewEvent;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use testkit::{PATIENCE, Sink, TRACE};

use crate::world::{World, config, event};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_signed_and_in_its_trace() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    let endpoint = worker.endpoint(&sink.url("/hook?tenant=7"), &["items.create.articles"]).await;
    let id = world.append("items.create", 1..2).await[0];

    let received = sink.wait_for(1, PATIENCE).await.remove(0);
    Webhook::new(&endpoint.secret).unwrap().verify(&received.body, &received.headers).unwrap();
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hook?tenant=7"));
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("user-agent"), "Eventus-Webhooks");
    assert_eq!(&received.header("traceparent")[..36], &TRACE[..36]);
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["type"], "items.create");
    assert_eq!(body["data"]["id"], id.to_string());
    assert_eq!(body["data"]["payload"], json!({"id": 1, "title": "é", "price": 1.5}));
    assert!(received.text().contains("1.50"), "digits are kept");

    let deliveries = worker.until(&endpoint, "succeeded", 1).await;
    let delivery = &deliveries[0];
    assert_eq!(delivery.id, received.header("webhook-id"));
    assert_eq!(
        (delivery.event_id.as_str(), delivery.event.as_str()),
        (id.to_string().as_str(), "items.create")
    );
    assert_eq!(delivery.trace_id, TRACE[3..35]);
    let attempts: Vec<_> = delivery
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.status, attempt.error.as_str()))
        .collect();
    assert_eq!(attempts, [(1, 200, "")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_an_endpoint_wants_arrives() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    let url = |path: &str| sink.url(path);
    worker.endpoint(&url("/all"), &["*"]).await;
    worker.endpoint(&url("/deletes"), &["items.delete", "auth.login"]).await;
    worker.endpoint(&url("/pages"), &["items.*.pages"]).await;
    world.append("items.create", 1..2).await;
    world.commit(&[NewEvent { silent: true, ..event("items.delete", "2") }]).await;
    world.append("items.delete", 3..4).await;
    world.append("auth.login", 4..5).await;
    world.caught_up("webhooks").await;
    let mut paths: Vec<String> =
        sink.wait_for(5, PATIENCE).await.into_iter().map(|request| request.path).collect();
    paths.sort();
    assert_eq!(paths, ["/all", "/all", "/all", "/deletes", "/deletes"]);
    world.until("SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'succeeded'", 5).await;
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_deliveries").await, 5);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_made_by_another_process_misses_nothing() {
    let world = World::start().await;
    let (first, second) = (world.worker(config()).await, world.worker(config()).await);
    let sink = Sink::start().await;
    // One of the two has the consumer; either way the first event after the answer arrives.
    for (number, worker) in [&first, &second, &first, &second].into_iter().enumerate() {
        worker.endpoint(&sink.url(&format!("/{number}")), &["*"]).await;
        world.append("items.create", number..number + 1).await;
    }
    sink.wait_for(1 + 2 + 3 + 4, PATIENCE).await;
    world.until("SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'succeeded'", 10).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_work_and_double_none() {
    let world = World::start().await;
    let (first, second) = (world.worker(config()).await, world.worker(config()).await);
    let sink = Sink::start().await;
    first.endpoint(&sink.url("/"), &["items.*"]).await;
    let begun = Instant::now();
    world.append("items.update", 0..1_000).await;
    world.until("SELECT count(*) FROM eventus.webhook_deliveries", 1_000).await;
    eprintln!("queued: {:?}, sent meanwhile {}", begun.elapsed(), sink.requests().len());
    let received = sink.wait_for(1_000, PATIENCE).await;
    let took = begun.elapsed();
    world.until("SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'succeeded'", 1_000).await;
    eprintln!("1000 deliveries to one endpoint: {took:?}");
    let ids: HashSet<&str> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!((ids.len(), sink.requests().len()), (1_000, 1_000));
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_attempts").await, 1_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_item_arrives_whole() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    worker.endpoint(&sink.url("/"), &["*"]).await;
    let text = "ü".repeat(450_000);
    let payload = serde_json::value::to_raw_value(&json!({ "text": text })).unwrap();
    world.commit(&[NewEvent { payload: Some(payload), ..event("items.update", "1") }]).await;
    let received = sink.wait_for(1, PATIENCE).await.remove(0);
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["data"]["payload"]["text"], text);
    worker.stop().await;
}
