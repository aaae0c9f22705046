//! A database per test, copied from the migrated template in some 50 ms, dropped when the test ends.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::{Postgres, template};

/// A database of one's own. It is dropped with the value, as well as that works.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its address.
    pub url: String,
    /// Its name.
    pub name: String,
    admin_url: String,
}

/// How the making of a template ended.
pub trait Outcome {
    /// Panics when it failed.
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl<E: std::fmt::Display> Outcome for Result<(), E> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the template database cannot be migrated: {error}");
        }
    }
}

/// A migrated database. `migrate` gets the address of an empty one: pass `db::migrate_url`.
pub async fn database<M, F>(migrate: M) -> TestDatabase
where
    M: FnOnce(String) -> F,
    F: Future<Output: Outcome>,
{
    let server = Postgres::shared().await;
    let template = template::ensure(server, migrate).await;
    create(server, &template).await
}

/// A database without anything in it.
pub async fn empty_database() -> TestDatabase {
    create(Postgres::shared().await, "template0").await
}

impl TestDatabase {
    /// A migrated database on a server of one's own.
    pub async fn on<M, F>(server: &Postgres, migrate: M) -> Self
    where
        M: FnOnce(String) -> F,
        F: Future<Output: Outcome>,
    {
        let template = template::ensure(server, migrate).await;
        create(server, &template).await
    }
}

async fn create(server: &Postgres, template: &str) -> TestDatabase {
    let name = format!("eventus_test_{}", random_name());
    let mut admin = server.admin().await;
    template::run(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    admin.close().await.expect("the connection closes");
    TestDatabase { url: server.url_of(&name), name, admin_url: server.url().to_owned() }
}

#[expect(clippy::disallowed_methods, reason = "names of throw-away things need not be foreseen")]
pub(crate) fn random_name() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (url, statement) =
            (self.admin_url.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // A thread of its own: the runtime of the test may be ending, and must not be blocked.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url).await.map_err(std::io::Error::other)?;
                let dropped = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await;
                dropped.map(|_| ()).map_err(std::io::Error::other)
            })
        });
        // A server that is gone has taken the database along.
        let _ = dropper.join();
    }
}
