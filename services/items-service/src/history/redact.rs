//! Fields that become secrets: what the log holds of their values is replaced by masks.
//!
//! At once where there is little of it, in the transaction that changes the field; by a job after it, in chunks, where
//! there is much. The job looks at all of it in any case, some seconds later: what a process wrote that did not know yet
//! is found then.

use std::time::Duration;

use chassis::{BoxError, Runtime};
use sqlx::{PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

use super::{copies, erase};
use crate::failure::Failure;
use crate::state::State;

/// Events of a collection that are looked at in the transaction of the change.
const AT_ONCE: i64 = 5_000;
/// Events of a collection that the job looks at in one transaction.
const CHUNK: i64 = 2_000;
/// How often the jobs are looked at.
const POLL: Duration = Duration::from_secs(1);
/// How long a dead holder keeps the lease.
const LEASE: Duration = Duration::from_secs(10);

/// Replaces a field's values between two positions, and sees to the copies: messages of the stream, and dead letters,
/// whose reasons may quote values.
const MASK: &str = "WITH masked AS (UPDATE eventus.events SET payload = eventus.masked(payload, $2), \
                    previous = eventus.masked(previous, $2) \
                    WHERE collection = $1 AND position > $3 AND position <= $4 \
                    AND (coalesce(payload ->> $2, '') NOT IN ('', '**********') \
                    OR coalesce(previous ->> $2, '') NOT IN ('', '**********')) RETURNING position), \
                    letter AS (UPDATE eventus.dead_letters d SET reason = 'erased', first_reason = NULL FROM masked m \
                    WHERE d.position = m.position AND (d.reason <> 'erased' OR d.first_reason IS NOT NULL)) \
                    INSERT INTO eventus.stale_messages (position) SELECT position FROM masked \
                    ON CONFLICT (position) DO UPDATE SET since = excluded.since";
/// The same in what was kept of events that the log no longer has.
const MASK_BASES: &str = "UPDATE eventus.bases SET data = eventus.masked(data, $2) WHERE collection = $1 \
                          AND coalesce(data ->> $2, '') NOT IN ('', '**********')";
/// The same in what was taken over.
const MASK_REVISIONS: &str = "UPDATE directus_revisions SET data = eventus.masked(data, $2), \
                              delta = eventus.masked(delta, $2) WHERE collection = $1 \
                              AND (coalesce(data ->> $2, '') NOT IN ('', '**********') \
                              OR coalesce(delta ->> $2, '') NOT IN ('', '**********'))";

/// The same in what saved versions keep of their items; there nothing is left of it, since no version may hold a secret.
const MASK_SAVED: &str = "WITH saved AS MATERIALIZED (SELECT id::text AS id FROM directus_versions \
    WHERE collection = $1 UNION SELECT key FROM eventus.events WHERE collection = 'directus_versions' \
    AND name IN ('versions.create', 'versions.delete') AND coalesce(payload, previous) ->> 'collection' = $1), \
    version AS (UPDATE directus_versions SET delta = eventus.without(delta, NULL, ARRAY[$2]) \
    WHERE collection = $1 AND eventus.erasable(delta, NULL, NULL, ARRAY[$2]) <> '{}'), \
    masked AS (UPDATE eventus.events e SET payload = eventus.without_saved(payload, NULL, ARRAY[$2]), \
    previous = eventus.without_saved(previous, NULL, ARRAY[$2]), \
    erased = ARRAY(SELECT DISTINCT n FROM unnest(e.erased || '{delta}') n ORDER BY n) FROM saved s \
    WHERE e.collection = 'directus_versions' AND e.key = s.id \
    AND eventus.erasable(e.payload -> 'delta', e.previous -> 'delta', NULL, ARRAY[$2]) <> '{}' \
    RETURNING e.position), \
    letter AS (UPDATE eventus.dead_letters d SET reason = 'erased', first_reason = NULL FROM masked m \
    WHERE d.position = m.position AND (d.reason <> 'erased' OR d.first_reason IS NOT NULL)) \
    INSERT INTO eventus.stale_messages (position) SELECT position FROM masked \
    ON CONFLICT (position) DO UPDATE SET since = excluded.since";

/// Takes the values out of answers that are kept for whoever asks again: they are given without their items then.
const FORGET_ANSWERS: &str = "UPDATE eventus.idempotency_keys SET items = NULL \
                              WHERE strpos(items, to_json($1::text)::text) > 0";

/// Takes the values of a field out of the log, as far as it is little; the job does the rest.
pub async fn ask(conn: &mut PgConnection, collection: &str, field: &str) -> Result<(), Failure> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM eventus.events WHERE collection = $1 UNION ALL \
         SELECT 1 FROM eventus.bases WHERE collection = $1 LIMIT $2 + 1) e",
    )
    .bind(collection)
    .bind(AT_ONCE)
    .fetch_one(&mut *conn)
    .await?;
    if count == 0 {
        return Ok(());
    }
    if count <= AT_ONCE {
        mask(conn, (collection, field), 0, i64::MAX).await?;
        sqlx::query(MASK_BASES).bind(collection).bind(field).execute(&mut *conn).await?;
    }
    sqlx::query(
        "INSERT INTO eventus.redactions (collection, field, next_attempt) \
         VALUES ($1, $2, now() + interval '5 seconds') ON CONFLICT (collection, field) \
         DO UPDATE SET done = 0, attempts = 0, error = NULL, next_attempt = excluded.next_attempt",
    )
    .bind(collection)
    .bind(field)
    .execute(conn)
    .await?;
    Ok(())
}

