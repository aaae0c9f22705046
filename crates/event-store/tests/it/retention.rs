//! Old partitions: nobody who needs one loses it, what read models need is kept, and dropping one stops nobody.

use std::time::Duration;

use db::Db;
use event_store::partitions::{Due, WIDTH, drop_old, due, ensure, missing, move_horizon};
use event_store::{Horizon, Log, Moment, NewEvent, PgLedger, append as append_to};
use model::{DeadLetter, EventName, Ids as _, Ledger as _, RandomIds};
use serde_json::value::RawValue;

use crate::{DEADLINE, append, connect, open};

const YEAR: Duration = Duration::from_hours(365 * 24);

async fn run(db: &Db, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.unwrap();
}

/// The log goes on in the next partition, and what is before was appended long ago.
async fn age(db: &Db) {
    sqlx::query("SELECT setval('eventus.events_position', $1)").bind(WIDTH + 10).execute(db).await.unwrap();
    ensure(db).await.unwrap();
    run(db, "UPDATE eventus.events SET time = now() - interval '400 days'").await;
}

/// The relay has published everything.
async fn relayed(db: &Db) {
    run(db, "UPDATE eventus.relay SET position = (SELECT max(position) FROM eventus.events)").await;
}

#[tokio::test]
async fn a_partition_stays_until_all_are_past_it() {
    let (_database, db) = open().await;
    let ledger = PgLedger::new(db.clone(), "slow");
    ledger.low_water().await.unwrap();
    let old = append(&db, 3).await;
    age(&db).await;
    let new = append(&db, 2).await;
    let held = |by: &str, position| Due::Held { by: by.to_owned(), position };
    assert_eq!(due(&db, YEAR).await.unwrap(), held("the relay", 0));
    relayed(&db).await;
    assert_eq!(due(&db, YEAR).await.unwrap(), held("consumer slow", 1));
    ledger.raise(old[1]).await.unwrap();
    assert_eq!(due(&db, YEAR).await.unwrap(), held("consumer slow", old[2]));
    ledger.raise(new[0]).await.unwrap();
    let letter = DeadLetter {
        event_id: RandomIds.ordered(),
        position: old[2],
        reason: "no".to_owned(),
        attempts: 1,
        trace_id: None,
        replay: None,
    };
    ledger.bury(letter).await.unwrap();
    assert_eq!(due(&db, YEAR).await.unwrap(), held("a dead letter of slow", old[2]));
    assert!(!move_horizon(&db, WIDTH - 1).await.unwrap(), "who comes to need it at the last moment keeps it");
    assert_eq!(Horizon::load(&db).await.unwrap().position, 0);
    run(&db, "DELETE FROM eventus.dead_letters").await;
    assert_eq!(due(&db, 2 * YEAR).await.unwrap(), Due::No);
    assert_eq!(due(&db, YEAR).await.unwrap(), Due::Yes(WIDTH - 1));

    assert!(move_horizon(&db, WIDTH - 1).await.unwrap());
    assert!(!move_horizon(&db, WIDTH - 1).await.unwrap());
    assert_eq!(due(&db, YEAR).await.unwrap(), Due::No, "the next one is in use");
    let log = Log::new(db.clone());
    assert!(
        matches!(log.at_position(old[1]).await.unwrap(), Moment::Gone(horizon) if horizon.position == WIDTH - 1)
    );
    assert_eq!(log.at_position(new[0]).await.unwrap(), Moment::At(new[0]));
    assert_eq!(
        drop_old(&db, Duration::from_secs(60)).await.unwrap(),
        0,
        "somebody may still be looking there"
    );
    assert_eq!(log.read(0, 10).await.unwrap().len(), 5);
    assert_eq!(drop_old(&db, Duration::ZERO).await.unwrap(), 1);
    assert_eq!(drop_old(&db, Duration::ZERO).await.unwrap(), 0);
    let left: Vec<i64> = log.read(0, 10).await.unwrap().iter().map(|event| event.position).collect();
    assert_eq!(left, new);
    assert_eq!(missing(&db).await.unwrap(), None);
    let late = PgLedger::new(db.clone(), "late");
    assert_eq!(late.low_water().await.unwrap(), WIDTH - 1, "a new consumer begins where the log does");
    run(&db, "DROP TABLE eventus.events_p1").await;
    assert_eq!(missing(&db).await.unwrap(), Some(2 * WIDTH));
}

