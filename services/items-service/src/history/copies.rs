//! Copies of what was taken out of the log: messages of the stream. They go when every consumer of ours is past them, so
//! that none misses an event; who comes later, or lost his place, reads the log.

use chassis::BoxError;
use event_store::Log;
use model::Event;
use sqlx::Row as _;
use time::OffsetDateTime;

use crate::state::State;

/// Messages that are looked for at once.
const CHUNK: i64 = 100;

/// As many are not taken out one by one any more.
const BULK: i64 = 5_000;

/// How many are due, and the last of them.
const OWED: &str = "SELECT count(*) AS owed, max(position) AS last FROM eventus.stale_messages \
                    WHERE position <= least((SELECT position FROM eventus.relay), \
                    (SELECT min(low_water) FROM eventus.consumers))";

/// Entered before the stream was emptied: those whose messages went.
const EMPTIED: &str = "WITH settled AS (DELETE FROM eventus.stale_messages WHERE position <= $1 AND since <= $2 \
                       RETURNING position) \
                       UPDATE eventus.dead_letters d SET reason = 'erased', first_reason = NULL FROM settled \
                       WHERE d.position = settled.position AND (d.reason <> 'erased' OR d.first_reason IS NOT NULL)";

/// What is behind the relay and every consumer.
const DUE: &str = "SELECT position, since FROM eventus.stale_messages WHERE position <= least( \
                   (SELECT position FROM eventus.relay), (SELECT min(low_water) FROM eventus.consumers)) \
                   ORDER BY position LIMIT $1";

/// What was entered again meanwhile stays. A consumer may have given an event up while it held what stood in it before.
const SETTLED: &str = "WITH settled AS (DELETE FROM eventus.stale_messages s \
                       USING unnest($1::bigint[], $2::timestamptz[]) u (position, since) \
                       WHERE s.position = u.position AND s.since = u.since RETURNING s.position) \
                       UPDATE eventus.dead_letters d SET reason = 'erased', first_reason = NULL FROM settled \
                       WHERE d.position = settled.position AND (d.reason <> 'erased' OR d.first_reason IS NOT NULL)";

/// What the stream has forgotten by itself: a message is at least as old as what was taken out of its event.
const EXPIRED: &str = "DELETE FROM eventus.stale_messages WHERE since < now() - $1 * interval '1 second'";

/// Erasures whose last stage is over: no message below their event is stale any more.
const DONE: &str = "UPDATE eventus.erasures e SET stage = 'done' WHERE e.stage = 'copies' AND NOT EXISTS \
                    (SELECT FROM eventus.stale_messages s WHERE s.position <= e.upto)";

/// Ends the erasures that waited for the stream only.
pub async fn end_erasures(state: &State) -> Result<(), BoxError> {
    let done = sqlx::query(DONE).execute(&state.db).await?;
    if done.rows_affected() > 0 {
        tracing::info!(parts = done.rows_affected(), "erasures are done");
    }
    Ok(())
}

/// Takes some of them out; `false` when there are none, or none whose time has come.
pub async fn step(state: &State) -> Result<bool, BoxError> {
    let age = state.bus.config().max_age.as_secs_f64();
    sqlx::query(EXPIRED).bind(age).execute(&state.db).await?;
    if many(state).await? {
        return Ok(true);
    }
    let rows = sqlx::query(DUE).bind(CHUNK).fetch_all(&state.db).await?;
    let mut due: Vec<(i64, OffsetDateTime)> = Vec::with_capacity(rows.len());
    for row in rows {
        due.push((row.try_get("position")?, row.try_get("since")?));
    }
    if due.is_empty() {
        return Ok(false);
    }
    let positions: Vec<i64> = due.iter().map(|(position, _)| *position).collect();
    let events: Vec<Event> = Log::new(state.db.clone()).at(&positions).await?;
    let erased = bus::erasing::erase(&state.bus, &events).await?;
    // Of what the log no longer holds, nothing can be said; the stream forgets it in time.
    let known: Vec<i64> = events.iter().map(|event| event.position).collect();
    due.retain(|(position, _)| {
        erased.settled.binary_search(position).is_ok() || known.binary_search(position).is_err()
    });
    let (settled, since): (Vec<i64>, Vec<OffsetDateTime>) = due.into_iter().unzip();
    sqlx::query(SETTLED).bind(&settled).bind(&since).execute(&state.db).await?;
    if erased.messages > 0 {
        tracing::info!(messages = erased.messages, "messages taken out of the stream");
    }
    Ok(!settled.is_empty())
}

/// Where there are too many for that, the stream is emptied up to the last of them: ours are past it, and whoever else
/// has not read so far finds it in the log, as if it had expired.
async fn many(state: &State) -> Result<bool, BoxError> {
    let row = sqlx::query(OWED).fetch_one(&state.db).await?;
    let (owed, last): (i64, Option<i64>) = (row.try_get("owed")?, row.try_get("last")?);
    let Some(last) = last.filter(|_| owed > BULK) else { return Ok(false) };
    let now: OffsetDateTime = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&state.db).await?;
    let emptied = bus::erasing::empty(&state.bus, last).await?;
    sqlx::query(EMPTIED).bind(emptied).bind(now).execute(&state.db).await?;
    tracing::warn!(owed, upto = emptied, "the stream is emptied: too many messages had to go one by one");
    Ok(true)
}
