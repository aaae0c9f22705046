//! Several processes with one consumer: one is active, the others stand by and take over.

use std::time::{Duration, Instant};

use bus::{Bus, ConsumerConfig};
use testkit::eventually;

use crate::world::{SOON, World, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_takes_over_from_a_killed_process_and_keeps_order() {
    let mut world = World::new().await;
    world.relay().await;
    // Redelivery must not be what helps.
    let patient = |config: &mut ConsumerConfig| config.ack_wait = Duration::from_secs(60);
    let first = world.consumer(patient).await;
    first.attached().await;
    world.log.fill(500, 20);
    world.effects.until(500).await;
    let second = world.consumer(patient).await;
    second.attached().await;
    let closed = world.effects.gate.clone().write_owned().await;
    world.log.fill(500, 20);
    let bus = world.bus().await;
    eventually(SOON, || async {
        let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
        stream.consumer_info("worker").await.unwrap().num_ack_pending == 500
    })
    .await;
    // All of it is in the hands of the first one, which dies; nothing new comes to draw attention.
    first.task.abort();
    eventually(SOON, || async { first.task.is_finished() }).await;
    drop(closed);
    let begun = Instant::now();
    world.effects.until(1000).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    world.log.fill(500, 20);
    world.effects.until(1500).await;
    assert_eq!(world.effects.check_order(), 1500);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_does_nothing_while_another_is_active() {
    let mut world = World::new().await;
    world.relay().await;
    let first = world.consumer(|_| {}).await;
    first.attached().await;
    world.log.fill(100, 5);
    world.effects.until(100).await;
    let idle = crate::world::Effects::default();
    let second = world.consumer_of(world.memory.clone(), idle.clone(), |_| {}).await;
    second.attached().await;
    for round in 1..=20 {
        world.log.fill(50, 5);
        world.effects.until(100 + 50 * round).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(idle.count(), 0);
    // Nor after a silence that is longer than the time to a takeover.
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.log.append("k0");
    world.effects.until(1101).await;
    assert_eq!(idle.count(), 0);
    // Handed over at once at a soft stop.
    first.stop().await;
    let begun = Instant::now();
    world.log.append("k0");
    idle.until(1).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_come_and_go_under_load() {
    let mut world = World::new().await;
    world.relay().await;
    let mut old = world.consumer(|_| {}).await;
    for round in 1..=4 {
        world.log.fill(3000, 30);
        world.effects.until(3000 * round - 2500).await;
        let new = world.consumer(|_| {}).await;
        if round % 2 == 0 {
            old.stop().await;
        } else {
            old.task.abort();
        }
        old = new;
        world.effects.until(3000 * round).await;
    }
    assert_eq!(world.effects.check_order(), 12_000);
    world.settled().await;
    assert!(world.memory.buried.lock().unwrap().is_empty());
}

/// A process that stands still as under SIGSTOP: its own thread and runtime, blocked as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_comes_back_and_breaks_nothing() {
    let mut world = World::new().await;
    world.relay().await;
    let config = quick(|config| {
        config.lanes = 2;
        config.batch = 5;
    });
    let (bus_config, memory, effects) = (world.config.clone(), world.memory.clone(), world.effects.clone());
    let (shutdown, health) = (chassis::Shutdown::new(), chassis::Health::new());
    let component = health.component("frozen");
    let stop = shutdown.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let frozen = std::sync::atomic::AtomicBool::new(false);
        let freezing = crate::world::Effects::clone(&effects);
        freezing.judge(move |event, _| {
            if event.position == 300 && !frozen.swap(true, std::sync::atomic::Ordering::SeqCst) {
                std::thread::sleep(Duration::from_secs(6));
            }
            Ok(())
        });
        runtime.block_on(async {
            let bus = Bus::connect(&bus_config, "frozen").await.unwrap();
            bus::consumer::run(bus, config, memory, freezing, stop, component).await.unwrap();
        });
    });
    eventually(SOON, || async { health.ready() }).await;
    world.log.fill(200, 5);
    world.effects.until(200).await;
    let awake = crate::world::Effects::sharing(&world.effects);
    let second = world.consumer_of(world.memory.clone(), awake.clone(), |_| {}).await;
    second.attached().await;
    world.log.fill(200, 5);
    let begun = Instant::now();
    // The frozen one holds its lock on nothing: the second one does the rest meanwhile.
    world.effects.until(400).await;
    assert!(begun.elapsed() < Duration::from_millis(5500), "taken over meanwhile: {:?}", begun.elapsed());
    eventually(SOON, || async { begun.elapsed() > Duration::from_secs(7) }).await;
    world.log.fill(600, 5);
    world.effects.until(1000).await;
    assert_eq!(world.effects.check_order(), 1000);
    world.settled().await;
    shutdown.begin();
    eventually(SOON, || async { thread.is_finished() }).await;
}
