//! The tail at each single trap; `late` has them all at once.

use std::time::{Duration, Instant};

use event_store::{Tail, append, heads, partitions};
use model::Event;

use crate::{DEADLINE, event, open, roll_back};

const NOW: Duration = Duration::ZERO;

fn positions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.position).collect()
}

#[tokio::test]
async fn an_idle_log_gives_nothing_and_costs_the_wait() {
    let (_database, db) = open().await;
    let mut tail = Tail::new(db.clone(), 0);
    let begun = Instant::now();
    assert!(tail.next(10, Duration::from_millis(300)).await.unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(tail.next_or_end(10, DEADLINE).await.unwrap().is_empty());
    assert!(begun.elapsed() < DEADLINE);
}

#[tokio::test]
async fn a_wake_is_faster_than_the_poll_and_is_not_lost() {
    let (_database, db) = open().await;
    let mut tail = Tail::new(db.clone(), 0);
    let wake = tail.wake();
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let (events, begun) = tokio::join!(tail.next(10, DEADLINE), async {
            // The tail is waiting by now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            crate::append(&db, 1).await;
            let begun = Instant::now();
            wake.notify_one();
            begun
        });
        assert_eq!(events.unwrap().len(), 1);
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    // Without a wake the poll finds it.
    let (events, _) = tokio::join!(tail.next(10, DEADLINE), crate::append(&db, 1));
    assert_eq!(events.unwrap().len(), 1);
}

#[tokio::test]
async fn limits_are_kept_and_settled_follows() {
    let (_database, db) = open().await;
    crate::append(&db, 2500).await;
    roll_back(&db, 4).await;
    crate::append(&db, 1).await;
    let mut tail = Tail::new(db.clone(), 10);
    assert_eq!(positions(&tail.next(5, NOW).await.unwrap()), [11, 12, 13, 14, 15]);
    assert_eq!(tail.settled(), 15);
    let mut all = 5;
    while tail.settled() < 2505 {
        let events = tail.next(700, DEADLINE).await.unwrap();
        assert!(events.len() <= 700 && tail.settled() >= events.last().unwrap().position);
        all += events.len();
    }
    assert_eq!(all, 2491);
}

#[tokio::test]
async fn rolled_back_positions_hold_nobody_up() {
    let (_database, db) = open().await;
    for _ in 0..30 {
        crate::append(&db, 2).await;
        roll_back(&db, 3).await;
    }
    crate::append(&db, 1).await;
    let mut tail = Tail::new(db, 0);
    let begun = Instant::now();
    let mut seen = Vec::new();
    while seen.len() < 61 {
        seen.extend(positions(&tail.next(1000, DEADLINE).await.unwrap()));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((seen.first(), seen.last()), (Some(&1), Some(&151)));
    assert_eq!(tail.settled(), 151);
}

#[tokio::test]
async fn an_open_transaction_is_waited_for_and_a_later_one_is_not() {
    let (_database, db) = open().await;
    let mut tail = Tail::new(db.clone(), 0);
    let mut early = db.begin().await.unwrap();
    append(&mut early, &[event("early", 1)]).await.unwrap();
    roll_back(&db, 1).await;
    crate::append(&db, 1).await;
    assert!(tail.next(10, Duration::from_millis(100)).await.unwrap().is_empty());
    assert_eq!(tail.settled(), 0);
    // Begins to append only now: it cannot own the gap, so it does not keep it open.
    let mut later = db.begin().await.unwrap();
    append(&mut later, &[event("later", 1)]).await.unwrap();
    early.rollback().await.unwrap();
    assert_eq!(positions(&tail.next(10, DEADLINE).await.unwrap()), [3]);
    later.commit().await.unwrap();
    assert_eq!(positions(&tail.next(10, DEADLINE).await.unwrap()), [4]);
}

#[tokio::test]
async fn several_gaps_are_filled_and_given_up_in_any_order() {
    let (_database, db) = open().await;
    let mut tail = Tail::new(db.clone(), 0);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut transaction = db.begin().await.unwrap();
        append(&mut transaction, &[event("a", 1), event("b", 1)]).await.unwrap();
        open.push(transaction);
        crate::append(&db, 1).await;
    }
    assert!(tail.next(10, NOW).await.unwrap().is_empty());
    let mut open = open.into_iter();
    let (first, second) = (open.next().unwrap(), open.next().unwrap());
    let (third, fourth) = (open.next().unwrap(), open.next().unwrap());
    fourth.commit().await.unwrap();
    second.rollback().await.unwrap();
    assert!(tail.next(10, Duration::from_millis(50)).await.unwrap().is_empty());
    first.commit().await.unwrap();
    // 4 and 5 will never come, but the third transaction was there when their gap was seen: it might own them.
    assert_eq!(positions(&tail.next(10, DEADLINE).await.unwrap()), [1, 2, 3]);
    assert!(tail.next(10, Duration::from_millis(50)).await.unwrap().is_empty());
    third.commit().await.unwrap();
    assert_eq!(positions(&tail.next(10, DEADLINE).await.unwrap()), [6, 7, 8, 9, 10, 11, 12]);
}

#[tokio::test]
async fn foreign_writers_and_readers_of_the_log_hold_nobody_up() {
    let (_database, db) = open().await;
    sqlx::raw_sql("CREATE TABLE elsewhere (n int)").execute(&db).await.unwrap();
    let mut foreign = db.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO elsewhere VALUES (1); SELECT count(*) FROM eventus.events; SELECT nextval('eventus.events_position')")
        .execute(&mut *foreign)
        .await
        .unwrap();
    crate::append(&db, 1).await;
    let mut tail = Tail::new(db.clone(), 0);
    assert_eq!(positions(&tail.next(10, Duration::from_millis(500)).await.unwrap()), [2]);
    foreign.rollback().await.unwrap();
}

/// A statement that waits for the row of an item has locked the log's table, but has no position yet.
#[tokio::test]
async fn a_writer_that_waits_for_an_item_holds_nobody_up() {
    let (_database, db) = open().await;
    heads::created(&mut db.acquire().await.unwrap(), "hot", "item").await.unwrap();
    let mut owner = db.begin().await.unwrap();
    heads::changed(&mut owner, "hot", "item").await.unwrap();
    let write = async {
        let statement = "WITH head AS (
                 UPDATE eventus.heads SET version = version + 1 WHERE collection = 'hot' AND key = 'item' RETURNING *
             )
             INSERT INTO eventus.events (id, name, collection, key, version)
             SELECT gen_random_uuid(), 'items.update', collection, key, version FROM head ORDER BY key";
        sqlx::query(statement).execute(&db).await.unwrap();
    };
    let read = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        testkit::eventually(DEADLINE, || async {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&db).await.unwrap() == 1
        })
        .await;
        roll_back(&db, 2).await;
        crate::append(&db, 1).await;
        let mut tail = Tail::new(db.clone(), 0);
        assert_eq!(positions(&tail.next(10, Duration::from_secs(2)).await.unwrap()), [3]);
        owner.commit().await.unwrap();
        assert_eq!(positions(&tail.next(10, DEADLINE).await.unwrap()), [4]);
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_jump_of_the_sequence_and_a_dropped_partition_are_stepped_over() {
    let (_database, db) = open().await;
    crate::append(&db, 2).await;
    sqlx::query("SELECT setval('eventus.events_position', 5000000)").execute(&db).await.unwrap();
    crate::append(&db, 2).await;
    let mut tail = Tail::new(db.clone(), 0);
    assert_eq!(positions(&tail.next(10, NOW).await.unwrap()), [1, 2, 5_000_001, 5_000_002]);
    sqlx::raw_sql("DROP TABLE eventus.events_p0").execute(&db).await.unwrap();
    let mut tail = Tail::new(db.clone(), 0);
    assert_eq!(positions(&tail.next(10, NOW).await.unwrap()), [5_000_001, 5_000_002]);
    assert_eq!(tail.settled(), 5_000_002);
}

