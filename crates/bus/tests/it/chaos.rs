//! Everything at once: brokers that die and forget, processes that come and go, handlers that fail.

use std::time::{Duration, Instant};

use bus::Failure;

use crate::world::{Running, World};

/// Numbers that are the same in every run of a seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn mischief(world: &mut World, running: &mut Vec<Running>, dice: &mut Dice) {
    match dice.throw(10) {
        0 => {
            world.nats.kill9().await;
            world.log.fill(200, 25);
            world.nats.restart().await;
        }
        1 => {
            world.nats.kill9().await;
            world.nats.wipe_store();
            world.nats.restart().await;
        }
        2 => {
            let bus = world.bus().await;
            let _ = bus.jetstream().delete_stream("EVENTS").await;
        }
        3 => {
            let bus = world.bus().await;
            if let Ok(stream) = bus.jetstream().get_stream("EVENTS").await {
                let _ = stream.delete_consumer("worker").await;
            }
        }
        4 | 5 if running.len() > 1 => running.remove(0).task.abort(),
        6 if running.len() > 1 => running.remove(0).stop().await,
        4..=6 => running.push(world.consumer(|config| config.max_attempts = 1000).await),
        7 => {
            *world.memory.away.lock().unwrap() = true;
            tokio::time::sleep(Duration::from_millis(dice.throw(700))).await;
            *world.memory.away.lock().unwrap() = false;
        }
        _ => world.log.fill(2000, 25),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_everything_is_applied_once_and_in_order() {
    let mut dice = Dice(u64::from(std::process::id()));
    println!("seed {}", dice.0);
    let mut world = World::new().await;
    world.relay().await;
    // One in eleven fails at first, some more than once.
    world.effects.judge(|event, call| {
        if event.position % 11 == 0 && call as i64 <= event.position % 3 {
            return Err(Failure::Retry("not yet".into()));
        }
        Ok(())
    });
    let mut running = vec![world.consumer(|config| config.max_attempts = 1000).await];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        world.log.fill(100, 25);
        mischief(&mut world, &mut running, &mut dice).await;
        tokio::time::sleep(Duration::from_millis(dice.throw(600))).await;
    }
    world.log.fill(100, 25);
    let count = usize::try_from(world.log.last()).unwrap();
    world.effects.until(count).await;
    assert_eq!(world.effects.check_order(), count);
    world.settled().await;
    assert!(world.memory.buried.lock().unwrap().is_empty());
}
