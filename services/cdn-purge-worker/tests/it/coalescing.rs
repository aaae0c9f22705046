//! Many changes, few purges; and never one too few.

use std::time::Duration;

use testkit::{Answer, PATIENCE, process};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_the_window_are_purged_once() {
    let world = World::start().await;
    let mut config = world.config();
    config.window = Duration::from_millis(500);
    let worker = world.worker(config).await;
    world.append("items.create", &["1", "2"]).await;
    for _ in 0..20 {
        world.append("items.update", &["1"; 10]).await;
    }
    world.settled().await;
    assert_eq!(world.paths(), ["/zone/7/purge/1", "/zone/7/purge/2"]);
    // For the last change.
    let last = "SELECT count(*) FROM eventus.purges WHERE target = '1'
        AND position = (SELECT max(position) FROM eventus.events WHERE key = '1')";
    assert_eq!(world.number(last).await, 1);
    // A change after the purge is another purge.
    world.append("items.delete", &["1"]).await;
    world.settled().await;
    assert_eq!(world.paths().len(), 3);
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_the_purge_is_under_way_is_purged_again() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.cdn.answer(|_, _| Answer::status(200).after(Duration::from_millis(700)));
    world.append("items.update", &["1"]).await;
    world.cdn.wait_for(1, PATIENCE).await;
    world.append("items.update", &["1"]).await;
    world.until("SELECT count(*) FROM eventus.purges WHERE target = '1'", 2).await;
    world.settled().await;
    assert_eq!(world.paths(), ["/zone/7/purge/1", "/zone/7/purge/1"]);
    assert_eq!(world.number("SELECT count(*) FROM eventus.purges WHERE state = 'succeeded'").await, 2);
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_purge_gives_way_to_a_later_change() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.cdn.answer(|_, number| match number {
        0 => Answer::status(500).after(Duration::from_millis(700)),
        _ => Answer::status(200),
    });
    world.append("items.update", &["1"]).await;
    world.cdn.wait_for(1, PATIENCE).await;
    world.append("items.update", &["1"]).await;
    world.settled().await;
    // The first row is gone or was purged again before the change came; nothing is left to do either way.
    let (rows, asked) = (world.number("SELECT count(*) FROM eventus.purges").await, world.paths().len());
    assert!((1..=2).contains(&rows) && (2..=3).contains(&asked), "{rows} {asked}");
    let last = "SELECT count(*) FROM eventus.purges WHERE state = 'succeeded'
        AND position = (SELECT max(position) FROM eventus.events)";
    assert_eq!(world.number(last).await, 1);
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_work() {
    let world = World::start().await;
    let (first, second) = (world.worker(world.config()).await, world.worker(world.config()).await);
    let keys: Vec<String> = (0..300).map(|key| key.to_string()).collect();
    world.append("items.update", &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.cdn.wait_for(300, PATIENCE).await;
    world.settled().await;
    let mut paths = world.paths();
    paths.dedup();
    assert_eq!((paths.len(), world.cdn.requests().len()), (300, 300));
    process::stop(&first).await;
    process::stop(&second).await;
}
