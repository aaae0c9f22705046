//! Handlers that fail, hang, panic; ledgers that are away.

use std::time::Duration;

use bus::Failure;
use testkit::eventually;

use crate::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_is_buried_after_its_attempts_and_neighbours_go_on() {
    let mut world = World::new().await;
    world.relay().await;
    // One lane: the neighbours share it with the poison.
    world.consumer(|config| config.lanes = 1).await;
    world.effects.judge(|event, _| {
        if event.key == "bad" && event.version == 1 { Err(Failure::Retry("no".into())) } else { Ok(()) }
    });
    let poison = world.log.append("bad");
    for _ in 0..20 {
        world.log.append("good");
        world.log.append("bad");
    }
    world.effects.until(40).await;
    world.settled().await;
    let letters = world.memory.buried.lock().unwrap().clone();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event_id, letters[0].position, letters[0].attempts), (poison.id, 1, 3));
    assert_eq!(letters[0].reason, "no");
    assert_eq!(letters[0].trace_id.as_deref(), Some("00000000000000000000000000000001"));
    assert_eq!(world.effects.check_order(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_in_the_lane_do_not_wait_for_the_poison() {
    let mut world = World::new().await;
    world.relay().await;
    world
        .consumer(|config| {
            config.lanes = 1;
            config.backoff = vec![Duration::from_hours(1)];
        })
        .await;
    world
        .effects
        .judge(|event, _| if event.key == "bad" { Err(Failure::Retry("no".into())) } else { Ok(()) });
    world.log.append("bad");
    for n in 0..100 {
        world.log.append(&format!("good{}", n % 7));
    }
    world.effects.until(100).await;
    assert_eq!(world.effects.check_order(), 100);
    assert_eq!(world.memory.mark(), 0, "the oldest unfinished one holds the mark");
}

#[tokio::test(flavor = "multi_thread")]
async fn hopeless_events_are_buried_at_once_and_panics_count_as_attempts() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|_| {}).await;
    world.effects.judge(|event, _| match event.key.as_str() {
        "hopeless" => Err(Failure::Fail("never".into())),
        _ => Ok(()),
    });
    world.log.append("hopeless");
    world.log.append("good");
    world.settled().await;
    assert_eq!(world.effects.calls(1), 1);
    assert_eq!(world.memory.buried.lock().unwrap()[0].attempts, 1);
    assert_eq!(world.effects.positions(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_while_handlers_fail_now_and_then() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.max_attempts = 50).await;
    // Every third event fails at first, every ninth also at its second try.
    world.effects.judge(|event, call| {
        let fails = (event.position % 3 == 0 && call <= 1) || (event.position % 9 == 0 && call <= 2);
        if fails { Err(Failure::Retry("later".into())) } else { Ok(()) }
    });
    world.log.fill(2000, 20);
    world.effects.until(2000).await;
    assert_eq!(world.effects.check_order(), 2000);
    world.settled().await;
    assert!(world.memory.buried.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailability_is_waited_for_and_buries_nothing() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.max_attempts = 1).await;
    let away = world.memory.away.clone();
    world.effects.judge(move |_, _| {
        if *away.lock().unwrap() { Err(Failure::Unavailable("away".into())) } else { Ok(()) }
    });
    world.log.fill(50, 5);
    world.effects.until(50).await;
    *world.memory.away.lock().unwrap() = true;
    world.log.fill(50, 5);
    eventually(SOON, || async { (51..=100).any(|position| world.effects.calls(position) >= 4) }).await;
    *world.memory.away.lock().unwrap() = false;
    world.effects.until(100).await;
    world.settled().await;
    assert_eq!(world.effects.check_order(), 100);
    assert!(world.memory.buried.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_buried_is_tried_again() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.max_attempts = 2).await;
    world.log.append("a");
    world.effects.until(1).await;
    world.settled().await;
    *world.memory.away.lock().unwrap() = true;
    let away = world.memory.away.clone();
    // The failure is of the same outage, but does not say so.
    world
        .effects
        .judge(move |_, _| if *away.lock().unwrap() { Err(Failure::Retry("?".into())) } else { Ok(()) });
    world.log.append("a");
    eventually(SOON, || async { world.effects.calls(2) >= 4 }).await;
    *world.memory.away.lock().unwrap() = false;
    world.effects.until(2).await;
    assert!(world.memory.buried.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_beyond_the_ack_wait_sees_nothing_twice() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.ack_wait = Duration::from_secs(1)).await;
    let closed = world.effects.gate.clone().write_owned().await;
    world.log.fill(300, 3);
    // Longer than several waits: the broker has to be kept patient.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    drop(closed);
    world.effects.until(300).await;
    world.settled().await;
    assert_eq!(world.effects.check_order(), 300);
    assert!(world.effects.applied().calls.values().all(|calls| *calls == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_from_the_future_is_parked() {
    let mut world = World::new().await;
    world.relay().await;
    world.consumer(|config| config.lanes = 1).await;
    world.log.append("a");
    world.log.append_as("items.update", "a", "b", |event| event.schema = model::EVENT_SCHEMA + 1);
    world.log.append("a");
    world.effects.until(2).await;
    world.settled().await;
    assert_eq!(world.effects.positions(), [1, 3]);
    let letters = world.memory.buried.lock().unwrap().clone();
    assert_eq!((letters.len(), letters[0].position, letters[0].attempts), (1, 2, 1));
    assert!(letters[0].reason.contains("parked"), "{}", letters[0].reason);
}
