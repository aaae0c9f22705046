//! What the tests of this crate share: a database and events.

use db::Db;
use event_store::PgLedger;
use model::{Event, EventName, Ledger as _, TraceParent};
use testkit::TestDatabase;
use time::OffsetDateTime;
use uuid::Uuid;

/// The trace of every test event.
pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

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
        position,
        id: Uuid::from_u128(u128::try_from(position).unwrap()),
        name: EventName::parse(name).unwrap(),
        collection: "articles".to_owned(),
        key: position.to_string(),
        version: 1,
        payload: None,
        previous: None,
        oversized: false,
        fields: Some(vec!["title".to_owned()]),
        user: None,
        role: None,
        request_id: None,
        traceparent: TraceParent::parse(TRACE),
        causation_id: None,
        depth: 0,
        batch_id: None,
        batch_index: 0,
        silent: false,
        time: OffsetDateTime::UNIX_EPOCH,
    }
}

/// A number that a query gives.
pub(crate) async fn number(db: &Db, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(db).await.unwrap()
}
