//! The counting statement on a real PostgreSQL: exact whatever comes twice, at once, or late.

use db::Db;
use event_store::PgLedger;
use model::{Event, EventName, Ledger as _};
use testkit::TestDatabase;
use time::OffsetDateTime;
use time::macros::datetime;

use super::{CONSUMER, count};

const NOON: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

async fn world() -> (TestDatabase, Db) {
    let database = testkit::database(db::migrate_url).await;
    let db = db::connect(&db::Config::new(&database.url).unwrap(), "analytics-test");
    PgLedger::new(db.clone(), CONSUMER).low_water().await.unwrap();
    (database, db)
}

fn event(position: i64, name: &str, collection: &str, time: OffsetDateTime) -> Event {
    Event {
        name: EventName::parse(name).unwrap(),
        collection: collection.to_owned(),
        silent: position % 2 == 0,
        time,
        ..testkit::event(position)
    }
}

async fn rows(db: &Db) -> Vec<(String, String, String, i64)> {
    let read = "SELECT day::text, collection, action, count FROM eventus.analytics_daily ORDER BY 1, 2, 3";
    sqlx::query_as(read).fetch_all(db).await.unwrap()
}

fn row(day: &str, collection: &str, action: &str, count: i64) -> (String, String, String, i64) {
    (day.to_owned(), collection.to_owned(), action.to_owned(), count)
}

#[tokio::test]
async fn days_are_those_of_utc_and_every_action_counts() {
    let (_database, db) = world().await;
    let events = [
        event(1, "items.create", "articles", datetime!(2026-02-28 23:59:59.999_999 UTC)),
        event(2, "items.create", "articles", datetime!(2026-03-01 00:00 UTC)),
        event(3, "items.create", "articles", datetime!(2026-03-01 01:30 +02:00)),
        event(4, "items.create", "articles", datetime!(2026-02-28 23:30 -02:00)),
        event(5, "items.update", "articles", NOON),
        event(6, "items.delete", "pages", NOON),
        event(7, "users.create", "directus_users", NOON),
        event(8, "items.draft.create", "o'hare \"x\"", NOON),
    ];
    assert_eq!(count(&db, CONSUMER, &events).await.unwrap(), 8);
    let expected = [
        row("2026-02-28", "articles", "create", 2),
        row("2026-03-01", "articles", "create", 2),
        row("2026-03-01", "articles", "update", 1),
        row("2026-03-01", "directus_users", "create", 1),
        row("2026-03-01", "o'hare \"x\"", "draft.create", 1),
        row("2026-03-01", "pages", "delete", 1),
    ];
    assert_eq!(rows(&db).await, expected);
}

#[tokio::test]
async fn what_comes_again_is_not_counted_again() {
    let (_database, db) = world().await;
    let all: Vec<Event> = (1..=10).map(|at| event(at, "items.create", "articles", NOON)).collect();
    assert_eq!(count(&db, CONSUMER, &all[..6]).await.unwrap(), 6);
    assert_eq!(count(&db, CONSUMER, &all[..6]).await.unwrap(), 0);
    assert_eq!(count(&db, CONSUMER, &all[4..]).await.unwrap(), 4);
    let twice: Vec<Event> = all.iter().chain(&all).cloned().collect();
    assert_eq!(count(&db, CONSUMER, &twice).await.unwrap(), 0);
    let new = event(11, "items.create", "articles", NOON);
    assert_eq!(
        count(&db, CONSUMER, &[new.clone(), new]).await.unwrap(),
        1,
        "the same event twice in one batch"
    );
    assert_eq!(rows(&db).await, [row("2026-03-01", "articles", "create", 11)]);
}

/// A worker that stood still with a batch in hand, while another applied it and the inbox was pruned.
#[tokio::test]
async fn a_late_worker_counts_nothing_below_the_mark() {
    let (_database, db) = world().await;
    let events: Vec<Event> = (1..=5).map(|at| event(at, "items.create", "articles", NOON)).collect();
    assert_eq!(count(&db, CONSUMER, &events[..3]).await.unwrap(), 3);
    PgLedger::new(db.clone(), CONSUMER).raise(3).await.unwrap();
    assert_eq!(count(&db, CONSUMER, &events).await.unwrap(), 2);
    assert_eq!(rows(&db).await, [row("2026-03-01", "articles", "create", 5)]);
}

