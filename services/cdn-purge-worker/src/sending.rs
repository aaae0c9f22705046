//! Sends what is due: takes purges and asks the CDN, several side by side.

mod attempt;
mod claim;
mod record;

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use db::Db;

use crate::state::State;

/// Purges as work that is due.
#[derive(Clone)]
pub(crate) struct Sending(pub Arc<State>);

impl due::Work for Sending {
    const NAME: &'static str = "purges";

    const PENDING: &'static str = "SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')";

    const FORGET: &'static str = "
DELETE FROM eventus.purges WHERE id IN (
    SELECT id FROM eventus.purges
    WHERE state IN ('succeeded', 'failed') AND finished < now() - $1::bigint * interval '1 millisecond'
    LIMIT $2 FOR UPDATE SKIP LOCKED)";

    fn db(&self) -> &Db {
        &self.0.db
    }

    async fn look(&self, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
        let state = &self.0;
        if let Some(held) = state.held() {
            return Ok(held.min(due::POLL));
        }
        let mut slots = Vec::new();
        while let Ok(slot) = state.slots.clone().try_acquire_owned() {
            slots.push(slot);
        }
        if slots.is_empty() {
            return Ok(due::POLL);
        }
        let purges = claim::take(&state.db, slots.len(), state.lock).await?;
        for (purge, slot) in purges.into_iter().zip(slots) {
            let state = state.clone();
            runtime.tasks.detach(async move {
                attempt::run(&state, &purge).await;
                drop(slot);
                state.wake.notify_one();
            });
        }
        due::next(&state.db, claim::NEXT).await
    }

    async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn pending(&self, count: i64) {
        self.0.metrics.pending(count);
    }
}
