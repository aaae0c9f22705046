//! Forward-only migrations, embedded in the program, each in one transaction under one advisory lock.
//!
//! The lock is tried, never waited for inside a statement: a waiting statement would hold a snapshot, and is
//! subject to time-outs. It ends with the transaction, so a killed process leaves nothing behind.

use std::collections::HashMap;
use std::time::Duration;

use chassis::Shutdown;
use sqlx::{PgConnection, Row as _};

use crate::{Config, Db, Error, connect};

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; steps are applied in this order.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// Its statements. Never edited once released.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        /// All steps that this program knows, in order.
        pub const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }),+];
    };
}

migrations! {
    1 "0001_system_tables",
    2 "0002_event_log",
    3 "0003_json_in_text",
    4 "0004_activity",
    5 "0005_index_jobs",
    6 "0006_lives",
    7 "0007_accountability",
    8 "0008_idempotency_keys",
    9 "0009_time",
    10 "0010_versions",
    11 "0011_imports",
    12 "0012_erasure",
    14 "0014_accounts",
    15 "0015_api_keys",
    16 "0016_share_attempts",
    18 "0018_upkeep",
    19 "0019_retention",
    20 "0020_letters_told",
}

const LOCK: i64 = 7_306_085_836;
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const WAIT: Duration = Duration::from_millis(500);
const PREPARE: &str = "CREATE SCHEMA IF NOT EXISTS eventus;
    CREATE TABLE IF NOT EXISTS eventus.migrations (
        version  bigint      PRIMARY KEY,
        name     text        NOT NULL,
        -- SHA-256 of the statements' text.
        checksum bytea       NOT NULL,
        applied  timestamptz NOT NULL DEFAULT clock_timestamp()
    )";

/// What a run of `migrate` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Names of the steps that this run applied.
    pub now: Vec<&'static str>,
    /// How many were there already.
    pub before: usize,
}

/// Brings the schema up to date. Safe to run in several processes at once: one works, the others wait.
///
/// Steps that only a newer program knows are left alone.
///
/// # Errors
/// `MigrationChanged` when an applied step's text differs; `Migration` when one fails (the steps before it are
/// kept, nothing of it is); `Sqlx` when the database is away.
pub async fn migrate(db: &Db) -> Result<Applied, Error> {
    migrate_to(db, MIGRATIONS).await
}

/// As `migrate`, for any list; the list is in the order of its versions.
async fn migrate_to(db: &Db, list: &[Migration]) -> Result<Applied, Error> {
    let mut now = Vec::new();
    loop {
        let mut transaction = locked(db).await?;
        let known = applied(&mut transaction).await?;
        let Some(next) = next(&mut transaction, list, &known).await? else {
            transaction.commit().await?;
            let before = list.len() - now.len();
            return Ok(Applied { now, before });
        };
        apply(&mut transaction, next).await.map_err(|source| Error::Migration {
            version: next.version,
            name: next.name,
            source,
        })?;
        transaction.commit().await?;
        tracing::info!(migration = next.name, "applied");
        now.push(next.name);
    }
}

/// As `migrate`, with a connection of its own that is closed afterwards.
///
/// # Errors
/// As `migrate`, and `Url`.
pub async fn migrate_url(url: String) -> Result<(), Error> {
    let mut config = Config::new(&url)?;
    config.max_connections = 1;
    let db = connect(&config, "eventus migrate");
    let result = migrate(&db).await;
    db.close().await;
    result.map(|_| ())
}

/// Whether all steps that this program knows are applied.
///
/// # Errors
/// When the database is away.
pub async fn migrated(db: &Db) -> Result<bool, Error> {
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('eventus.migrations') IS NOT NULL").fetch_one(db).await?;
    if !there {
        return Ok(false);
    }
    let versions: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM eventus.migrations").fetch_all(db).await?;
    Ok(MIGRATIONS.iter().all(|step| versions.contains(&step.version)))
}

/// Waits until `migrated`, whatever the database does meanwhile.
///
/// # Errors
/// `Stopped` when the soft stop comes first.
pub async fn wait_migrated(db: &Db, shutdown: &Shutdown) -> Result<(), Error> {
    let mut told = false;
    loop {
        match migrated(db).await {
            Ok(true) => return Ok(()),
            result if !told => {
                told = true;
                match result {
                    Err(error) => tracing::warn!(%error, "waiting for the database"),
                    Ok(_) => tracing::info!("waiting for the database's migrations"),
                }
            }
            _ => {}
        }
        tokio::select! {
            () = shutdown.soft().cancelled() => return Err(Error::Stopped),
            () = tokio::time::sleep(WAIT) => {}
        }
    }
}

/// A transaction that holds the lock. Migrations may run as long as they need.
async fn locked(db: &Db) -> Result<crate::Transaction, Error> {
    loop {
        let mut transaction = db.begin().await?;
        let got: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *transaction)
            .await?;
        if got {
            sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
                .execute(&mut *transaction)
                .await?;
            return Ok(transaction);
        }
        transaction.rollback().await?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn applied(connection: &mut PgConnection) -> Result<HashMap<i64, Vec<u8>>, sqlx::Error> {
    sqlx::raw_sql(PREPARE).execute(&mut *connection).await?;
    let rows = sqlx::query("SELECT version, checksum FROM eventus.migrations").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The first step that is not applied, after checking all that are.
async fn next<'a>(
    connection: &mut PgConnection,
    list: &'a [Migration],
    known: &HashMap<i64, Vec<u8>>,
) -> Result<Option<&'a Migration>, Error> {
    for step in list {
        let Some(stored) = known.get(&step.version) else { return Ok(Some(step)) };
        let same: bool = sqlx::query_scalar("SELECT sha256(convert_to($1, 'UTF8')) = $2")
            .bind(step.sql)
            .bind(stored)
            .fetch_one(&mut *connection)
            .await?;
        if !same {
            return Err(Error::MigrationChanged { version: step.version, name: step.name });
        }
    }
    Ok(None)
}

async fn apply(connection: &mut PgConnection, step: &Migration) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(step.sql).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO eventus.migrations (version, name, checksum) VALUES ($1, $2, sha256(convert_to($3, 'UTF8')))",
    )
    .bind(step.version)
    .bind(step.name)
    .bind(step.sql)
    .execute(connection)
    .await?;
    Ok(())
}
