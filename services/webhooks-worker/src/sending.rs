//! Sends what is due: takes deliveries, a few of each endpoint, and attempts them side by side.

mod attempt;
mod claim;
mod record;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use db::Db;

pub(crate) use self::record::Records;
pub(crate) use self::slots::Slots;
use crate::state::State;

/// Deliveries as work that is due.
#[derive(Clone)]
pub(crate) struct Sending(pub Arc<State>);

impl due::Work for Sending {
    const NAME: &'static str = "webhook deliveries";

    const PENDING: &'static str = "SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'pending'";

    const FORGET: &'static str = "
DELETE FROM eventus.webhook_deliveries WHERE id IN (
    SELECT id FROM eventus.webhook_deliveries
    WHERE state <> 'pending' AND finished < now() - $1::bigint * interval '1 millisecond'
    LIMIT $2 FOR UPDATE SKIP LOCKED)";

    fn db(&self) -> &Db {
        &self.0.db
    }

    async fn look(&self, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
        let state = &self.0;
        let room = state.slots.room();
        if room.total == 0 {
            return Ok(due::POLL);
        }
        for delivery in claim::take(&state.db, &room, state.lock).await? {
            let slot = state.slots.take(delivery.endpoint);
            runtime.tasks.detach(attempt::run(state.clone(), delivery, slot));
        }
        due::next(&state.db, claim::NEXT).await
    }

    async fn woken(&self) {
        tokio::select! {
            () = self.0.queued.notified() => {}
            () = self.0.slots.freed() => {}
        }
    }

    fn pending(&self, count: i64) {
        self.0.metrics.pending(count);
    }
}
