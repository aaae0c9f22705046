//! How fast the road is. The bars are low, for a debug build on a busy machine; the figures are printed.

use std::time::{Duration, Instant};

use bus::{Failure, Handler, Marks, Publisher};
use model::Event;
use tokio::sync::watch;
use uuid::Uuid;

use crate::world::World;

struct Count(watch::Sender<usize>);

impl Handler for Count {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.0.send_modify(|count| *count += events.len());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_published_and_consumed_quickly() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let mut world = World::new().await;
    let bus = world.bus().await;
    world.log.fill(count, 1000);
    let events = world.log.all().clone();

    let mut publisher = Publisher::new(bus.clone(), Uuid::from_u128(1));
    publisher.resume(Marks::default()).await.unwrap();
    let begun = Instant::now();
    for part in events.chunks(1000) {
        assert_eq!(publisher.publish(part).await.acked, part.len());
    }
    let publish = begun.elapsed();

    let (counter, mut counted) = watch::channel(0);
    let config = crate::world::quick(|config| config.lanes = 64);
    let (memory, bus) = (world.memory.clone(), world.bus().await);
    let component = chassis::Health::new().component("consumer");
    let begun = Instant::now();
    world.tasks.spawn(async move {
        let shutdown = chassis::Shutdown::new();
        bus::consumer::run(bus, config, memory, Count(counter), shutdown, component).await.unwrap();
    });
    let all = counted.wait_for(|done| *done >= count);
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().unwrap();
    let consume = begun.elapsed();
    let rate = |elapsed: Duration| count as f64 / elapsed.as_secs_f64();
    println!("published {:.0}/s, consumed {:.0}/s", rate(publish), rate(consume));
    world.settled().await;
    assert!(rate(publish) > 1000.0 && rate(consume) > 1000.0);
}
