//! The consumers' memory: applied once, marks that only rise, nothing lost between inbox and mark.

use std::collections::HashMap;
use std::time::Duration;

use event_store::{PgLedger, append, inbox};
use model::{DeadLetter, Ids as _, Ledger as _, RandomIds};
use uuid::Uuid;

use crate::{event, open};

async fn inbox_rows(db: &db::Db) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM eventus.inbox").fetch_one(db).await.unwrap()
}

fn ids(count: usize) -> Vec<(Uuid, i64)> {
    (1..).take(count).map(|position| (RandomIds.random(), position)).collect()
}

#[tokio::test]
async fn an_event_is_new_once_per_consumer() {
    let (_database, db) = open().await;
    let events = ids(5);
    let only: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    let mut transaction = db.begin().await.unwrap();
    assert_eq!(inbox::claim(&mut transaction, "a", &events[..3]).await.unwrap(), only[..3]);
    // Within one transaction too, and twice in one list.
    let again = [events[0], events[3], events[3]];
    assert_eq!(inbox::claim(&mut transaction, "a", &again).await.unwrap(), only[3..4]);
    transaction.commit().await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    assert_eq!(inbox::claim(&mut transaction, "a", &events).await.unwrap(), only[4..]);
    assert_eq!(inbox::claim(&mut transaction, "b", &events).await.unwrap(), only);
    transaction.rollback().await.unwrap();
    let mut transaction = db.begin().await.unwrap();
    assert_eq!(inbox::claim(&mut transaction, "a", &events).await.unwrap(), only[4..]);
}

#[tokio::test]
async fn the_second_of_two_waits_for_the_first() {
    let (_database, db) = open().await;
    let events = ids(3);
    for commit in [true, false] {
        let mut first = db.begin().await.unwrap();
        let consumer = if commit { "committed" } else { "rolled back" };
        assert_eq!(inbox::claim(&mut first, consumer, &events).await.unwrap().len(), 3);
        let mut second = db.begin().await.unwrap();
        let backwards: Vec<_> = events.iter().rev().copied().collect();
        let mut waiting = std::pin::pin!(inbox::claim(&mut second, consumer, &backwards));
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
        if commit {
            first.commit().await.unwrap()
        } else {
            first.rollback().await.unwrap()
        }
        assert_eq!(waiting.await.unwrap().len(), if commit { 0 } else { 3 });
    }
}

#[tokio::test]
async fn the_mark_only_rises_and_prunes_the_inbox() {
    let (_database, db) = open().await;
    let (a, b) = (PgLedger::new(db.clone(), "a"), PgLedger::new(db.clone(), "b"));
    assert_eq!(a.low_water().await.unwrap(), 0);
    let events = ids(10);
    let mut connection = db.acquire().await.unwrap();
    inbox::claim(&mut connection, "a", &events).await.unwrap();
    inbox::claim(&mut connection, "b", &events).await.unwrap();
    a.raise(7).await.unwrap();
    a.raise(4).await.unwrap();
    assert_eq!((a.low_water().await.unwrap(), b.low_water().await.unwrap()), (7, 0));
    assert_eq!(inbox_rows(&db).await, 13);
    // What the mark covers is not new, though its row is gone; what it does not cover still has its row.
    assert!(inbox::claim(&mut connection, "a", &events).await.unwrap().is_empty());
}

/// Redelivered again and again while the mark rises and prunes: the effect happens once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_never_lets_an_event_in_twice() {
    let (database, _db) = open().await;
    let db = &crate::connect(&database, 12);
    let ledger = PgLedger::new(db.clone(), "a");
    assert_eq!(ledger.low_water().await.unwrap(), 0);
    let events = &ids(600);
    let claimers = (0..6).map(|_| async move {
        let mut new = Vec::new();
        for window in events.windows(12) {
            let mut transaction = db.begin().await.unwrap();
            new.extend(inbox::claim(&mut transaction, "a", window).await.unwrap());
            transaction.commit().await.unwrap();
        }
        new
    });
    let raise = async {
        // Never past what all have entered: only claimed events lie at or below the mark.
        loop {
            let claimed: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM eventus.inbox")
                .fetch_one(db)
                .await
                .unwrap();
            ledger.raise(claimed).await.unwrap();
            if claimed == 600 || ledger.low_water().await.unwrap() == 600 {
                return;
            }
        }
    };
    let (found, ()) = tokio::join!(futures_util::future::join_all(claimers), raise);
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for id in found.into_iter().flatten() {
        *counts.entry(id).or_default() += 1;
    }
    assert_eq!(counts.len(), 600);
    let twice = counts.values().filter(|count| **count != 1).count();
    assert_eq!(twice, 0, "events that were new more than once");
}

#[tokio::test]
async fn the_log_is_read_up_to_its_settled_end() {
    let (_database, db) = open().await;
    let ledger = PgLedger::new(db.clone(), "a");
    crate::append(&db, 5).await;
    crate::roll_back(&db, 3).await;
    let mut open = db.begin().await.unwrap();
    append(&mut open, &[event("late", 1)]).await.unwrap();
    crate::append(&db, 5).await;
    let read = async |after| -> Vec<i64> {
        let events = ledger.read_log(after, 100).await.unwrap();
        events.iter().map(|event| event.position).collect()
    };
    assert_eq!(read(2).await, [3, 4, 5]);
    let (rest, ()) = tokio::join!(read(5), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        open.commit().await.unwrap();
    });
    assert_eq!(rest, [9, 10, 11, 12, 13, 14]);
    let begun = std::time::Instant::now();
    assert!(read(14).await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(ledger.read_event(9).await.unwrap().unwrap().key, "late");
    assert!(ledger.read_event(6).await.unwrap().is_none());
}

#[tokio::test]
async fn a_buried_event_is_recorded_once() {
    let (_database, db) = open().await;
    let ledger = PgLedger::new(db.clone(), "a");
    let letter = DeadLetter {
        event_id: RandomIds.random(),
        position: 3,
        reason: "no\0use".to_owned(),
        attempts: 5,
        trace_id: None,
        replay: None,
    };
    ledger.bury(letter.clone()).await.unwrap();
    ledger.bury(letter.clone()).await.unwrap();
    let rows: Vec<(String, String, i32)> =
        sqlx::query_as("SELECT consumer, reason, attempts FROM eventus.dead_letters")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(rows, [("a".to_owned(), "no\u{fffd}use".to_owned(), 5)]);
    // In a replay it is tried anew, and given up once in each.
    let again =
        DeadLetter { reason: "still".to_owned(), attempts: 2, replay: Some(RandomIds.random()), ..letter };
    ledger.bury(again.clone()).await.unwrap();
    ledger.bury(again).await.unwrap();
    let said: (String, String, i32) =
        sqlx::query_as("SELECT first_reason, reason, attempts FROM eventus.dead_letters")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(said, ("no\u{fffd}use".to_owned(), "still".to_owned(), 7));
}
