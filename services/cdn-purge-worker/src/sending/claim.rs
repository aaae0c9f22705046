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
    let rows = sqlx::query(TAKE).bind(count).bind(model::milliseconds(lock)).fetch_all(db).await?;
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

/// Milliseconds until the next purge becomes due, if that is within `$1`.
pub(super) const NEXT: &str = "
SELECT (extract(epoch FROM min(next_attempt) - now()) * 1000)::bigint FROM eventus.purges
WHERE state IN ('pending', 'sending') AND next_attempt > now()
    AND next_attempt < now() + $1::bigint * interval '1 millisecond'";
