//! How the log behaves on a real PostgreSQL.

mod append;
mod late;
mod ledger;
mod log;
mod mark;
mod retention;
mod tail;
mod throughput;

use std::time::Duration;

use event_store::NewEvent;
use model::{EventName, Ids as _, RandomIds};

const DEADLINE: Duration = Duration::from_secs(20);

/// A migrated database and a pool on it.
async fn open() -> (testkit::TestDatabase, db::Db) {
    let database = testkit::database(db::migrate_url).await;
    let db = connect(&database, 8);
    (database, db)
}

fn connect(database: &testkit::TestDatabase, connections: u32) -> db::Db {
    let mut config = db::Config::new(&database.url).unwrap();
    config.max_connections = connections;
    if connections > 8 {
        config.acquire_timeout = DEADLINE;
    }
    db::connect(&config, "test")
}

fn event(key: &str, version: i64) -> NewEvent {
    NewEvent::new(RandomIds.ordered(), EventName::new("items", "update"), "hot", key, version)
}

/// Appends `count` events in one transaction of their own.
async fn append(db: &db::Db, count: usize) -> Vec<i64> {
    let events: Vec<NewEvent> = (0..count).map(|number| event(&number.to_string(), 1)).collect();
    let mut transaction = db.begin().await.unwrap();
    let positions = event_store::append(&mut transaction, &events).await.unwrap();
    transaction.commit().await.unwrap();
    positions
}

/// Takes positions that nobody will ever see.
async fn roll_back(db: &db::Db, count: usize) {
    let mut transaction = db.begin().await.unwrap();
    let events: Vec<NewEvent> = (0..count).map(|_| event("gone", 1)).collect();
    event_store::append(&mut transaction, &events).await.unwrap();
    transaction.rollback().await.unwrap();
}