#[tokio::test]
async fn dropping_waits_for_an_open_write_and_stops_no_other() {
    let (database, db) = open().await;
    append(&db, 3).await;
    age(&db).await;
    append(&db, 1).await;
    relayed(&db).await;
    assert!(move_horizon(&db, WIDTH - 1).await.unwrap());
    let mut open = db.begin().await.unwrap();
    let event = NewEvent::new(RandomIds.ordered(), EventName::new("items", "update"), "hot", "k", 9);
    append_to(&mut open, &[event]).await.unwrap();
    let other = connect(&database, 2);
    let dropping = drop_old(&other, Duration::ZERO);
    let meanwhile = async {
        testkit::eventually(DEADLINE, || async {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%DETACH%' AND wait_event_type = 'Lock'
            AND pid <> pg_backend_pid() AND datname = current_database())";
        sqlx::query_scalar(waits).fetch_one(&db).await.unwrap()
    })
    .await;
        // While it waits, others write and read as ever.
        let written = tokio::time::timeout(Duration::from_secs(5), append(&db, 2)).await.unwrap();
        assert_eq!(Log::new(db.clone()).read(written[0] - 1, 10).await.unwrap().len(), 2);
        open.commit().await.unwrap();
    };
    let both = async { tokio::join!(dropping, meanwhile).0 };
    assert_eq!(tokio::time::timeout(DEADLINE, both).await.unwrap().unwrap(), 1);
}

/// The members of an object, in order of their names, with all digits.
fn members(text: &str) -> Vec<(String, String)> {
    let members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
    members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
}

/// What revisions and counts are made of is there after the cut as before.
#[tokio::test]
async fn what_read_models_need_is_kept() {
    let (_database, db) = open().await;
    let event = |name: &str, key: &str, version, payload: Option<&str>| {
        let (scope, action) = name.split_once('.').unwrap();
        let id = RandomIds.ordered();
        let mut event = NewEvent::new(id, EventName::new(scope, action), "posts", key, version);
        event.payload = payload.map(|text| RawValue::from_string(text.to_owned()).unwrap());
        event.fields = (action == "update").then(|| vec!["a".to_owned()]);
        event
    };
    let write = async |events: &[NewEvent]| {
        let mut tx = db.begin().await.unwrap();
        append_to(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
    };
    write(&[
        event("items.create", "1", 1, Some(r#"{"id":1,"a":1,"b":12345678901234567890.10}"#)),
        event("items.create", "2", 1, Some(r#"{"id":2,"a":1}"#)),
        event("items.update", "1", 2, Some(r#"{"a":5}"#)),
        event("items.delete", "2", 2, None),
        event("items.create", "3", 1, Some(r#"{"id":3,"a":7}"#)),
        event("custom.update", "3", 0, Some(r#"{"a":"no value"}"#)),
    ])
    .await;
    run(&db, "UPDATE eventus.events SET erased = '{b}', payload = '{\"id\":3,\"a\":7,\"b\":null}' WHERE key = '3' AND name = 'items.create'").await;
    age(&db).await;
    write(&[
        event("items.update", "1", 3, Some(r#"{"a":6}"#)),
        event("items.update", "3", 2, Some(r#"{"a":8}"#)),
        event("items.create", "2", 3, Some(r#"{"id":2,"a":9}"#)),
    ])
    .await;
    relayed(&db).await;
    let revisions = async || -> Vec<(String, String)> {
        let sql = "SELECT item, data::text FROM eventus.revisions WHERE id > 4194304 ORDER BY id";
        sqlx::query_as(sql).fetch_all(&db).await.unwrap()
    };
    let before = revisions().await;
    assert!(move_horizon(&db, WIDTH - 1).await.unwrap());
    assert_eq!(drop_old(&db, Duration::ZERO).await.unwrap(), 1);
    let after = revisions().await;
    assert_eq!(after.len(), 3);
    for ((item, before), (other, after)) in before.iter().zip(&after) {
        assert_eq!(item, other);
        assert_eq!(members(before), members(after), "{item}");
    }
    assert!(after[0].1.contains("12345678901234567890.10"), "{}", after[0].1);
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT key FROM eventus.bases ORDER BY key").fetch_all(&db).await.unwrap();
    assert_eq!(kept, ["1", "3"], "deleted items need nothing");
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT action, count FROM eventus.analytics_base ORDER BY 1")
            .fetch_all(&db)
            .await
            .unwrap();
    let counts: Vec<(&str, i64)> = counts.iter().map(|(action, count)| (action.as_str(), *count)).collect();
    assert_eq!(counts, [("create", 3), ("delete", 1), ("update", 2)]);
}
