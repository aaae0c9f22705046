//! The publisher's chain: no hole, no duplicate, and where to go on.

use std::time::Duration;

use bus::{Bus, Config, Error, Marks, Publisher, Resume};
use model::Event;
use testkit::Nats;
use uuid::Uuid;

use crate::world::Log;

const EPOCH: Uuid = Uuid::from_u128(1);

async fn connect(nats: &Nats) -> Bus {
    Bus::connect(&Config::new(nats.url()), "test").await.unwrap()
}

fn events(count: usize) -> Vec<Event> {
    let log = Log::default();
    log.fill(count, 10);
    log.all().clone()
}

async fn positions(bus: &Bus) -> Vec<i64> {
    let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
    let state = stream.cached_info().state.clone();
    let mut positions = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        positions.push(bus::envelope::place(&message.headers).unwrap().position);
    }
    positions
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_acknowledged_in_order() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    let error = publisher.publish(&events(1)).await.error.unwrap();
    assert!(matches!(error, Error::ChainBroken { .. }), "not resumed: {error}");

    assert_eq!(publisher.resume(Marks::default()).await.unwrap(), Resume::Fresh);
    let all = events(3000);
    let first = publisher.publish(&all[..2500]).await;
    assert!(first.error.is_none(), "{:?}", first.error);
    assert_eq!(first.acked, 2500);
    let marks = first.marks.unwrap();
    assert_eq!((marks.position, marks.stream_sequence), (2500, 2500));
    assert!(publisher.is_current().await.unwrap());
    assert_eq!(publisher.publish(&all[2500..]).await.acked, 500);
    assert_eq!(publisher.publish(&[]).await.acked, 0);

    let mut next = Publisher::new(bus.clone(), EPOCH);
    let resume = next.resume(marks).await.unwrap();
    assert_eq!(resume, Resume::Behind { position: 3000, id: all[2999].id, stream_sequence: 3000 });
    assert_eq!(positions(&bus).await, (1..=3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_publishers_can_not_both_go_on() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(300);
    let mut old = Publisher::new(bus.clone(), EPOCH);
    old.resume(Marks::default()).await.unwrap();
    old.publish(&all[..100]).await;
    let mut new = Publisher::new(connect(&nats).await, EPOCH);
    new.resume(Marks::default()).await.unwrap();
    new.publish(&all[100..200]).await;

    assert!(!old.is_current().await.unwrap());
    // The old one does not know of it. What it sends twice is refused; what finds its place is stored once.
    let replayed = old.publish(&all[100..300]).await;
    assert_eq!(replayed.acked, 0);
    assert!(matches!(replayed.error, Some(Error::ChainBroken { expected: 100, .. })), "{:?}", replayed.error);
    let Resume::Behind { position, .. } = old.resume(Marks::default()).await.unwrap() else { panic!() };
    assert!([200, 300].contains(&position));
    assert!(old.publish(&all[position as usize..]).await.error.is_none());
    // Now the new one is the old one.
    assert!(new.publish(&all[200..]).await.error.is_some() || position == 300);
    assert_eq!(positions(&bus).await, (1..=300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_behind_a_foreign_message_and_its_end_is_not_guessed() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(200);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    publisher.publish(&all[..100]).await;
    bus.jetstream().publish("items.create.a", "foreign".into()).await.unwrap().await.unwrap();
    let published = publisher.publish(&all[100..]).await;
    assert_eq!(published.acked, 0);
    // Only the first one was refused: behind the foreign message the others found the sequence to follow.
    let error = publisher.resume(Marks::default()).await.unwrap_err();
    assert!(matches!(error, Error::ChainLost(_)), "{error}");
    // Another log's stream is not ours either.
    let mut other = Publisher::new(bus.clone(), Uuid::from_u128(2));
    let marks = Publisher::purge(&bus, 0).await.unwrap();
    publisher.resume(marks).await.unwrap();
    let published = publisher.publish(&all[..1]).await;
    assert_eq!(published.acked, 1, "{published:?}");
    let error = other.resume(marks).await.unwrap_err();
    assert!(error.to_string().contains("00000000-0000-0000-0000-000000000001"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_end_is_found_by_the_marks_only() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(20);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    let marks = publisher.publish(&all[..10]).await.marks.unwrap();
    // As expiry does it: the messages go, the sequence stays.
    bus.jetstream().get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    let mut next = Publisher::new(bus.clone(), EPOCH);
    for wrong in [
        Marks { stream_sequence: 9, ..marks },
        Marks { stream_created: marks.stream_created.map(|at| at - Duration::from_secs(1)), ..marks },
    ] {
        let error = next.resume(wrong).await.unwrap_err();
        assert!(matches!(error, Error::ChainLost(_)), "{error}");
    }
    assert_eq!(next.resume(marks).await.unwrap(), Resume::Marked { position: 10 });
    assert_eq!(next.publish(&all[10..]).await.marks.unwrap().stream_sequence, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_publishes_the_same_events_again_at_once() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(100);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    publisher.publish(&all).await;
    let marks = Publisher::purge(&bus, 40).await.unwrap();
    assert_eq!((marks.position, marks.stream_sequence), (40, 100));
    let epoch = Uuid::from_u128(2);
    let mut after = Publisher::new(bus.clone(), epoch);
    assert_eq!(after.resume(marks).await.unwrap(), Resume::Marked { position: 40 });
    let again = after.publish(&all[40..]).await;
    assert!(again.error.is_none(), "{:?}", again.error);
    assert_eq!(positions(&bus).await, (41..=100).collect::<Vec<_>>());
    let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.cached_info().config.duplicate_window, bus::topology::DUPLICATE_WINDOW);

    // Marks that name no stream do as well.
    Publisher::purge(&bus, 0).await.unwrap();
    let mut fresh = Publisher::new(bus.clone(), Uuid::from_u128(3));
    assert_eq!(fresh.resume(Marks::default()).await.unwrap(), Resume::Fresh);
    assert_eq!(fresh.publish(&all).await.acked, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_stops_the_run_and_the_chain_goes_on_behind_what_was_stored() {
    let mut nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(60_000);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    let (published, ()) = tokio::join!(publisher.publish(&all), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        nats.kill9().await;
    });
    let error = published.error.expect("the server was killed in the middle");
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(publisher.publish(&all[..1]).await.error.is_some());
    nats.restart().await;
    bus.ready().await.unwrap();
    let mut behind = match publisher.resume(published.marks.unwrap_or_default()).await.unwrap() {
        Resume::Behind { position, .. } => position,
        Resume::Fresh => 0,
        Resume::Marked { .. } => panic!("nothing expired"),
    };
    assert!(behind >= published.acked as i64, "kill -9 of the server loses nothing that was acknowledged");
    // Messages that were still queued may come in between; the chain sorts it out.
    while behind < 5000 {
        let published = publisher.publish(&all[behind as usize..5000.max(behind as usize)]).await;
        match published.error {
            None => break,
            Some(_) => {
                let resumed = publisher.resume(Marks::default()).await.unwrap();
                let Resume::Behind { position, .. } = resumed else { panic!("{resumed:?}") };
                behind = position;
            }
        }
    }
    let stored = positions(&bus).await;
    assert_eq!(stored, (1..=stored.len() as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_noticed_and_made_again() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(100);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    let marks = publisher.publish(&all[..50]).await.marks.unwrap();
    bus.jetstream().delete_stream("EVENTS").await.unwrap();
    assert!(!publisher.is_current().await.unwrap());
    let error = publisher.publish(&all[50..]).await.error.unwrap();
    assert!(matches!(error, Error::ChainBroken { .. }), "{error}");
    assert_eq!(publisher.resume(marks).await.unwrap(), Resume::Fresh);
    assert_eq!(publisher.publish(&all).await.marks.unwrap().stream_sequence, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_remembered_until_a_purge_is_over() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let all = events(10);
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    assert_eq!(publisher.publish(&all).await.acked, 10);
    // What the purge asks the server: a message before that never is, so nothing is stored whatever it answers.
    let ask = async |id: String| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        headers.insert("Nats-Expected-Last-Msg-Id", "never");
        bus.jetstream().publish_with_headers("items.create.a", headers, "".into()).await.unwrap().await
    };
    for event in &all {
        assert!(ask(event.id.to_string()).await.unwrap().duplicate);
    }
    Publisher::purge(&bus, 0).await.unwrap();
    for event in &all {
        assert!(ask(event.id.to_string()).await.is_err(), "{} is remembered", event.position);
    }
}
