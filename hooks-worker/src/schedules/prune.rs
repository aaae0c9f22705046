//! Schedule hook `prune`: forgets old runs of hooks, a batch at a time.
//!
//! The newest run of each schedule hook stays, however old: from it a hook knows which tick it missed.

use std::time::Duration;

use chassis::BoxError;

use crate::hook::{ScheduleHook, Tick};

/// Rows per statement, so that none holds locks for long.
const BATCH: u64 = 5_000;

const ACTIONS: &str = "
DELETE FROM eventus.hook_runs AS run
USING (
    SELECT hook, event_id FROM eventus.hook_runs
    WHERE time < now() - make_interval(secs => $1)
    ORDER BY time
    LIMIT $2
) AS old
WHERE run.hook = old.hook AND run.event_id = old.event_id";

const SCHEDULES: &str = "
DELETE FROM eventus.schedule_runs AS run
USING (
    SELECT hook, scheduled_at FROM eventus.schedule_runs AS old
    WHERE scheduled_at < now() - make_interval(secs => $1)
      AND scheduled_at < (SELECT max(scheduled_at) FROM eventus.schedule_runs WHERE hook = old.hook)
    LIMIT $2
) AS old
WHERE run.hook = old.hook AND run.scheduled_at = old.scheduled_at";

/// Deletes runs that are older than the retention, every ten minutes.
#[derive(Debug)]
pub struct Prune {
    retention: Duration,
}

impl Prune {
    /// Keeps runs for so long.
    pub fn new(retention: Duration) -> Self {
        Self { retention }
    }

    async fn forget(&self, db: &db::Db, statement: &'static str) -> Result<u64, sqlx::Error> {
        let mut total = 0;
        loop {
            let done = sqlx::query(statement)
                .bind(self.retention.as_secs_f64())
                .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
                .execute(db)
                .await?;
            total += done.rows_affected();
            if done.rows_affected() < BATCH {
                return Ok(total);
            }
        }
    }
}

#[tonic::async_trait]
impl ScheduleHook for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn cron(&self) -> &'static str {
        "*/10 * * * *"
    }

    async fn run(&self, tick: &Tick) -> Result<(), BoxError> {
        let actions = self.forget(&tick.db, ACTIONS).await?;
        let schedules = self.forget(&tick.db, SCHEDULES).await?;
        if actions + schedules > 0 {
            tracing::info!(actions, schedules, "old hook runs are forgotten");
        }
        Ok(())
    }
}
