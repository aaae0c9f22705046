//! The soft stop: at whatever moment it comes, what runs is finished and a successor gets the rest at once.

use std::time::{Duration, Instant};

use bus::ConsumerConfig;
use testkit::eventually;

use crate::world::{Effects, SOON, World};

/// Within it a successor has everything; neither a redelivery nor a takeover comes so early.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Nobody may be helped by a redelivery or by a pin that has run out.
fn patient(config: &mut ConsumerConfig) {
    config.ack_wait = Duration::from_secs(60);
    config.takeover = Duration::from_secs(30);
}

impl World {
    /// Waits until the broker has sent this many that are not acknowledged.
    async fn sent(&self, count: usize) {
        let bus = self.bus().await;
        eventually(SOON, || async {
            let Ok(stream) = bus.jetstream().get_stream("EVENTS").await else { return false };
            stream.consumer_info("worker").await.is_ok_and(|info| info.num_ack_pending >= count)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_stop_finishes_what_runs_and_a_successor_gets_the_rest_at_once() {
    let mut world = World::new().await;
    world.relay().await;
    let first = world
        .consumer(|config| {
            patient(config);
            config.lanes = 2;
            config.batch = 1;
        })
        .await;
    let closed = world.effects.gate.clone().write_owned().await;
    world.log.fill(100, 10);
    world.sent(100).await;
    eventually(SOON, || async { world.effects.running() == 2 }).await;
    first.shutdown.begin();
    drop(closed);
    first.stop().await;
    assert_eq!(world.effects.count(), 2, "what ran, and nothing else");
    let begun = Instant::now();
    let _second = world.consumer(patient).await;
    world.effects.until(100).await;
    assert!(begun.elapsed() < AT_ONCE, "at once: {:?}", begun.elapsed());
    assert_eq!(world.effects.check_order(), 100);
    // What the first one had finished above its mark may be handed in once more.
    let twice = world.effects.applied().calls.values().filter(|calls| **calls > 1).count();
    assert!(twice <= 2, "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_still_on_its_way_at_the_stop_goes_to_a_stand_by_at_once() {
    let mut world = World::new().await;
    world.relay().await;
    let first = world.consumer(patient).await;
    first.attached().await;
    world.log.fill(10, 10);
    world.effects.until(10).await;
    let others = Effects::sharing(&world.effects);
    let second = world.consumer_of(world.memory.clone(), others, patient).await;
    second.attached().await;
    // The flow does not end for the stop: some of it is between the broker and us at any moment.
    let log = world.log.clone();
    let flow = world.tasks.spawn(async move {
        for _ in 0..200 {
            log.fill(10, 10);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    world.effects.until(500).await;
    let begun = Instant::now();
    first.stop().await;
    eventually(SOON, || async { flow.is_finished() }).await;
    world.effects.until(2010).await;
    assert!(begun.elapsed() < 2 * AT_ONCE, "at once: {:?}", begun.elapsed());
    assert_eq!(world.effects.check_order(), 2010);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_before_it_has_looked_at_its_messages_keeps_nobody_waiting() {
    let mut world = World::new().await;
    world.relay().await;
    // Its ledger does not answer, so nothing that comes can be begun.
    let first = world.consumer(patient).await;
    first.attached().await;
    *world.memory.away.lock().unwrap() = true;
    world.log.fill(100, 10);
    world.sent(100).await;
    first.stop().await;
    *world.memory.away.lock().unwrap() = false;
    assert_eq!(world.effects.count(), 0);
    let begun = Instant::now();
    let _second = world.consumer(patient).await;
    world.effects.until(100).await;
    assert!(begun.elapsed() < AT_ONCE, "at once: {:?}", begun.elapsed());
    assert_eq!(world.effects.check_order(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_that_stops_does_not_disturb_the_active_one() {
    let mut world = World::new().await;
    world.relay().await;
    let _first = world.consumer(patient).await;
    world.log.fill(10, 10);
    world.effects.until(10).await;
    let pin = pin(&world).await;
    assert!(pin.is_some());
    for _ in 0..3 {
        let others = Effects::sharing(&world.effects);
        let second = world.consumer_of(world.memory.clone(), others, patient).await;
        second.attached().await;
        second.stop().await;
    }
    assert_eq!(self::pin(&world).await, pin);
    world.log.fill(10, 10);
    world.effects.until(20).await;
}

async fn pin(world: &World) -> Option<String> {
    let stream = world.bus().await.jetstream().get_stream("EVENTS").await.unwrap();
    let info = stream.consumer_info("worker").await.unwrap();
    info.priority_groups[0].pinned_client_id.clone()
}
