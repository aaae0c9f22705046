//! Action hooks on a real PostgreSQL: each event has its effects once, and a hook that fails harms no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Failure, Handler as _};
use db::Db;
use event_store::PgLedger;
use model::{Event, Ledger as _};
use sqlx::PgConnection;

use super::Acting;
use crate::Registry;
use crate::hook::ActionHook;
use crate::metrics::Metrics;
use crate::testing::{database, event, number};

/// Writes one row per event to `effects`; fails for one event while it is told to.
struct Effect {
    name: &'static str,
    patterns: &'static [&'static str],
    fails: Option<(i64, Arc<AtomicBool>, Way)>,
}

#[derive(Clone, Copy)]
enum Way {
    Retry,
    Fail,
    Panic,
    Sql,
}

#[tonic::async_trait]
impl ActionHook for Effect {
    fn name(&self) -> &str {
        self.name
    }

    fn patterns(&self) -> &[&str] {
        self.patterns
    }

    async fn run(&self, events: &[&Event], conn: &mut PgConnection) -> Result<(), Failure> {
        for event in events {
            let insert =
                sqlx::query("INSERT INTO effects VALUES ($1, $2)").bind(self.name).bind(event.position);
            insert.execute(&mut *conn).await.unwrap();
            match &self.fails {
                Some((position, on, way)) if *position == event.position && on.load(Ordering::Relaxed) => {
                    match way {
                        Way::Retry => return Err(Failure::Retry("later".into())),
                        Way::Fail => return Err(Failure::Fail("never".into())),
                        Way::Panic => panic!("on purpose"),
                        Way::Sql => {
                            let error = sqlx::query("SELECT 1 / 0").execute(&mut *conn).await.unwrap_err();
                            return Err(Failure::Retry(error.into()));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn good(name: &'static str) -> Effect {
    Effect { name, patterns: &["items.*"], fails: None }
}

async fn acting(db: &Db, registry: Registry) -> Acting {
    registry.check().unwrap();
    sqlx::query("CREATE TABLE effects (hook text, position bigint)").execute(db).await.unwrap();
    Acting { db: db.clone(), registry: Arc::new(registry), metrics: Metrics::new() }
}

const RUNS: &str = "SELECT count(*) FROM eventus.hook_runs";
const EFFECTS: &str = "SELECT count(*) FROM effects";
const INBOX: &str = "SELECT count(*) FROM eventus.inbox";
const DOUBLED: &str =
    "SELECT count(*) FROM (SELECT FROM effects GROUP BY hook, position HAVING count(*) > 1) AS twice";

#[tokio::test]
async fn each_hook_runs_for_what_it_wants_and_once() {
    let (_database, db) = database().await;
    let users = Effect { name: "users", patterns: &["users.create", "items.delete"], fails: None };
    let acting = acting(&db, Registry::new().action(good("all")).action(users)).await;
    let events = [
        event(1, "items.create"),
        event(2, "items.delete"),
        event(3, "users.create"),
        event(4, "users.update"),
    ];
    for _ in 0..2 {
        acting.handle(&events).await.unwrap();
    }
    let runs: Vec<(String, i64, String, String, String, String)> = sqlx::query_as(
        "SELECT hook, position, event, collection, key, trace_id FROM eventus.hook_runs ORDER BY hook, position",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let run = |hook: &str, at: i64, name: &str| {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        (hook.to_owned(), at, name.to_owned(), "articles".to_owned(), at.to_string(), trace)
    };
    let expected = [
        run("all", 1, "items.create"),
        run("all", 2, "items.delete"),
        run("users", 2, "items.delete"),
        run("users", 3, "users.create"),
    ];
    assert_eq!(runs, expected);
    assert_eq!((number(&db, EFFECTS).await, number(&db, DOUBLED).await), (4, 0));
    assert_eq!(number(&db, INBOX).await, 3, "what nobody wants is not claimed");
}

#[tokio::test]
async fn a_hook_that_fails_takes_only_its_own_part_with_it() {
    for way in [Way::Retry, Way::Fail, Way::Panic, Way::Sql] {
        let (_database, db) = database().await;
        let on = Arc::new(AtomicBool::new(true));
        let bad = Effect { name: "bad", patterns: &["items.*"], fails: Some((2, on.clone(), way)) };
        let registry = Registry::new().action(good("before")).action(bad).action(good("behind"));
        let acting = acting(&db, registry).await;
        let events = [event(1, "items.create"), event(2, "items.create"), event(3, "items.create")];
        let failure = acting.handle(&events).await.unwrap_err();
        assert!(failure.to_string().starts_with("hook bad: "), "{failure}");
        assert_eq!(matches!(failure, Failure::Fail(_)), matches!(way, Way::Fail));
        assert_eq!(
            (number(&db, RUNS).await, number(&db, EFFECTS).await, number(&db, INBOX).await),
            (6, 6, 0)
        );
        // The loop now hands in each by itself.
        for event in &events {
            let result = acting.handle(std::slice::from_ref(event)).await;
            assert_eq!(result.is_err(), event.position == 2);
        }
        assert_eq!(
            (number(&db, RUNS).await, number(&db, EFFECTS).await, number(&db, INBOX).await),
            (8, 8, 2)
        );
        on.store(false, Ordering::Relaxed);
        acting.handle(&events[1..2]).await.unwrap();
        assert_eq!(
            (number(&db, RUNS).await, number(&db, EFFECTS).await, number(&db, INBOX).await),
            (9, 9, 3)
        );
        assert_eq!(number(&db, DOUBLED).await, 0);
    }
}

#[tokio::test]
async fn what_lies_below_the_mark_is_not_run_again() {
    let (_database, db) = database().await;
    let acting = acting(&db, Registry::new().action(good("all"))).await;
    let events = [event(1, "items.create"), event(2, "items.create")];
    acting.handle(&events[..1]).await.unwrap();
    PgLedger::new(db.clone(), super::CONSUMER).raise(1).await.unwrap();
    // Even when the record of the run has been forgotten meanwhile.
    sqlx::query("DELETE FROM eventus.hook_runs").execute(&db).await.unwrap();
    acting.handle(&events).await.unwrap();
    assert_eq!((number(&db, EFFECTS).await, number(&db, DOUBLED).await), (2, 0));
}

/// Two workers with the same events at the same time, as after a hand-over: one of them runs each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_side_by_side_run_each_event_once() {
    let (_database, db) = database().await;
    let acting = acting(&db, Registry::new().action(good("a")).action(good("b"))).await;
    let events: Vec<Event> = (1..=200).map(|at| event(at, "items.update")).collect();
    let worker = |backwards: bool| {
        let (acting, events) = (acting.clone(), events.clone());
        async move {
            let mut batches: Vec<&[Event]> = events.chunks(9).collect();
            if backwards {
                batches.reverse();
            }
            for batch in batches {
                acting.handle(batch).await.unwrap();
            }
        }
    };
    tokio::join!(worker(false), worker(true), worker(false));
    assert_eq!(
        (number(&db, RUNS).await, number(&db, EFFECTS).await, number(&db, DOUBLED).await),
        (400, 400, 0)
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_told_apart() {
    let mut config = db::Config::new("postgres://nobody@127.0.0.1:1/nothing").unwrap();
    config.acquire_timeout = std::time::Duration::from_millis(100);
    let db = db::connect(&config, "hooks-test");
    let registry = Arc::new(Registry::new().action(good("all")));
    let acting = Acting { db, registry, metrics: Metrics::new() };
    let failure = acting.handle(&[event(1, "items.create")]).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
}
