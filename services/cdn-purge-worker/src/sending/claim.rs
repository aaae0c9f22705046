//! Takes due purges from the table. Whoever has taken one is the only one who sends it, for a while; a change that
//! comes meanwhile makes a row of its own.

use std::time::Duration;

use db::Db;
use model::TraceParent;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// A purge that this process may send.
#[derive(Debug, Clone)]
pub(super) struct Purge {
    pub id: i64,
    pub target: String,
    /// The last change that it stands for.
    pub event_id: Uuid,
    pub position: i64,
    pub traceparent: Option<TraceParent>,
    /// Requests before this one.
    pub attempts: i32,
    /// Ours until then; also says that it is still ours.
    pub locked_until: OffsetDateTime,
}

// `sending` whose time is over was left by a process that died.
const TAKE: &str = "
WITH taken AS MATERIALIZED (
    SELECT id FROM eventus.purges
    WHERE state IN ('pending', 'sending') AND next_attempt <= now() AND (locked_until IS NULL OR locked_until <= now())
    ORDER BY next_attempt LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE eventus.purges purge SET state = 'sending', locked_until = now() + $2::bigint * interval '1 millisecond'
FROM taken WHERE purge.id = taken.id
RETURNING purge.id, target, event_id, position, traceparent, attempts, locked_until";

/// Takes what is due, at most `count`.
pub(super) async fn take(db: &Db, count: usize, lock: Duration) -> Result<Vec<Purge>, sqlx::Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = sqlx::query(TAKE).bind(count).bind(milliseconds(lock)).fetch_all(db).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Purge, sqlx::Error> {
    Ok(Purge {
        id: row.try_get(0)?,
        target: row.try_get(1)?,
        event_id: row.try_get(2)?,
        position: row.try_get(3)?,
        traceparent: row.try_get::<Option<&str>, _>(4)?.and_then(TraceParent::parse),
        attempts: row.try_get(5)?,
        locked_until: row.try_get(6)?,
    })
}

const NEXT: &str = "
SELECT (extract(epoch FROM min(next_attempt) - now()) * 1000)::bigint FROM eventus.purges
WHERE state IN ('pending', 'sending') AND next_attempt > now()
    AND next_attempt < now() + $1::bigint * interval '1 millisecond'";

/// How long until the next purge becomes due, if that is within `horizon`.
pub(super) async fn next_due(db: &Db, horizon: Duration) -> Result<Option<Duration>, sqlx::Error> {
    let wait: Option<i64> = sqlx::query_scalar(NEXT).bind(milliseconds(horizon)).fetch_one(db).await?;
    // Rounded up: a look that comes too early finds nothing.
    Ok(wait.map(|wait| Duration::from_millis(wait.max(0).unsigned_abs() + 1)))
}

/// How many purges the CDN still has to be asked for.
pub(super) async fn pending(db: &Db) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')")
        .fetch_one(db)
        .await
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
