//! Plain reading: large events, a broken one, how far all is settled.

use event_store::{Error, Log, Tail, append};
use serde_json::value::RawValue;
use std::time::Duration;

use crate::{connect, event, open};

#[tokio::test]
async fn batches_of_large_events_are_small() {
    let (_database, db) = open().await;
    let mut connection = db.acquire().await.unwrap();
    for number in 0..24_u64 {
        // Noise that cannot be compressed much: 900 KB each.
        let mut state = number + 1;
        let noise: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + ((state >> 33) % 75) as u8).escape_default().to_string()
        })
        .take(900_000)
        .collect();
        let mut large = event("large", 1);
        large.payload = Some(RawValue::from_string(serde_json::to_string(&noise).unwrap()).unwrap());
        append(&mut connection, &[large]).await.unwrap();
    }
    let first = Log::new(db.clone()).read(0, 1000).await.unwrap();
    assert!((1..=4).contains(&first.len()), "{}", first.len());
    let mut tail = Tail::new(db, 0);
    let mut seen = Vec::new();
    while let batch @ [_, ..] = tail.next_or_end(1000, Duration::ZERO).await.unwrap().as_slice() {
        assert!(batch.len() <= 4, "{}", batch.len());
        seen.extend(batch.iter().map(|event| event.position));
    }
    assert_eq!(seen, (1..=24).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_unreadable_event_stops_the_reader_and_is_named() {
    let (_database, db) = open().await;
    crate::append(&db, 3).await;
    sqlx::raw_sql("UPDATE eventus.events SET name = 'No Name' WHERE position = 2")
        .execute(&db)
        .await
        .unwrap();
    let error = Log::new(db.clone()).read(0, 10).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { position: 2, .. }), "{error}");
    let mut tail = Tail::new(db.clone(), 0);
    assert!(tail.next(10, Duration::ZERO).await.is_err());
    // Mended, the same tail goes on.
    sqlx::raw_sql("UPDATE eventus.events SET name = 'a.name' WHERE position = 2").execute(&db).await.unwrap();
    assert_eq!(tail.next(10, Duration::ZERO).await.unwrap().len(), 3);
}

#[tokio::test]
async fn settled_never_goes_past_an_open_transaction() {
    let (_database, db) = open().await;
    let log = Log::new(db.clone());
    assert_eq!(log.last_settled().await.unwrap(), 0);
    crate::append(&db, 3).await;
    assert_eq!(log.last_settled().await.unwrap(), 3);
    let mut open = db.begin().await.unwrap();
    append(&mut open, &[event("late", 1)]).await.unwrap();
    crate::append(&db, 2).await;
    assert!(log.last_settled().await.unwrap() <= 3);
    open.commit().await.unwrap();
    assert_eq!(log.last_settled().await.unwrap(), 6);
}

/// Whole reads of the log's first partition, as PostgreSQL counts them.
async fn scans(db: &db::Db) -> i64 {
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(db).await.unwrap();
    let scans = "SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables
                 WHERE schemaname = 'eventus' AND relname = 'events_p0'";
    sqlx::query_scalar(scans).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn a_log_that_has_grown_is_not_read_by_the_plans_of_its_youth() {
    let (database, _) = open().await;
    let db = connect(&database, 1);
    crate::append(&db, 3).await;
    sqlx::raw_sql("ANALYZE eventus.events").execute(&db).await.unwrap();
    let log = Log::new(db.clone());
    for _ in 0..10 {
        // By now a connection would keep a plan for what it has prepared.
        assert_eq!(log.read(0, 1000).await.unwrap().len(), 3);
        assert_eq!(Tail::new(db.clone(), 0).next(1000, Duration::ZERO).await.unwrap().len(), 3);
    }
    for _ in 0..10 {
        crate::append(&db, 1000).await;
    }
    let before = scans(&db).await;
    assert_eq!(log.read(10_002, 1000).await.unwrap().len(), 1);
    assert_eq!(Tail::new(db.clone(), 10_002).next(1000, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(scans(&db).await, before);
}
