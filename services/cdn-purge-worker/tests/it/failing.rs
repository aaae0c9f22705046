//! A CDN that fails or is away, a worker that is killed, a broker that forgets.

use std::time::Duration;

use testkit::{Answer, PATIENCE, process};

use crate::world::World;

const SUCCEEDED: &str = "SELECT count(*) FROM eventus.purges WHERE state = 'succeeded'";

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_and_what_is_not_there_is_a_success() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.cdn.answer(|_, number| Answer::status([500, 502, 404][number.min(2)]));
    world.append("items.update", &["1"]).await;
    world.until(SUCCEEDED, 1).await;
    let requests = world.cdn.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[1].time - requests[0].time >= Duration::from_millis(80));
    assert!(requests[2].time - requests[1].time >= Duration::from_millis(200));
    assert_eq!(world.number("SELECT attempts::bigint FROM eventus.purges").await, 3);
    let metrics = chassis::metrics::render();
    for line in
        ["eventus_purges_total{outcome=\"status\"} 2", "eventus_purges_total{outcome=\"succeeded\"} 1"]
    {
        assert!(metrics.contains(line), "{line}");
    }
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cdn_asks_for_holds_for_all_purges() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.cdn.answer(|_, number| match number {
        0 => Answer::status(503).header("retry-after", "2"),
        _ => Answer::status(200),
    });
    world.append("items.update", &["1"]).await;
    world.until("SELECT count(*) FROM eventus.purges WHERE last_error = 'status 503'", 1).await;
    world.append("items.update", &["2", "3"]).await;
    world.until(SUCCEEDED, 3).await;
    let requests = world.cdn.requests();
    assert_eq!(requests.len(), 4);
    for later in &requests[1..] {
        assert!(later.time - requests[0].time >= Duration::from_millis(1_950));
    }
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_request_it_is_given_up() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.cdn.answer_status(500);
    world.append("items.update", &["1"]).await;
    let failed = "SELECT count(*) FROM eventus.purges
        WHERE state = 'failed' AND attempts = 4 AND last_error = 'status 500' AND finished IS NOT NULL";
    world.until(failed, 1).await;
    assert_eq!(world.cdn.requests().len(), 4);
    // A key that makes no URL is given up without a request; the next change has a new row.
    world.cdn.answer_status(200);
    world.append("items.update", &[&"x".repeat(3_000), "1"]).await;
    world.until(SUCCEEDED, 1).await;
    world
        .until("SELECT count(*) FROM eventus.purges WHERE state = 'failed' AND last_error = 'invalid'", 1)
        .await;
    assert_eq!(world.cdn.requests().len(), 5);
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_killed_worker_nor_a_wiped_stream_loses_a_purge() {
    let mut world = World::start().await;
    world.cdn.answer(|_, _| Answer::status(200).after(Duration::from_millis(50)));
    let worker = world.worker(world.config()).await;
    let keys: Vec<String> = (0..200).map(|key| key.to_string()).collect();
    world.append("items.update", &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.cdn.wait_for(20, PATIENCE).await;
    worker.shutdown.begin_hard();
    worker.tasks.drain().await;
    world.nats.kill9().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    world.bus.ready().await.unwrap();
    let worker = world.worker(world.config()).await;
    world.append("items.update", &["last"]).await;
    world.relay().await;
    world.until(SUCCEEDED, 201).await;
    world.settled().await;
    // Only what was under way may have been asked for twice.
    let asked = world.cdn.requests().len();
    assert!((201..=201 + 8).contains(&asked), "{asked}");
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cdn_that_was_away_is_asked_when_it_is_back() {
    let mut world = World::start().await;
    let mut config = world.config();
    config.schedule.delays = vec![Duration::from_millis(200); 50];
    let worker = world.worker(config).await;
    world.cdn.pause().await;
    world.append("items.update", &["1", "2"]).await;
    world.until("SELECT count(*) FROM eventus.purges WHERE last_error = 'refused'", 2).await;
    world.cdn.resume().await;
    world.until(SUCCEEDED, 2).await;
    assert_eq!(world.cdn.requests().len(), 2);
    process::stop(&worker).await;
}