/// The same race while it happens: the mark is being raised when the late worker's statement begins.
#[tokio::test]
async fn a_mark_that_is_being_raised_is_waited_for() {
    let (_database, db) = world().await;
    let events = [event(1, "items.create", "articles", NOON)];
    assert_eq!(count(&db, CONSUMER, &events).await.unwrap(), 1);
    let mut raising = db.begin().await.unwrap();
    for statement in [
        "UPDATE eventus.consumers SET low_water = 1 WHERE name = 'analytics'",
        "DELETE FROM eventus.inbox WHERE consumer = 'analytics' AND position <= 1",
    ] {
        sqlx::query(statement).execute(&mut *raising).await.unwrap();
    }
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let finish = async {
        testkit::eventually(std::time::Duration::from_secs(5), || async {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&db).await.unwrap()
        })
        .await;
        raising.commit().await.unwrap();
    };
    let (fresh, ()) = tokio::join!(count(&db, CONSUMER, &events), finish);
    assert_eq!(fresh.unwrap(), 0);
    assert_eq!(rows(&db).await, [row("2026-03-01", "articles", "create", 1)]);
}

/// Eight workers count overlapping batches over the same counts in any order: exact, and nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_side_by_side_count_exactly() {
    const EVENTS: i64 = 2_000;
    let (_database, db) = world().await;
    let collection = |at: i64| format!("c{}", at % 7);
    let name = |at: i64| ["items.create", "items.update", "items.delete"][usize::try_from(at % 3).unwrap()];
    let day = |at: i64| NOON + time::Duration::days(at % 5);
    let all: Vec<Event> = (1..=EVENTS).map(|at| event(at, name(at), &collection(at), day(at))).collect();
    let work = (0..8_usize).map(|worker| {
        let (db, mut mine) = (db.clone(), all.clone());
        // Every worker sees all events, each in an order of its own.
        mine.sort_by_key(|event| {
            (event.position * (2 * i64::try_from(worker).unwrap() + 1) * 7_919) % 10_007
        });
        async move {
            let mut fresh = 0;
            for batch in mine.chunks(60) {
                fresh += count(&db, CONSUMER, batch).await.unwrap();
            }
            fresh
        }
    });
    let fresh: u64 = futures_util::future::join_all(work).await.into_iter().sum();
    assert_eq!(fresh, EVENTS.unsigned_abs());
    let counted = rows(&db).await;
    assert_eq!(counted.len(), 7 * 3 * 5);
    assert_eq!(counted.iter().map(|row| row.3).sum::<i64>(), EVENTS);
    for (day, collection, action, count) in counted {
        let same = |event: &&Event| {
            event.collection == collection
                && event.name.action() == action
                && event.time.date().to_string() == day
        };
        assert_eq!(i64::try_from(all.iter().filter(same).count()).unwrap(), count);
    }
}

async fn append(db: &Db, names: &[&str]) -> Vec<Event> {
    let new: Vec<_> = names.iter().map(|name| testkit::new_event(name, "articles", "1")).collect();
    let mut tx = db.begin().await.unwrap();
    let positions = event_store::append(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    event_store::Log::new(db.clone()).at(&positions).await.unwrap()
}

/// From a log that was cut off, and with events above the mark that are counted already, a rebuild comes to the live sums.
#[tokio::test]
async fn a_rebuild_begins_where_the_log_does() {
    let (_database, db) = world().await;
    let first = append(&db, &["items.create", "items.update", "items.update"]).await;
    assert_eq!(count(&db, CONSUMER, &first).await.unwrap(), 3);
    PgLedger::new(db.clone(), CONSUMER).raise(3).await.unwrap();
    let jump = "SELECT eventus.move_horizon(3), setval('eventus.events_position', 4194310);
        DELETE FROM eventus.events";
    sqlx::raw_sql(jump).execute(&db).await.unwrap();
    let later = append(&db, &["items.update", "items.delete", "items.delete"]).await;
    PgLedger::new(db.clone(), CONSUMER).raise(later[0].position - 1).await.unwrap();
    assert_eq!(count(&db, CONSUMER, &later[1..]).await.unwrap(), 2);
    let live = rows(&db).await;
    let rebuilt = super::rebuilding::rebuild(&db).await.unwrap();
    assert_eq!((rebuilt.after, rebuilt.changed, rebuilt.events), (3, 0, 2));
    assert_eq!(rebuilt.checksum, rebuilt.checksum_before);
    sqlx::query("UPDATE eventus.analytics_daily SET count = 100").execute(&db).await.unwrap();
    let rebuilt = super::rebuilding::rebuild(&db).await.unwrap();
    assert!(rebuilt.changed > 0 && rebuilt.checksum != rebuilt.checksum_before);
    assert_eq!(rows(&db).await, live);
    // What is counted stays counted once, and what was not is counted.
    assert_eq!(count(&db, CONSUMER, &later).await.unwrap(), 1);

    // An event from the future fails it: nothing is exchanged.
    PgLedger::new(db.clone(), CONSUMER).raise(later[2].position).await.unwrap();
    let live = rows(&db).await;
    sqlx::query("UPDATE eventus.events SET schema = 99").execute(&db).await.unwrap();
    let error = super::rebuilding::rebuild(&db).await.unwrap_err().to_string();
    assert!(error.contains("schema 99"), "{error}");
    assert_eq!(rows(&db).await, live);
}
