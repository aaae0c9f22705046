//! `model::Ledger` in PostgreSQL: low-water marks, inbox pruning, dead letters, catching up from the log.

use std::time::Duration;

use db::Db;
use model::{DeadLetter, Event, Ledger, LedgerError, Replay, ReplayPage, ReplayStep};

use crate::{Error, Log, Tail, replays};

/// How long `read_log` waits for open transactions: as long as PostgreSQL lets one stay idle, and more.
const PATIENCE: Duration = Duration::from_secs(10);

/// The memory of one consumer.
#[derive(Debug, Clone)]
pub struct PgLedger {
    db: Db,
    consumer: String,
    effects: bool,
}

impl PgLedger {
    /// The memory of the consumer of this name, whose effects are seen outside.
    pub fn new(db: Db, consumer: impl Into<String>) -> Self {
        Self { db, consumer: consumer.into(), effects: true }
    }

    /// The memory of the consumer of this name that keeps a read model and does nothing else.
    pub fn of_read_model(db: Db, consumer: impl Into<String>) -> Self {
        Self { effects: false, ..Self::new(db, consumer) }
    }

    /// The consumer's name.
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    async fn mark(&self) -> Result<i64, Error> {
        let known: Option<i64> =
            sqlx::query_scalar("SELECT low_water FROM eventus.consumers WHERE name = $1")
                .bind(&self.consumer)
                .fetch_optional(&self.db)
                .await?;
        if let Some(low_water) = known {
            return Ok(low_water);
        }
        // The row must be there before the first claim, and a new consumer holds back a reset of the stream.
        // It begins where the log does.
        sqlx::query(
            "INSERT INTO eventus.consumers (name, effects, low_water) SELECT $1, $2, position FROM eventus.horizon
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.consumer)
        .bind(self.effects)
        .execute(&self.db)
        .await?;
        Ok(sqlx::query_scalar("SELECT low_water FROM eventus.consumers WHERE name = $1")
            .bind(&self.consumer)
            .fetch_one(&self.db)
            .await?)
    }

    async fn lift(&self, position: i64) -> Result<(), Error> {
        faults::point(faults::Point::BeforeRaise);
        sqlx::query(
            "WITH lifted AS (
                 INSERT INTO eventus.consumers AS known (name, low_water) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET low_water = excluded.low_water, updated = now()
                 WHERE known.low_water < excluded.low_water
                 RETURNING low_water
             )
             DELETE FROM eventus.inbox USING lifted WHERE consumer = $1 AND position <= lifted.low_water",
        )
        .bind(&self.consumer)
        .bind(position)
        .execute(&self.db)
        .await?;
        Ok(())
    }

    async fn enter_dead(&self, letter: &DeadLetter) -> Result<(), Error> {
        if faults::is_on(faults::Mutant::DropDeadLetters) {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO eventus.dead_letters AS letter (consumer, event_id, position, reason, attempts, trace_id, replay)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (consumer, event_id) DO UPDATE SET
                 first_reason = coalesce(letter.first_reason, letter.reason), reason = excluded.reason,
                 attempts = letter.attempts + excluded.attempts, time = now(), replay = excluded.replay
             WHERE excluded.replay IS NOT NULL AND letter.replay IS DISTINCT FROM excluded.replay",
        )
        .bind(&self.consumer)
        .bind(letter.event_id)
        .bind(letter.position)
        // PostgreSQL's text holds no NUL; a reason may quote anything.
        .bind(letter.reason.replace('\0', "\u{fffd}"))
        .bind(letter.attempts)
        .bind(letter.trace_id.as_deref())
        .bind(letter.replay)
        .execute(&self.db)
        .await?;
        Ok(())
    }
}

impl Ledger for PgLedger {
    async fn low_water(&self) -> Result<i64, LedgerError> {
        Ok(self.mark().await?)
    }

    async fn raise(&self, position: i64) -> Result<(), LedgerError> {
        Ok(self.lift(position).await?)
    }

    /// Empty means that nothing after the position is settled: it waits up to 10 s for transactions that may
    /// still fill a gap.
    async fn read_log(&self, after: i64, limit: usize) -> Result<Vec<Event>, LedgerError> {
        let mut tail = Tail::new(self.db.clone(), after);
        let events = tail.next_or_end(limit, PATIENCE).await?;
        Ok(events)
    }

    async fn read_event(&self, position: i64) -> Result<Option<Event>, LedgerError> {
        let stored = Log::new(self.db.clone()).get(position).await?;
        Ok(stored.map(|stored| stored.event))
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LedgerError> {
        Ok(self.enter_dead(&letter).await?)
    }

    async fn next_replay(&self) -> Result<Option<Replay>, LedgerError> {
        Ok(replays::take(&self.db, &self.consumer).await?)
    }

    async fn read_replay(&self, replay: &Replay) -> Result<ReplayPage, LedgerError> {
        Ok(replays::read(&self.db, replay).await?)
    }

    async fn hold_replay(&self, replay: &Replay) -> Result<bool, LedgerError> {
        Ok(replays::hold(&self.db, replay).await?)
    }

    async fn step_replay(&self, replay: &Replay, step: ReplayStep) -> Result<bool, LedgerError> {
        Ok(replays::step(&self.db, replay, &step).await?)
    }

    async fn end_replay(
        &self,
        replay: &Replay,
        outcome: Result<Option<String>, String>,
    ) -> Result<(), LedgerError> {
        Ok(replays::end(&self.db, replay, outcome).await?)
    }

    async fn leave_replay(&self, replay: &Replay) -> Result<(), LedgerError> {
        Ok(replays::leave(&self.db, replay).await?)
    }
}
