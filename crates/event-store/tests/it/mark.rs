//! The relay's mark: only the holder of the lease moves it.

use std::time::Duration;

use db::Lease;
use event_store::{Error, Mark, PgLedger};
use model::Ledger as _;
use time::OffsetDateTime;

use crate::open;

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn only_the_holder_moves_the_mark() {
    let (_database, db) = open().await;
    let fresh = Mark::load(&db).await.unwrap();
    assert_eq!((fresh.position, fresh.stream_sequence, fresh.stream_created), (0, 0, None));
    let first = Lease::acquire(&db, "relay", "a", TTL).await.unwrap().unwrap();
    let made = OffsetDateTime::from_unix_timestamp(1_767_268_800).unwrap();
    let moved = Mark { position: 7, stream_sequence: 5, stream_created: Some(made), ..fresh.clone() };
    moved.store(&db, &first).await.unwrap();
    assert_eq!(Mark::load(&db).await.unwrap(), moved);

    first.clone().release().await.unwrap();
    let second = Lease::acquire(&db, "relay", "b", TTL).await.unwrap().unwrap();
    let late = Mark { position: 6, ..moved.clone() };
    assert!(matches!(late.store(&db, &first).await, Err(Error::LeaseLost(_))));
    assert!(matches!(Mark::reset(&db, &first, 0).await, Err(Error::LeaseLost(_))));
    assert_eq!(Mark::load(&db).await.unwrap(), moved);

    let reset = Mark::reset(&db, &second, 3).await.unwrap();
    assert_eq!((reset.position, reset.stream_sequence, reset.stream_created), (3, 0, None));
    assert_ne!(reset.epoch, moved.epoch);
}

#[tokio::test]
async fn a_new_stream_begins_behind_the_slowest_consumer() {
    let (_database, db) = open().await;
    assert_eq!(Mark::lowest_applied(&db).await.unwrap(), 0);
    PgLedger::new(db.clone(), "fast").raise(90).await.unwrap();
    PgLedger::new(db.clone(), "slow").raise(40).await.unwrap();
    assert_eq!(Mark::lowest_applied(&db).await.unwrap(), 40);
    assert_eq!(PgLedger::new(db.clone(), "new").low_water().await.unwrap(), 0);
    assert_eq!(Mark::lowest_applied(&db).await.unwrap(), 0);
}
