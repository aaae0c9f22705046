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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::SystemClock;
    use time::OffsetDateTime;

    use super::Prune;
    use crate::hook::{ScheduleHook as _, Tick};
    use crate::testing::{database, number};

    #[tokio::test]
    async fn old_runs_are_forgotten_but_for_the_newest_tick_of_each_hook() {
        let (_database, db) = database().await;
        for statement in [
            "INSERT INTO eventus.hook_runs (hook, event_id, kind, position, event, collection, key, time)
             SELECT 'act', gen_random_uuid(), 'action', n, 'items.create', 'articles', n::text,
                    now() - make_interval(days => CASE WHEN n <= 12000 THEN 8 ELSE 6 END)
             FROM generate_series(1, 12007) AS n",
            "INSERT INTO eventus.schedule_runs (hook, scheduled_at, fence)
             SELECT hook, now() - make_interval(days => day), 1
             FROM (VALUES ('often', 1), ('often', 9), ('often', 10), ('yearly', 200), ('yearly', 565)) AS run (hook, day)",
        ] {
            sqlx::query(statement).execute(&db).await.unwrap();
        }
        let scheduled_at = OffsetDateTime::UNIX_EPOCH;
        let tick = Tick { scheduled_at, fence: 1, db: db.clone(), clock: Arc::new(SystemClock) };
        Prune::new(Duration::from_secs(7 * 86_400)).run(&tick).await.unwrap();
        assert_eq!(number(&db, "SELECT count(*) FROM eventus.hook_runs").await, 7);
        let left: Vec<String> = sqlx::query_scalar("SELECT hook FROM eventus.schedule_runs ORDER BY hook")
            .fetch_all(&db)
            .await
            .unwrap();
        assert_eq!(left, ["often", "yearly"]);
    }
}
