//! Schedule hooks: one process of several runs each tick, and only the latest missed one.

use std::time::Duration;

use chassis::BoxError;
use hooks_worker::hook::{ScheduleHook, Tick};
use hooks_worker::{Config, Registry};
use testkit::{PATIENCE, eventually};

use crate::world::World;

/// Writes down each tick that it runs.
struct Note {
    name: &'static str,
    cron: &'static str,
}

#[tonic::async_trait]
impl ScheduleHook for Note {
    fn name(&self) -> &str {
        self.name
    }

    fn cron(&self) -> &str {
        self.cron
    }

    async fn run(&self, tick: &Tick) -> Result<(), BoxError> {
        let insert = sqlx::query("INSERT INTO notes VALUES ($1, $2, $3)");
        insert.bind(self.name).bind(tick.scheduled_at).bind(tick.fence).execute(&tick.db).await?;
        match self.name {
            "fails" => Err("on purpose".into()),
            "panics" => panic!("on purpose"),
            "hangs" => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

async fn world() -> World {
    let world = World::start().await;
    let create = "CREATE TABLE notes (hook text, tick timestamptz, fence bigint)";
    sqlx::query(create).execute(&world.db).await.unwrap();
    world
}

fn every_second() -> Registry {
    Registry::new().schedule(Note { name: "second", cron: "* * * * * *" })
}

const NOTES: &str = "SELECT count(*) FROM notes";
const HOLDERS: &str = "SELECT count(DISTINCT fence) FROM notes";
const DOUBLED: &str =
    "SELECT count(*) FROM (SELECT FROM notes GROUP BY hook, tick HAVING count(*) > 1) AS twice";
const LEFT_OUT: &str =
    "SELECT count(*) FROM (SELECT tick - lag(tick) OVER (ORDER BY tick) AS step FROM notes) AS step
                        WHERE step > interval '1 second'";

#[tokio::test]
async fn of_two_workers_one_runs_each_tick_and_the_other_takes_over() {
    let world = world().await;
    let (first, second) = tokio::join!(
        world.worker(every_second(), Config::default()),
        world.worker(every_second(), Config::default())
    );
    eventually(PATIENCE, || async { world.number(NOTES).await >= 3 }).await;
    assert_eq!((world.number(HOLDERS).await, world.number(DOUBLED).await), (1, 0));
    assert_eq!(world.number(LEFT_OUT).await, 0, "no tick is missed while a worker runs");
    first.stop().await;
    second.stop().await;
    // The stop let the tick that ran end, and gave the lease back.
    assert_eq!(world.number("SELECT count(*) FROM eventus.schedule_runs WHERE finished IS NULL").await, 0);
    let before = world.number(NOTES).await;
    let third = world.worker(every_second(), Config::default()).await;
    eventually(PATIENCE, || async { world.number(NOTES).await >= before + 2 }).await;
    assert_eq!((world.number(HOLDERS).await, world.number(DOUBLED).await), (2, 0));
    third.stop().await;
    let runs = world.number("SELECT count(*) FROM eventus.schedule_runs WHERE error IS NULL").await;
    assert_eq!(runs, world.number(NOTES).await);
}

#[tokio::test]
async fn after_a_pause_the_latest_missed_tick_runs_and_the_older_ones_do_not() {
    let world = world().await;
    let last = "INSERT INTO eventus.schedule_runs (hook, scheduled_at, fence, finished)
                SELECT hook, now() - age, 0, now() - age FROM
                (VALUES ('minute', interval '3 hours'), ('old', interval '3 hours')) AS run (hook, age)";
    sqlx::query(last).execute(&world.db).await.unwrap();
    // Its only ticks since then lie more than an hour back, or in the future.
    let hours_ago: i64 = world.number("SELECT extract(hour FROM now() - interval '2 hours')::bigint").await;
    let cron: &'static str = format!("0 {hours_ago} * * *").leak();
    let registry = Registry::new()
        .schedule(Note { name: "minute", cron: "* * * * *" })
        .schedule(Note { name: "old", cron })
        .schedule(Note { name: "new", cron: "0 0 1 1 *" });
    let worker = world.worker(registry, Config::default()).await;
    eventually(PATIENCE, || async { world.number(NOTES).await >= 1 }).await;
    let latest: bool = sqlx::query_scalar(
        "SELECT bool_and(hook = 'minute' AND tick > now() - interval '61 seconds') FROM notes",
    )
    .fetch_one(&world.db)
    .await
    .unwrap();
    assert!(latest);
    worker.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_is_written_down_and_the_next_tick_comes() {
    let world = world().await;
    let registry = Registry::new()
        .schedule(Note { name: "fails", cron: "* * * * * *" })
        .schedule(Note { name: "panics", cron: "* * * * * *" });
    let worker = world.worker(registry, Config::default()).await;
    let errors = "SELECT least(count(*) FILTER (WHERE hook = 'fails' AND error = 'on purpose'),
                               count(*) FILTER (WHERE hook = 'panics' AND error = 'panicked'))
                  FROM eventus.schedule_runs WHERE finished IS NOT NULL";
    eventually(PATIENCE, || async { world.number(errors).await >= 2 }).await;
    worker.stop().await;
    assert_eq!(world.number(DOUBLED).await, 0);
}

/// A holder that dies in the middle of a tick: the next one takes that tick again, under a greater fence.
#[tokio::test]
async fn a_tick_whose_worker_died_is_run_by_the_next() {
    let world = world().await;
    // A tick that stays the latest one for the length of the test, and has just been missed.
    let cron: String =
        sqlx::query_scalar("SELECT to_char(now() - interval '2 minutes', 'FMMI FMHH24 * * *')")
            .fetch_one(&world.db)
            .await
            .unwrap();
    let cron: &'static str = cron.leak();
    let before = "INSERT INTO eventus.schedule_runs (hook, scheduled_at, fence, finished)
                  VALUES ('hangs', now() - interval '1 day 5 minutes', 0, now())";
    sqlx::query(before).execute(&world.db).await.unwrap();
    let hangs = || Registry::new().schedule(Note { name: "hangs", cron });
    let worker = world.worker(hangs(), Config::default()).await;
    world.until(NOTES, 1).await;
    worker.kill().await;
    sqlx::query("UPDATE eventus.leases SET expires = '-infinity'").execute(&world.db).await.unwrap();
    let heir = world.worker(hangs(), Config::default()).await;
    world.until(NOTES, 2).await;
    assert_eq!(
        (world.number(HOLDERS).await, world.number("SELECT count(DISTINCT tick) FROM notes").await),
        (2, 1)
    );
    heir.kill().await;
}

/// A hook that never ends does not keep the others from their ticks.
#[tokio::test]
async fn hooks_do_not_wait_for_one_another() {
    let world = world().await;
    let registry = every_second().schedule(Note { name: "hangs", cron: "* * * * * *" });
    let worker = world.worker(registry, Config::default()).await;
    eventually(PATIENCE, || async { world.number(NOTES).await >= 4 }).await;
    assert_eq!(world.number("SELECT count(*) FROM notes WHERE hook = 'hangs'").await, 1);
    tokio::time::timeout(Duration::from_secs(10), worker.kill()).await.expect("the hard stop drops it");
}
