//! Forgets purges that ended long ago, in small steps. Every process does it; they pass over each other's rows.

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;

use crate::Error;
use crate::state::State;

const EVERY: Duration = Duration::from_secs(600);
const STEP: i64 = 1_000;

const PRUNE: &str = "
DELETE FROM eventus.purges WHERE id IN (
    SELECT id FROM eventus.purges
    WHERE state IN ('succeeded', 'failed') AND finished < now() - $1::bigint * interval '1 millisecond'
    LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Goes on until the soft stop.
pub(crate) async fn run(state: Arc<State>, retention: Duration, runtime: Runtime) -> Result<(), Error> {
    let soft = runtime.shutdown.soft();
    let mut full = false;
    loop {
        let pause = if full { Duration::from_millis(100) } else { EVERY };
        if tokio::time::timeout(pause, soft.cancelled()).await.is_ok() {
            return Ok(());
        }
        let age = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        full = match sqlx::query(PRUNE).bind(age).bind(STEP).execute(&state.db).await {
            Ok(done) => done.rows_affected() == STEP.unsigned_abs(),
            Err(error) => {
                tracing::warn!(%error, "old purges are not yet forgotten");
                false
            }
        };
    }
}
