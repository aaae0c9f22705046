//! Answers that were kept under a key: found again, and forgotten after their time.

use std::time::Duration;

use chassis::{BoxError, Runtime};
use model::Errors;
use planner::Once;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::state::State;

/// The rows of a key. `$3`: milliseconds that a key is good for.
const FIND: &str = "SELECT fingerprint, items, keys, version, \
    created < now() - $3 * interval '1 millisecond' AS is_over \
    FROM eventus.idempotency_keys WHERE owner = $1 AND key = $2";

const RELEASE: &str = "DELETE FROM eventus.idempotency_keys \
    WHERE owner = $1 AND key = $2 AND created < now() - $3 * interval '1 millisecond'";

const FORGET: &str = "DELETE FROM eventus.idempotency_keys WHERE (owner, key) IN ( \
    SELECT owner, key FROM eventus.idempotency_keys WHERE created < now() - $1 * interval '1 millisecond' \
    ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// How often old keys are looked for.
const EVERY: Duration = Duration::from_secs(600);
/// Between two steps when the one before may have left something.
const BREATH: Duration = Duration::from_millis(100);
/// Keys of a step.
const STEP: i64 = 1_000;

/// The answer of a write, as it was.
#[derive(Debug)]
pub struct Kept {
    /// The items, as JSON text.
    pub items: Option<String>,
    /// Their keys.
    pub keys: Vec<String>,
    /// The version of the one item.
    pub version: Option<i64>,
}

impl Kept {
    /// What was kept under a key.
    ///
    /// # Errors
    /// 422: it was the answer to something else. 503: PostgreSQL is away.
    pub async fn find(state: &State, once: &Once) -> Result<Option<Self>, Errors> {
        match of(state, once).await {
            Ok(Some((fingerprint, _))) if fingerprint != once.fingerprint => {
                Err(super::used_otherwise().into())
            }
            Ok(found) => Ok(found.map(|(_, kept)| kept)),
            Err(error) => Err(state.failure(&error, "")),
        }
    }

    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            items: row.try_get("items")?,
            keys: row.try_get("keys")?,
            version: row.try_get("version")?,
        })
    }
}

/// What stands under a key, with its fingerprint. A key that is over is free again.
async fn of(state: &State, once: &Once) -> Result<Option<(String, Kept)>, sqlx::Error> {
    let time = model::milliseconds(state.idempotency.ttl);
    let find = sqlx::query(FIND).bind(&once.owner).bind(&once.key).bind(time);
    let Some(row) = find.fetch_optional(&state.db).await? else { return Ok(None) };
    if row.try_get("is_over")? {
        let release = sqlx::query(RELEASE).bind(&once.owner).bind(&once.key).bind(time);
        release.execute(&state.db).await?;
        return Ok(None);
    }
    Ok(Some((row.try_get("fingerprint")?, Kept::of(&row)?)))
}

/// Forgets keys that are over, in small steps, until the soft stop. Every process does it; they pass over each other's
/// rows.
pub fn forget(state: &State, runtime: &Runtime) {
    let (state, soft) = (state.clone(), runtime.shutdown.soft().clone());
    runtime.tasks.spawn_to_the_end("idempotency keys", async move {
        let mut full = true;
        loop {
            let pause = if full { BREATH } else { EVERY };
            if tokio::time::timeout(pause, soft.cancelled()).await.is_ok() {
                return Ok::<(), BoxError>(());
            }
            let forget = sqlx::query(FORGET).bind(model::milliseconds(state.idempotency.ttl)).bind(STEP);
            full = match forget.execute(&state.db).await {
                Ok(done) => done.rows_affected() == STEP.unsigned_abs(),
                Err(error) => {
                    tracing::warn!(%error, "old idempotency keys are not yet forgotten");
                    false
                }
            };
        }
    });
}
