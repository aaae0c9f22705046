//! Killed workers, a forgetful broker: every event is delivered, and its success recorded once.

use std::collections::HashSet;
use std::time::Duration;

use testkit::{Answer, PATIENCE, Sink};

use crate::world::{World, config};

const SUCCEEDED: &str = "SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'succeeded'";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_nothing() {
    let world = World::start().await;
    let sink = Sink::start().await;
    // Slow enough that the kill comes in the middle of attempts.
    sink.answer(|_, _| Answer::status(200).after(Duration::from_millis(20)));
    let worker = world.worker(config()).await;
    worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 0..600).await;
    sink.wait_for(100, PATIENCE).await;
    worker.kill().await;
    let worker = world.worker(config()).await;
    world.until(SUCCEEDED, 600).await;
    let requests = sink.requests();
    let ids: HashSet<&str> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids.len(), 600);
    // Only what was under way may have come twice.
    assert!(requests.len() <= 600 + 16, "{}", requests.len());
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_attempts WHERE status = 200").await, 600);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_stop_finishes_what_is_under_way() {
    let world = World::start().await;
    let sink = Sink::start().await;
    sink.answer(|_, _| Answer::status(200).after(Duration::from_millis(200)));
    let worker = world.worker(config()).await;
    worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 0..100).await;
    sink.wait_for(5, PATIENCE).await;
    worker.stop().await;
    let sent = sink.requests().len();
    assert!(sent < 100, "{sent}");
    assert_eq!(world.number(SUCCEEDED).await, i64::try_from(sent).unwrap());
    let worker = world.worker(config()).await;
    world.until(SUCCEEDED, 100).await;
    assert_eq!(sink.requests().len(), 100);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_published_again_delivers_nothing_twice() {
    let mut world = World::start().await;
    let sink = Sink::start().await;
    let worker = world.worker(config()).await;
    worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 0..50).await;
    world.until(SUCCEEDED, 50).await;
    world.nats.kill9().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    world.bus.ready().await.unwrap();
    world.append("items.create", 50..60).await;
    world.relay().await;
    world.until(SUCCEEDED, 60).await;
    world.caught_up("webhooks").await;
    assert_eq!(sink.requests().len(), 60);
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_deliveries").await, 60);
    worker.stop().await;
}