#[tokio::test]
async fn partitions_are_made_ahead_without_stopping_anybody() {
    let (_database, db) = open().await;
    assert_eq!(partitions::ensure(&db).await.unwrap(), 0);
    sqlx::query("SELECT setval('eventus.events_position', 4194300)").execute(&db).await.unwrap();
    let mut open = db.begin().await.unwrap();
    append(&mut open, &[event("open", 1)]).await.unwrap();
    let positions_over = crate::append(&db, 8).await;
    assert!(positions_over[0] < 4_194_304 && positions_over[7] > 4_194_304);
    // An appender is at work all the time: making partitions waits for nobody.
    let made = tokio::time::timeout(Duration::from_secs(3), partitions::ensure(&db)).await.unwrap().unwrap();
    assert_eq!(made, 1);
    crate::append(&db, 1).await;
    open.commit().await.unwrap();
    let mut tail = Tail::new(db.clone(), 4_194_300);
    let expected: Vec<i64> = (4_194_301..=4_194_310).collect();
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        seen.extend(positions(&tail.next(1000, DEADLINE).await.unwrap()));
    }
    assert_eq!(seen, expected);
    let several = (0..4).map(|_| async {
        sqlx::query_scalar::<_, i32>("SELECT eventus.ensure_event_partitions(5)")
            .fetch_one(&db)
            .await
            .unwrap()
    });
    assert_eq!(futures_util::future::join_all(several).await.iter().sum::<i32>(), 3);
}

/// kill -9 of PostgreSQL with a position taken and not committed: the sequence jumps, the tail goes on by itself.
#[tokio::test]
async fn a_crash_of_the_server_loses_nothing() {
    let mut server = testkit::Postgres::start().await;
    let database = testkit::TestDatabase::on(&server, db::migrate_url).await;
    let db = crate::connect(&database, 8);
    let mut tail = Tail::new(db.clone(), 0);
    let mut committed = crate::append(&db, 3).await;
    let mut open = db.begin().await.unwrap();
    append(&mut open, &[event("lost", 1)]).await.unwrap();
    committed.extend(crate::append(&db, 3).await);
    let mut seen = positions(&tail.next(2, NOW).await.unwrap());
    server.kill9().await;
    drop(open);
    // What was read ahead may still come; then it is an error, and no more than that.
    let mut failed = false;
    while !failed {
        match tail.next(10, NOW).await {
            Ok(events) => seen.extend(positions(&events)),
            Err(error) => failed = error.is_unavailable(),
        }
    }
    server.restart().await;
    committed.extend(crate::append(&db, 3).await);
    while seen.len() < committed.len() {
        let events = tail.next(10, DEADLINE).await.unwrap();
        assert!(!events.is_empty(), "{seen:?} of {committed:?}");
        seen.extend(positions(&events));
    }
    assert_eq!(seen, committed);
}
