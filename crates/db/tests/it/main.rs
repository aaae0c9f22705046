//! How the crate behaves on a real PostgreSQL.

mod control;
mod errors;
mod leases;
mod migrations;
mod pool;

use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// A migrated database and a pool on it.
async fn open() -> (testkit::TestDatabase, db::Db) {
    let database = testkit::database(db::migrate_url).await;
    let db = connect(&database);
    (database, db)
}

fn connect(database: &testkit::TestDatabase) -> db::Db {
    db::connect(&db::Config::new(&database.url).unwrap(), "test")
}