async fn mask(
    conn: &mut PgConnection,
    (collection, field): (&str, &str),
    after: i64,
    upto: i64,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(MASK).bind(collection).bind(field).bind(after).bind(upto);
    Ok(query.execute(conn).await?.rows_affected())
}

/// Does what is asked for, where the lease is held.
pub fn start(state: &State, runtime: &Runtime) {
    let (state, shutdown) = (state.clone(), runtime.shutdown.clone());
    let holder = state.ids.random().to_string();
    runtime.tasks.spawn_to_the_end("redactions", async move {
        let soft = shutdown.soft().clone();
        let work = |_| hold(state.clone(), soft.clone());
        db::leases::hold(&state.db, "redactions", &holder, LEASE, &shutdown, work).await
    });
}

async fn hold(state: State, soft: CancellationToken) -> Result<(), BoxError> {
    loop {
        let done = tokio::select! {
            () = soft.cancelled() => return Ok(()),
            done = step(&state) => done,
        };
        match done {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the log's secrets can't be looked after"),
        }
        tokio::select! {
            () = soft.cancelled() => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// One step of what is to leave the log, or its copies; `false` when there is nothing to do now.
async fn step(state: &State) -> Result<bool, BoxError> {
    if next(&state.db).await? || erase::step(state, None).await? || copies::step(state).await? {
        return Ok(true);
    }
    copies::end_erasures(state).await?;
    Ok(false)
}

/// One chunk of one job; `false` when none is due.
async fn next(db: &db::Db) -> Result<bool, sqlx::Error> {
    const DUE: &str = "SELECT collection, field, done FROM eventus.redactions WHERE next_attempt <= now() \
                       ORDER BY next_attempt LIMIT 1";
    let Some(row) = sqlx::query(DUE).fetch_optional(db).await? else { return Ok(false) };
    let (collection, field): (String, String) = (row.try_get("collection")?, row.try_get("field")?);
    let done: i64 = row.try_get("done")?;
    if let Err(error) = chunk(db, (&collection, &field), done).await {
        tracing::warn!(collection, field, %error, "values could not be taken out of the log");
        let later = "UPDATE eventus.redactions SET attempts = attempts + 1, error = $3, \
                     next_attempt = now() + least(power(2, attempts), 300) * interval '1 second' \
                     WHERE collection = $1 AND field = $2";
        sqlx::query(later).bind(&collection).bind(&field).bind(error.to_string()).execute(db).await?;
    }
    Ok(true)
}

async fn chunk(db: &db::Db, of: (&str, &str), done: i64) -> Result<(), db::Error> {
    let mut tx = db.begin().await?;
    let (collection, field) = of;
    let upto: Option<i64> = sqlx::query_scalar(
        "SELECT max(position) FROM (SELECT position FROM eventus.events WHERE collection = $1 AND position > $2 \
         ORDER BY position LIMIT $3) e",
    )
    .bind(collection)
    .bind(done)
    .bind(CHUNK)
    .fetch_one(&mut *tx)
    .await?;
    match upto {
        Some(upto) => {
            let masked = mask(&mut tx, of, done, upto).await?;
            let on =
                "UPDATE eventus.redactions SET done = $3 WHERE collection = $1 AND field = $2 AND done = $4";
            sqlx::query(on).bind(collection).bind(field).bind(upto).bind(done).execute(&mut *tx).await?;
            tracing::info!(collection, field, upto, masked, "values taken out of the log");
        }
        None => {
            sqlx::query(MASK_BASES).bind(collection).bind(field).execute(&mut *tx).await?;
            sqlx::query(MASK_REVISIONS).bind(collection).bind(field).execute(&mut *tx).await?;
            sqlx::query(MASK_SAVED).bind(collection).bind(field).execute(&mut *tx).await?;
            sqlx::query(FORGET_ANSWERS).bind(field).execute(&mut *tx).await?;
            let gone = "DELETE FROM eventus.redactions WHERE collection = $1 AND field = $2 AND done = $3";
            sqlx::query(gone).bind(collection).bind(field).bind(done).execute(&mut *tx).await?;
        }
    }
    Ok(tx.commit().await?)
}
