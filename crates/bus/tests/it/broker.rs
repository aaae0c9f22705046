//! Brokers that die, forget, and are replaced while everything runs.

use std::time::Duration;

use testkit::eventually;

use crate::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_server_in_the_middle_loses_nothing_and_keeps_order() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|_| {}).await;
    for round in 1..=3 {
        world.log.fill(4000, 40);
        world.effects.until(4100 * round - 3000).await;
        world.nats.kill9().await;
        // Written while the broker is away.
        world.log.fill(100, 40);
        world.nats.restart().await;
        world.effects.until(4100 * round).await;
    }
    let count = world.log.all().len();
    world.effects.until(count).await;
    assert_eq!(world.effects.check_order(), count);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_store_is_rebuilt_while_everything_runs() {
    let mut world = World::new().await;
    world.relay().await;
    let running = world.consumer(|_| {}).await;
    world.log.fill(2000, 20);
    world.effects.until(1000).await;
    world.nats.kill9().await;
    world.nats.wipe_store();
    world.log.fill(1000, 20);
    world.nats.restart().await;
    world.effects.until(3000).await;
    running.attached().await;
    world.log.fill(10, 5);
    world.effects.until(3010).await;
    assert_eq!(world.effects.check_order(), 3010);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_wiped_while_all_is_stopped_is_caught_up_from_the_log() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    let running = world.consumer(|_| {}).await;
    world.log.fill(500, 10);
    world.effects.until(500).await;
    running.stop().await;
    relay.abort();
    world.log.fill(500, 10);
    world.nats.kill9().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    // Without a relay the stream stays empty; the log alone brings the consumer to its end.
    world.consumer(|_| {}).await;
    world.effects.until(1000).await;
    world.settled().await;
    world.relay().await;
    world.log.fill(100, 10);
    world.effects.until(1100).await;
    assert_eq!(world.effects.check_order(), 1100);
    assert!(world.effects.applied().calls.values().all(|calls| *calls == 1));
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_behind_the_mark_is_caught_up_from_the_log() {
    let mut world = World::new().await;
    world.log.fill(1500, 10);
    // The relay of another life: the first thousand have expired.
    let bus = world.bus().await;
    let log = world.log.clone();
    world.tasks.spawn(crate::world::relay(bus, log, 1000));
    world.consumer(|_| {}).await;
    world.effects.until(1500).await;
    assert_eq!(world.effects.check_order(), 1500);
    world.settled().await;
    assert!(world.effects.applied().calls.values().all(|calls| *calls == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_streams_and_consumers_are_made_again() {
    let mut world = World::new().await;
    world.relay().await;
    let running = world.consumer(|_| {}).await;
    world.log.fill(300, 10);
    world.effects.until(300).await;
    let bus = world.bus().await;
    bus.jetstream().delete_stream("EVENTS").await.unwrap();
    world.log.fill(300, 10);
    world.effects.until(600).await;
    running.attached().await;
    eventually(SOON, || async {
        let stream = bus.jetstream().get_stream("EVENTS").await;
        match stream {
            Ok(stream) => stream.delete_consumer("worker").await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    world.log.fill(300, 10);
    world.effects.until(900).await;
    assert_eq!(world.effects.check_order(), 900);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_purged_before_they_are_seen_come_from_the_log() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.max_in_flight = 10).await;
    world.log.append("first");
    world.effects.until(1).await;
    let closed = world.effects.gate.clone().write_owned().await;
    world.log.fill(200, 10);
    let bus = world.bus().await;
    eventually(SOON, || async {
        let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
        stream.cached_info().state.messages == 201
    })
    .await;
    bus.jetstream().get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    drop(closed);
    world.effects.until(201).await;
    assert_eq!(world.effects.check_order(), 201);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_messages_are_dropped_and_stop_nothing() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    world.consumer(|_| {}).await;
    world.log.append("1");
    world.effects.until(1).await;
    relay.abort();
    let bus = world.bus().await;
    for _ in 0..3 {
        bus.jetstream().publish("items.create.a", "foreign".into()).await.unwrap().await.unwrap();
    }
    eventually(SOON, || async {
        let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
        let info = stream.consumer_info("worker").await.unwrap();
        info.num_ack_pending == 0 && info.num_pending == 0
    })
    .await;
    assert_eq!(world.effects.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_away_delays_and_loses_nothing() {
    let mut world = World::new().await;
    world.relay().await;
    *world.memory.away.lock().unwrap() = true;
    let running = world.consumer(|config| config.ack_wait = Duration::from_secs(1)).await;
    world.log.fill(200, 10);
    eventually(SOON, || async { !running.health.ready() }).await;
    *world.memory.away.lock().unwrap() = false;
    world.effects.until(200).await;
    running.attached().await;
    // Away again in the middle: the mark waits, the work goes on.
    *world.memory.away.lock().unwrap() = true;
    world.log.fill(200, 10);
    world.effects.until(400).await;
    *world.memory.away.lock().unwrap() = false;
    world.settled().await;
    assert_eq!(world.effects.check_order(), 400);
}
