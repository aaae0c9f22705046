//! Runs action hooks for the events of the bus.
//!
//! One transaction per batch: the inbox claim, then for each hook within a savepoint the record of its runs and
//! its effects. A hook that fails takes only its own part with it; its events come again and find the others done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bus::Failure;
use db::Db;
use futures_util::FutureExt as _;
use model::{Event, Replay};
use sqlx::{Acquire as _, PgConnection};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::hook::ActionHook;
use crate::metrics::{Kind, Metrics, Outcome};
use crate::registry::{Registry, matches};
use crate::runs;

/// Name of the durable consumer and of its inbox.
pub(crate) const CONSUMER: &str = "hooks";

/// One hook may take so long for one batch; the transaction is open meanwhile.
const LIMIT: Duration = Duration::from_secs(10);

const UNCLAIM: &str = "DELETE FROM eventus.inbox WHERE consumer = $1 AND event_id = ANY($2)";

/// The action hooks of this process.
#[derive(Clone)]
pub(crate) struct Acting {
    pub db: Db,
    pub registry: Arc<Registry>,
    pub metrics: Metrics,
}

impl bus::consumer::Handler for Acting {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.act(CONSUMER, None, events).await
    }

    async fn replay(&self, replay: &Replay, events: &[Event]) -> Result<(), Failure> {
        self.act(&replay.inbox(), replay.again().then_some(replay.id), events).await
    }
}

impl Acting {
    /// Runs the hooks for the events that this inbox does not hold; within a replay `again` for those that they have run for.
    async fn act(&self, inbox: &str, again: Option<Uuid>, events: &[Event]) -> Result<(), Failure> {
        let wanted: Vec<&Event> = events.iter().filter(|event| self.registry.wants(&event.name)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut transaction = self.db.begin().await.map_err(of_db)?;
        let keys: Vec<(Uuid, i64)> = wanted.iter().map(|event| (event.id, event.position)).collect();
        let claimed = event_store::inbox::claim(&mut transaction, inbox, &keys).await.map_err(of_log)?;
        let fresh: Vec<&Event> = wanted.into_iter().filter(|event| claimed.contains(&event.id)).collect();
        let failure = self.run_all(&fresh, again, &mut transaction).await.map_err(of_sqlx)?;
        if failure.is_some() {
            // What went well stays; the events are to come again for the rest.
            let unclaim = sqlx::query(UNCLAIM).bind(inbox).bind(claimed);
            unclaim.execute(&mut *transaction).await.map_err(of_sqlx)?;
        }
        transaction.commit().await.map_err(of_sqlx)?;
        failure.map_or(Ok(()), Err)
    }

    /// Runs every hook for those of the events that it wants; gives the failure that counts most.
    async fn run_all(
        &self,
        events: &[&Event],
        again: Option<Uuid>,
        conn: &mut PgConnection,
    ) -> Result<Option<Failure>, sqlx::Error> {
        let mut failure = None;
        for hook in self.registry.actions() {
            let mine: Vec<&Event> =
                events.iter().copied().filter(|event| matches(hook.as_ref(), &event.name)).collect();
            let mut part = conn.begin().await?;
            match self.run_one(hook.as_ref(), &mine, again, &mut part).await {
                Ok(()) => part.commit().await?,
                Err(failed) => {
                    part.rollback().await?;
                    failure = Some(worse(failure, named(hook.name(), failed)));
                }
            }
        }
        Ok(failure)
    }

    async fn run_one(
        &self,
        hook: &dyn ActionHook,
        events: &[&Event],
        again: Option<Uuid>,
        conn: &mut PgConnection,
    ) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let new = runs::record(conn, hook.name(), events, again).await.map_err(of_sqlx)?;
        let events: Vec<&Event> = events.iter().copied().filter(|event| new.contains(&event.id)).collect();
        if events.is_empty() {
            return Ok(());
        }
        let span = tracing::info_span!("action_hook", hook = hook.name(), events = events.len());
        let begun = Instant::now();
        let caught = AssertUnwindSafe(hook.run(&events, conn).instrument(span)).catch_unwind();
        let (outcome, result) = match timeout(LIMIT, caught).await {
            Ok(Ok(Ok(()))) => (Outcome::Ok, Ok(())),
            Ok(Ok(Err(failure))) => (Outcome::Failed, Err(failure)),
            Ok(Err(_panic)) => (Outcome::Panicked, Err(Failure::Retry("panicked".into()))),
            Err(_elapsed) => (Outcome::TimedOut, Err(Failure::Retry("took too long".into()))),
        };
        self.metrics.ran(Kind::Action, hook.name(), outcome, begun.elapsed());
        result
    }
}

fn of_db(error: db::Error) -> Failure {
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Retry(error.into()) }
}

fn of_log(error: event_store::Error) -> Failure {
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Retry(error.into()) }
}

fn of_sqlx(error: sqlx::Error) -> Failure {
    of_db(error.into())
}

/// The failure with the hook's name before it: it is what a dead letter gives as its reason.
fn named(hook: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Retry(error) => Failure::Retry(format!("hook {hook}: {error}").into()),
        Failure::Fail(error) => Failure::Fail(format!("hook {hook}: {error}").into()),
        Failure::Unavailable(error) => Failure::Unavailable(format!("hook {hook}: {error}").into()),
    }
}

/// An event is given up only when no hook asks for another try.
fn worse(before: Option<Failure>, now: Failure) -> Failure {
    match (before, now) {
        (Some(before @ Failure::Unavailable(_)), _) | (Some(before), Failure::Fail(_)) => before,
        (_, now) => now,
    }
}

#[cfg(test)]
mod tests;
