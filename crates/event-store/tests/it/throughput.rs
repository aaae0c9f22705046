//! How fast a backlog is read, and how soon an event comes out. Not a pass or fail of its own: run it with `--run-ignored only --no-capture`.

use std::time::{Duration, Instant};

use event_store::Tail;
use model::{Clock as _, SystemClock};
use tokio::task::JoinSet;

use crate::{DEADLINE, connect, open};

#[tokio::test]
#[ignore = "a measurement"]
async fn backlog() {
    const COUNT: i64 = 200_000;
    let (database, _db) = open().await;
    let db = connect(&database, 4);
    sqlx::query(
        "INSERT INTO eventus.events (id, name, collection, key, version, payload)
         SELECT gen_random_uuid(), 'items.create', 'articles', n::text, 1, json_build_object('text', repeat('x', 500))
         FROM generate_series(1, $1) n",
    )
    .bind(COUNT)
    .execute(&db)
    .await
    .unwrap();
    let mut tail = Tail::new(db, 0);
    let (begun, mut count) = (Instant::now(), 0);
    while count < COUNT {
        count += tail.next(1000, DEADLINE).await.unwrap().len() as i64;
    }
    println!("backlog: {:.0} events/s", COUNT as f64 / begun.elapsed().as_secs_f64());
}

/// 200 transactions a second in four writers that wake the tail after their commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn latency() {
    const EACH: usize = 500;
    let (database, reader) = open().await;
    let mut tail = Tail::new(reader, 0);
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (db, wake) = (connect(&database, 2), tail.wake());
        writers.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            for _ in 0..EACH {
                ticks.tick().await;
                crate::append(&db, 1).await;
                wake.notify_one();
            }
        });
    }
    let mut lag = Vec::new();
    while lag.len() < 4 * EACH {
        let events = tail.next(1000, DEADLINE).await.unwrap();
        let now = SystemClock.now();
        lag.extend(events.iter().map(|event| (now - event.time).unsigned_abs()));
    }
    lag.sort();
    println!("append to tail at 200/s: p50 {:?}, p99 {:?}", lag[lag.len() / 2], lag[lag.len() * 99 / 100]);
}
