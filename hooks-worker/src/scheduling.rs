//! Runs schedule hooks at their times, in one process of the fleet: the holder of the lease `schedule`.

mod tick;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chassis::BoxError;
use db::Db;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use model::Clock;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub(crate) use self::tick::{Decision, Schedule};
use crate::hook::{ScheduleHook, Tick};
use crate::metrics::{Kind, Metrics, Outcome};
use crate::registry::Registry;
use crate::runs;

/// Name of the lease.
pub(crate) const LEASE: &str = "schedule";

/// How long the lease lives without being renewed.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(10);

/// Longest sleep: the machine's clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Pause after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The schedule hooks of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Scheduling {
    pub db: Db,
    pub registry: Arc<Registry>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

impl Scheduling {
    /// Runs all hooks, each for itself, under the lease with this fence. Ends at the soft stop, when the ticks that
    /// run then have ended; dropped when the lease is lost.
    pub async fn lead(&self, fence: i64, soft: &CancellationToken) {
        tracing::info!(fence, "schedule hooks run here");
        let follow = |(hook, schedule): &(Arc<dyn ScheduleHook>, Schedule)| {
            let (hook, schedule) = (hook.clone(), schedule.clone());
            async move { self.follow(hook.as_ref(), &schedule, fence, soft).await }
        };
        join_all(self.registry.schedules().iter().map(follow)).await;
        soft.cancelled().await;
    }

    /// One hook, tick by tick. Its ticks never overlap: those that come due while it runs count as missed.
    async fn follow(
        &self,
        hook: &dyn ScheduleHook,
        schedule: &Schedule,
        fence: i64,
        soft: &CancellationToken,
    ) {
        let first_seen = self.clock.now();
        let mut last = None;
        while !soft.is_cancelled() {
            let result = match last {
                None => runs::last_tick(&self.db, hook.name()).await.map(|tick| tick.unwrap_or(first_seen)),
                Some(tick) => self.step(hook, schedule, tick, fence, soft).await,
            };
            match result {
                Ok(tick) => last = Some(tick),
                Err(error) => {
                    tracing::warn!(hook = hook.name(), %error, "schedule hook waits for the database");
                    let _ = timeout(PAUSE, soft.cancelled()).await;
                }
            }
        }
    }

    /// Runs what is due or waits for it; gives the last tick that needs nothing more.
    async fn step(
        &self,
        hook: &dyn ScheduleHook,
        schedule: &Schedule,
        last: OffsetDateTime,
        fence: i64,
        soft: &CancellationToken,
    ) -> Result<OffsetDateTime, sqlx::Error> {
        let now = self.clock.now();
        let Decision { due, skipped, next } = schedule.decide(last, now);
        if skipped && due.is_some() {
            tracing::warn!(hook = hook.name(), %last, "schedule hook missed ticks; only the latest one runs");
        }
        if let Some(tick) = due {
            if runs::take(&self.db, hook.name(), tick, LEASE, fence).await? {
                self.run(hook, tick, fence).await;
            }
            return Ok(tick);
        }
        let _ = timeout(next.map_or(LONGEST_SLEEP, |next| until(now, next)), soft.cancelled()).await;
        Ok(last)
    }

    async fn run(&self, hook: &dyn ScheduleHook, scheduled_at: OffsetDateTime, fence: i64) {
        let tick = Tick { scheduled_at, fence, db: self.db.clone(), clock: self.clock.clone() };
        let span = tracing::info_span!("schedule_hook", hook = hook.name(), %scheduled_at, fence);
        let begun = Instant::now();
        let caught = AssertUnwindSafe(hook.run(&tick)).catch_unwind().instrument(span.clone()).await;
        let (outcome, error) = match caught {
            Ok(Ok(())) => (Outcome::Ok, None),
            Ok(Err(error)) => (Outcome::Failed, Some(chain(&error))),
            Err(_panic) => (Outcome::Panicked, Some("panicked".to_owned())),
        };
        self.metrics.ran(Kind::Schedule, hook.name(), outcome, begun.elapsed());
        span.in_scope(|| match &error {
            None => tracing::debug!(hook = hook.name(), "schedule hook ran"),
            Some(error) => tracing::error!(hook = hook.name(), error, "schedule hook failed"),
        });
        // Until it is written down the tick counts as not ended and would run again under the next holder.
        while let Err(error) =
            runs::finish(&self.db, hook.name(), scheduled_at, fence, error.as_deref()).await
        {
            tracing::warn!(hook = hook.name(), %error, "the end of a schedule hook's run is not yet written");
            sleep(PAUSE).await;
        }
    }
}

/// At most [`LONGEST_SLEEP`].
fn until(now: OffsetDateTime, next: OffsetDateTime) -> Duration {
    Duration::try_from(next - now).unwrap_or_default().min(LONGEST_SLEEP)
}

/// An error and its causes on one line.
fn chain(error: &BoxError) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
