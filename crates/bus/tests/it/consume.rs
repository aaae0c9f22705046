//! From the log through the stream to the handler, when nothing goes wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use testkit::eventually_some;

use crate::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_and_in_order_and_the_mark_follows() {
    let mut world = World::new().await;
    world.relay().await;
    let running = world.consumer(|_| {}).await;
    running.attached().await;
    world.log.fill(5000, 50);
    world.effects.until(5000).await;
    assert_eq!(world.effects.check_order(), 5000);
    assert!(world.effects.applied().calls.values().all(|calls| *calls == 1));
    assert!(world.effects.applied().batches.iter().any(|batch| *batch > 1), "batches form");
    world.settled().await;
    running.stop().await;
    assert_eq!(world.memory.mark(), 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_filtered_and_the_mark_passes_what_does_not_concern_us() {
    let mut world = World::new().await;
    world.relay().await;
    let one = world
        .consumer(|config| {
            config.filter_subjects = vec!["items.create.>".to_owned(), "users.create".to_owned()];
        })
        .await;
    one.attached().await;
    let wanted = [
        world.log.append_as("items.create", "we.ird >*% name", "1", |_| {}).position,
        world.log.append_as("users.create", "directus_users", "u", |_| {}).position,
    ];
    world.log.append_as("items.update", "a", "1", |_| {});
    world.log.append_as("users.update", "directus_users", "u", |_| {});
    world.effects.until(2).await;
    assert_eq!(world.effects.positions().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(wanted));
    // Nothing of it concerns us, and yet the mark has to come to the end.
    world.settled().await;
    assert_eq!(world.memory.mark(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_events_are_passed_over_where_they_are_not_wanted() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.process_silent = false).await;
    world.log.append_as("items.update", "a", "1", |event| event.silent = true);
    let loud = world.log.append("1");
    world.settled().await;
    assert_eq!(world.effects.positions(), [loud.position]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_travels_without_its_bodies_and_reaches_the_handler_with_them() {
    let mut world = World::new().await;
    world.relay().await;
    let bus = world.bus().await;
    let mut plain = bus.client().subscribe("items.>").await.unwrap();
    testkit::subscribed(bus.client()).await;
    world.consumer(|_| {}).await;
    let body = RawValue::from_string(format!("{{\"text\":\"{}\"}}", "x".repeat(900_000))).unwrap();
    let large = world.log.append_as("items.update", "a", "1", |event| event.payload = Some(body.clone()));
    world.effects.until(1).await;
    let seen = world.effects.applied().events[0].clone();
    assert_eq!(seen.payload.unwrap().get(), body.get());
    assert!(!seen.oversized);

    let message = plain.next().await.unwrap();
    assert!(message.length < 2000);
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("ce-dataref").unwrap().as_str(), format!("/events/{}", large.position));
    let slim = bus::envelope::decode(&message.payload).unwrap();
    assert!(slim.oversized && slim.payload.is_none());
    assert_eq!((slim.key.as_str(), slim.version), ("1", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_taken_than_memory_allows_and_the_pin_stays() {
    let mut world = World::new().await;
    world.relay().await;
    let closed = world.effects.gate.clone().write_owned().await;
    world.consumer(|_| {}).await;
    let body = RawValue::from_string(format!("\"{}\"", "x".repeat(200_000))).unwrap();
    for n in 0..600 {
        world.log.append_as("items.update", "a", &format!("{}", n % 9), |event| {
            event.payload = Some(body.clone())
        });
    }
    let bus = world.bus().await;
    let look = || async {
        let stream = bus.jetstream().get_stream("EVENTS").await.ok()?;
        let info = stream.consumer_info("worker").await.ok()?;
        Some((info.num_ack_pending, info.num_pending, info.priority_groups[0].pinned_client_id.clone()))
    };
    // How much is held depends on what came from the log before the broker was asked for it.
    let full = eventually_some(SOON, || async {
        let (held, pending, pin) = look().await?;
        (held + pending as usize == 600 && pin.is_some()).then_some((held, pin))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (held, _, pin) = look().await.unwrap();
    assert!(held <= 480, "{held} of 600 are held");
    assert_eq!(pin, full.1);
    drop(closed);
    world.effects.until(600).await;
    assert_eq!(world.effects.check_order(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_gives_no_more_at_once_than_may_be_in_flight() {
    let mut world = World::new().await;
    world.relay().await;
    world.log.fill(500, 5);
    let running = world
        .consumer(|config| {
            config.lanes = 1;
            config.max_in_flight = 10;
        })
        .await;
    running.attached().await;
    world.effects.until(500).await;
    assert_eq!(world.effects.check_order(), 500);
    let largest = world.effects.applied().batches.iter().max().copied();
    // Ten from the log, and ten that the broker sends meanwhile.
    assert!(largest <= Some(20), "{largest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_keeps_two_installations_apart() {
    let mut world = World::new().await;
    world.config.prefix = "acme".to_owned();
    world.relay().await;
    world.consumer(|_| {}).await;
    let foreign = bus::Bus::connect(&bus::Config::new(world.nats.url()), "foreign").await.unwrap();
    bus::topology::ensure(&foreign).await.unwrap();
    let mut pings = foreign.pings("log").await.unwrap();
    let mut plain = foreign.client().subscribe("acme.items.update.a").await.unwrap();
    testkit::subscribed(foreign.client()).await;
    let context = foreign.jetstream();

    world.log.append("1");
    world.effects.until(1).await;
    assert!(tokio::time::timeout(SOON, plain.next()).await.unwrap().is_some());
    assert_eq!(context.get_stream("EVENTS").await.unwrap().cached_info().state.messages, 0);
    assert_eq!(context.get_stream("ACME_EVENTS").await.unwrap().cached_info().state.messages, 1);

    let bus = world.bus().await;
    let mut ours = bus.pings("log").await.unwrap();
    testkit::subscribed(bus.client()).await;
    let other = world.bus().await;
    other.ping("log").await;
    assert!(tokio::time::timeout(SOON, ours.next()).await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::from_millis(50), pings.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_taken_over() {
    let mut world = World::new().await;
    world.relay().await;
    let first = world.consumer(|_| {}).await;
    world.log.append("1");
    world.effects.until(1).await;
    first.stop().await;
    let second = world
        .consumer(|config| {
            config.filter_subjects = vec!["users.>".to_owned()];
            config.max_in_flight = 10;
            config.ack_wait = Duration::from_secs(7);
        })
        .await;
    second.attached().await;
    world.log.append("1");
    let user = world.log.append_as("users.create", "directus_users", "u", |_| {});
    world.effects.until(2).await;
    assert_eq!(world.effects.positions()[1], user.position);
    let stream = world.bus().await.jetstream().get_stream("EVENTS").await.unwrap();
    let info = stream.consumer_info("worker").await.unwrap();
    assert_eq!((info.config.max_ack_pending, info.config.ack_wait), (10, Duration::from_secs(7)));
}
