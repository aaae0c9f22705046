//! Partitions of the log: made ahead of need, dropped whole when their time is over.
//!
//! Dropping is two steps. First the horizon moves behind the partition, in one transaction with what read models keep of
//! it; from then on nobody is answered from below. A while later, when no statement can still be looking there, its table
//! is detached, without a lock that writers or readers would notice, and dropped.

use std::time::Duration;

use db::Db;
use sqlx::AssertSqlSafe;

use crate::{Error, Horizon};

/// How many partitions stand ready beyond the one in use.
pub const AHEAD: i32 = 2;

/// Positions of one partition, as in the migration that makes them.
pub const WIDTH: i64 = 4_194_304;

/// Makes the missing partitions ahead of the log; returns how many it made. Idempotent, safe side by side, and
/// it stops neither writers nor readers. The relay's holder calls it at its start and each minute.
///
/// # Errors
/// When the database is away.
pub async fn ensure(db: &Db) -> Result<u32, Error> {
    let made: i32 =
        sqlx::query_scalar("SELECT eventus.ensure_event_partitions($1)").bind(AHEAD).fetch_one(db).await?;
    Ok(made.unsigned_abs())
}

/// What is to become of the oldest partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Something in it is younger than the retention, or the log goes on in it.
    No,
    /// It could go, up to this position.
    Yes(i64),
    /// It could go, but somebody still needs it.
    Held {
        /// Who.
        by: String,
        /// From where on.
        position: i64,
    },
}

// Each with the first position that it needs. What is under way over the whole log needs all of it.
const HOLDERS: &str = "
SELECT holder, first FROM (
    -- The log must go on behind the partition: the stream's last event is looked up in it.
    SELECT 'the relay' AS holder, position AS first FROM eventus.relay
    UNION ALL SELECT 'consumer ' || name, low_water + 1 FROM eventus.consumers
    UNION ALL SELECT 'a dead letter of ' || consumer, position FROM eventus.dead_letters
    UNION ALL SELECT 'a ' || kind || ' for ' || consumer, done + 1 FROM eventus.replays WHERE state IN ('pending', 'running')
    UNION ALL SELECT 'a webhook delivery', position FROM eventus.webhook_deliveries WHERE state = 'pending'
    UNION ALL SELECT 'a message that has to leave the stream', position FROM eventus.stale_messages
    UNION ALL SELECT 'an erasure', 0 FROM eventus.erasures WHERE stage <> 'done'
    UNION ALL SELECT 'a field that became a secret', 0 FROM eventus.redactions
) holders
WHERE first <= $1 ORDER BY first, holder LIMIT 1";

const OLD: &str = "
SELECT e.time < now() - $2 * interval '1 second' FROM eventus.events e
WHERE e.position > $3 AND e.position <= $1 ORDER BY e.position DESC LIMIT 1";

/// Whether the oldest partition may go, by a retention.
///
/// # Errors
/// When the database is away.
pub async fn due(db: &Db, retention: Duration) -> Result<Due, Error> {
    let horizon = Horizon::load(db).await?.position;
    let last = ((horizon + 1) / WIDTH + 1) * WIDTH - 1;
    let relayed: i64 = sqlx::query_scalar("SELECT position FROM eventus.relay").fetch_one(db).await?;
    let taken = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM eventus.events_position";
    let taken: i64 = sqlx::query_scalar(taken).fetch_one(db).await?;
    if taken <= last {
        return Ok(Due::No);
    }
    let old: Option<bool> = sqlx::query_scalar(OLD)
        .persistent(false)
        .bind(last)
        .bind(retention.as_secs_f64())
        .bind(horizon)
        .fetch_optional(db)
        .await?;
    // An empty one (positions that were skipped) goes with the others, once the log is behind it.
    if !old.unwrap_or(relayed > last) {
        return Ok(Due::No);
    }
    let holder: Option<(String, i64)> = sqlx::query_as(HOLDERS).bind(last).fetch_optional(db).await?;
    Ok(holder.map_or(Due::Yes(last), |(by, position)| Due::Held { by, position }))
}

/// Moves the horizon behind a partition, after what read models need of it is kept: all or nothing. `false` when it has
/// been there already. Takes as long as it takes to read the partition.
///
/// # Errors
/// When the database is away.
pub async fn move_horizon(db: &Db, upto: i64) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    // Who has begun meanwhile to need it is seen here; who begins later finds the horizon.
    let moved: bool =
        sqlx::query_scalar("SELECT eventus.move_horizon($1)").bind(upto).fetch_one(&mut *tx).await?;
    let holder: Option<(String, i64)> = sqlx::query_as(HOLDERS).bind(upto).fetch_optional(&mut *tx).await?;
    if let Some((by, position)) = holder {
        tx.rollback().await?;
        tracing::info!(by, position, "the log is not cut off: somebody has come to need it");
        return Ok(false);
    }
    tx.commit().await?;
    Ok(moved)
}

/// A table of the log.
struct Table {
    number: i64,
    attached: bool,
    detaching: bool,
}

async fn tables(db: &Db) -> Result<Vec<Table>, Error> {
    const TABLES: &str = "
SELECT substr(c.relname, 9)::bigint, i.inhparent IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE n.nspname = 'eventus' AND c.relkind = 'r' AND c.relname ~ '^events_p[0-9]+$' ORDER BY 1";
    let rows: Vec<(i64, bool, bool)> = sqlx::query_as(TABLES).fetch_all(db).await?;
    let table = |(number, attached, detaching)| Table { number, attached, detaching };
    Ok(rows.into_iter().map(table).collect())
}

/// Drops the tables below the horizon, once it has stood there for `grace`; gives how many. What was interrupted goes on.
///
/// # Errors
/// When the database is away, or a transaction holds a table for longer than a statement may take.
pub async fn drop_old(db: &Db, grace: Duration) -> Result<u32, Error> {
    let still = "SELECT moved < now() - $1 * interval '1 second' FROM eventus.horizon";
    let still: bool = sqlx::query_scalar(still).bind(grace.as_secs_f64()).fetch_one(db).await?;
    let horizon = Horizon::load(db).await?.position;
    if !still || horizon < WIDTH - 1 {
        return Ok(0);
    }
    let mut dropped = 0;
    for Table { number, attached, detaching } in tables(db).await? {
        if (number + 1) * WIDTH - 1 > horizon {
            break;
        }
        if attached {
            let how = if detaching { "FINALIZE" } else { "CONCURRENTLY" };
            let detach =
                format!("ALTER TABLE eventus.events DETACH PARTITION eventus.events_p{number} {how}");
            run(db, detach).await?;
        }
        run(db, format!("DROP TABLE IF EXISTS eventus.events_p{number}")).await?;
        tracing::info!(number, upto = (number + 1) * WIDTH - 1, "a partition of the log is dropped");
        dropped += 1;
    }
    Ok(dropped)
}

/// A statement that can't stand in a transaction. Its text is of ours alone.
async fn run(db: &Db, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await?;
    Ok(())
}

/// The position from which the log is whole, if something above the horizon is missing: a table that was dropped by
/// other hands.
///
/// # Errors
/// When the database is away.
pub async fn missing(db: &Db) -> Result<Option<i64>, Error> {
    let first = (Horizon::load(db).await?.position + 1) / WIDTH;
    let there: Vec<i64> =
        tables(db).await?.iter().filter(|table| table.attached).map(|table| table.number).collect();
    let Some(last) = there.last() else { return Ok(Some(first * WIDTH)) };
    let hole = (first..*last).rev().find(|number| there.binary_search(number).is_err());
    Ok(hole.map(|number| (number + 1) * WIDTH))
}
