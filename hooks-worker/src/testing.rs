//! What the tests of this crate share: a database and events.

use db::Db;
use event_store::PgLedger;
use model::{Event, EventName, Ledger as _, TraceParent};
use testkit::{TRACE, TestDatabase};

/// A migrated database in which the consumer `hooks` is known.
pub(crate) async fn database() -> (TestDatabase, Db) {
    let database = testkit::database(db::migrate_url).await;
    let db = db::connect(&db::Config::new(&database.url).unwrap(), "hooks-test");
    PgLedger::new(db.clone(), crate::acting::CONSUMER).low_water().await.unwrap();
    (database, db)
}

/// An event of `articles` whose id and key are its position.
pub(crate) fn event(position: i64, name: &str) -> Event {
    Event {
        name: EventName::parse(name).unwrap(),
        fields: Some(vec!["title".to_owned()]),
        traceparent: TraceParent::parse(TRACE),
        ..testkit::event(position)
    }
}

/// A number that a query gives.
pub(crate) async fn number(db: &Db, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(db).await.unwrap()
}
