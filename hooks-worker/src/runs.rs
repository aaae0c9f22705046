//! Runs of hooks as rows: `eventus.hook_runs` for action hooks, `eventus.schedule_runs` for schedule hooks.

use db::Db;
use model::{Event, TraceParent};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

// Within a replay a hook runs again for what it has run for before, once.
const RECORD: &str = "
INSERT INTO eventus.hook_runs AS run (hook, kind, event_id, position, event, collection, key, trace_id, replay)
SELECT $1, 'action', given.*, $8::uuid FROM
    UNNEST($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[]) AS given (event_id)
ORDER BY given.event_id
ON CONFLICT (hook, event_id) DO UPDATE SET replay = EXCLUDED.replay, time = now()
WHERE EXCLUDED.replay IS NOT NULL AND run.replay IS DISTINCT FROM EXCLUDED.replay
RETURNING event_id";

/// Records that an action hook runs for these events; gives the ids of those it has not run for before,
/// or not in this replay. Undone with the caller's transaction.
pub(crate) async fn record(
    conn: &mut PgConnection,
    hook: &str,
    events: &[&Event],
    again: Option<Uuid>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(RECORD)
        .bind(hook)
        .bind(column(events, |event| event.id))
        .bind(column(events, |event| event.position))
        .bind(column(events, |event| event.name.as_str()))
        .bind(column(events, |event| event.collection.as_str()))
        .bind(column(events, |event| event.key.as_str()))
        .bind(column(events, |event| event.traceparent.as_ref().map(TraceParent::trace_id)))
        .bind(again)
        .fetch_all(conn)
        .await
}

fn column<'a, T>(events: &[&'a Event], of: impl Fn(&'a Event) -> T) -> Vec<T> {
    events.iter().map(|event| of(event)).collect()
}

const LAST_TICK: &str = "
SELECT max(scheduled_at) FROM eventus.schedule_runs WHERE hook = $1 AND finished IS NOT NULL";

/// The last tick of a schedule hook that ended, well or not.
pub(crate) async fn last_tick(db: &Db, hook: &str) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar(LAST_TICK).bind(hook).fetch_one(db).await
}

// Only under a lease that is still held. A tick that has begun and not ended may be taken again: by a later
// holder when the one before died, by the same one when he did not hear that he had taken it.
const TAKE: &str = "
INSERT INTO eventus.schedule_runs AS run (hook, scheduled_at, fence)
SELECT $1, $2, lease.fence FROM eventus.leases AS lease
WHERE lease.name = $3 AND lease.fence = $4 AND lease.expires > clock_timestamp()
ON CONFLICT (hook, scheduled_at) DO UPDATE SET fence = EXCLUDED.fence, started = now()
WHERE run.finished IS NULL AND run.fence <= EXCLUDED.fence
RETURNING fence";

/// Takes a tick; `false` when it was taken before or the lease is gone.
pub(crate) async fn take(
    db: &Db,
    hook: &str,
    tick: OffsetDateTime,
    lease: &str,
    fence: i64,
) -> Result<bool, sqlx::Error> {
    let taken: Option<i64> =
        sqlx::query_scalar(TAKE).bind(hook).bind(tick).bind(lease).bind(fence).fetch_optional(db).await?;
    Ok(taken.is_some())
}

const FINISH: &str = "
UPDATE eventus.schedule_runs SET finished = now(), error = $4
WHERE hook = $1 AND scheduled_at = $2 AND fence = $3";

/// Writes how a tick ended, unless a later holder has taken it over.
pub(crate) async fn finish(
    db: &Db,
    hook: &str,
    tick: OffsetDateTime,
    fence: i64,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(FINISH).bind(hook).bind(tick).bind(fence).bind(error).execute(db).await?;
    Ok(())
}

/// A run as it is listed; `event_id` and `position` are empty for ticks.
#[derive(Debug)]
pub(crate) struct Listed {
    pub hook: String,
    pub kind: String,
    pub event_id: Option<Uuid>,
    pub position: i64,
    pub event: String,
    pub collection: String,
    pub key: Option<String>,
    pub scheduled_at: Option<OffsetDateTime>,
    pub trace_id: Option<String>,
    pub time: OffsetDateTime,
    pub error: Option<String>,
}

// Each half is cut by its own limit first, so that an index gives it.
const LIST: &str = "
(SELECT hook, kind, event_id, position, event, collection, key, NULL::timestamptz, trace_id, time, NULL
 FROM eventus.hook_runs ORDER BY time DESC LIMIT $1)
UNION ALL
(SELECT hook, 'schedule', NULL, 0, 'schedule', '', NULL, scheduled_at, NULL, started, error
 FROM eventus.schedule_runs ORDER BY started DESC LIMIT $1)
ORDER BY 10 DESC, 4 DESC, 1 LIMIT $1";

const LIST_OF_EVENT: &str = "
SELECT hook, kind, event_id, position, event, collection, key, NULL::timestamptz, trace_id, time, NULL
FROM eventus.hook_runs WHERE event_id = $2 ORDER BY time DESC, hook LIMIT $1";

/// Runs, newest first; of one event or of all.
pub(crate) async fn list(db: &Db, event: Option<Uuid>, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = match event {
        Some(event) => sqlx::query(LIST_OF_EVENT).bind(limit).bind(event).fetch_all(db).await?,
        None => sqlx::query(LIST).bind(limit).fetch_all(db).await?,
    };
    rows.iter().map(listed).collect()
}

fn listed(row: &PgRow) -> Result<Listed, sqlx::Error> {
    Ok(Listed {
        hook: row.try_get(0)?,
        kind: row.try_get(1)?,
        event_id: row.try_get(2)?,
        position: row.try_get(3)?,
        event: row.try_get(4)?,
        collection: row.try_get(5)?,
        key: row.try_get(6)?,
        scheduled_at: row.try_get(7)?,
        trace_id: row.try_get(8)?,
        time: row.try_get(9)?,
        error: row.try_get(10)?,
    })
}

#[cfg(test)]
mod tests;
