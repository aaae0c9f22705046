//! Runs on a real PostgreSQL: who may take a tick, and what is listed.

use std::time::Duration;

use db::{Db, Lease};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{finish, last_tick, list, record, take};
use crate::testing::{database, event};

const TICK: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const LEASE: &str = "test";

/// The lease, taken from whoever has it.
async fn next_lease(db: &Db) -> Lease {
    let expire = "UPDATE eventus.leases SET expires = '-infinity' WHERE name = 'test'";
    sqlx::query(expire).execute(db).await.unwrap();
    Lease::acquire(db, LEASE, "someone", Duration::from_secs(60)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_tick_is_taken_once() {
    let (_database, db) = database().await;
    let first = next_lease(&db).await.fence();
    assert!(take(&db, "hook", TICK, LEASE, first).await.unwrap());
    finish(&db, "hook", TICK, first, Some("it broke")).await.unwrap();
    assert!(!take(&db, "hook", TICK, LEASE, first).await.unwrap());
    let second = next_lease(&db).await.fence();
    assert!(!take(&db, "hook", TICK, LEASE, second).await.unwrap(), "a run that failed has ended too");
    assert!(take(&db, "other", TICK, LEASE, second).await.unwrap());
    assert_eq!(last_tick(&db, "hook").await.unwrap(), Some(TICK));
    assert_eq!(last_tick(&db, "other").await.unwrap(), None);
}

#[tokio::test]
async fn only_the_holder_of_the_lease_takes_ticks() {
    let (_database, db) = database().await;
    let old = next_lease(&db).await;
    let new = next_lease(&db).await;
    assert!(!take(&db, "hook", TICK, LEASE, old.fence()).await.unwrap(), "a former holder");
    assert!(!take(&db, "hook", TICK, "no such lease", new.fence()).await.unwrap());
    assert!(take(&db, "hook", TICK, LEASE, new.fence()).await.unwrap());
    new.release().await.unwrap();
    assert!(!take(&db, "other", TICK, LEASE, new_fence(&db).await).await.unwrap(), "a lease that ran out");
}

async fn new_fence(db: &Db) -> i64 {
    sqlx::query_scalar("SELECT fence FROM eventus.leases WHERE name = 'test'").fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn a_tick_whose_holder_died_is_taken_again() {
    let (_database, db) = database().await;
    let dead = next_lease(&db).await.fence();
    assert!(take(&db, "hook", TICK, LEASE, dead).await.unwrap());
    assert_eq!(last_tick(&db, "hook").await.unwrap(), None);
    let heir = next_lease(&db).await.fence();
    assert!(take(&db, "hook", TICK, LEASE, heir).await.unwrap());
    // The dead one wakes up: his end is not that of the run.
    finish(&db, "hook", TICK, dead, None).await.unwrap();
    assert_eq!(last_tick(&db, "hook").await.unwrap(), None);
    finish(&db, "hook", TICK, heir, None).await.unwrap();
    assert_eq!(last_tick(&db, "hook").await.unwrap(), Some(TICK));
}

#[tokio::test]
async fn runs_of_both_kinds_are_listed_newest_first() {
    let (_database, db) = database().await;
    let fence = next_lease(&db).await.fence();
    let mut conn = db.acquire().await.unwrap();
    let events = [event(1, "items.create"), event(2, "items.update")];
    let new = record(&mut conn, "act", &events.iter().collect::<Vec<_>>(), None).await.unwrap();
    assert_eq!(new.len(), 2);
    assert!(record(&mut conn, "act", &[&events[0]], None).await.unwrap().is_empty());
    // Within a replay it runs again, and once.
    let again = Some(uuid::Uuid::from_u128(9));
    assert_eq!(record(&mut conn, "act", &[&events[0]], again).await.unwrap(), [events[0].id]);
    assert!(record(&mut conn, "act", &[&events[0]], again).await.unwrap().is_empty());
    take(&db, "tick", TICK, LEASE, fence).await.unwrap();
    finish(&db, "tick", TICK, fence, Some("it broke")).await.unwrap();

    let all = list(&db, None, 10).await.unwrap();
    let short: Vec<_> = all.iter().map(|run| (run.hook.as_str(), run.kind.as_str(), run.position)).collect();
    // What ran again ran last.
    assert_eq!(short, [("tick", "schedule", 0), ("act", "action", 1), ("act", "action", 2)]);
    assert_eq!((all[0].error.as_deref(), all[0].scheduled_at), (Some("it broke"), Some(TICK)));
    assert_eq!(list(&db, None, 1).await.unwrap().len(), 1);

    let one = list(&db, Some(events[1].id), 10).await.unwrap();
    assert_eq!((one.len(), one[0].event.as_str()), (1, "items.update"));
    assert_eq!(one[0].trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
}
