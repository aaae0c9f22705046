//! Writes down what came of attempts, together with what becomes of their deliveries.
//!
//! Attempts that end while others are being written are written together: one statement, one commit for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use db::Db;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Error;
use crate::endpoints::TOPIC;
use crate::sending::claim::Delivery;
use crate::state::State;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// HTTP status, 0 when there was no answer.
    pub status: u16,
    /// Class of the failure; empty on success.
    pub class: &'static str,
    pub took: Duration,
    pub verdict: Verdict,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    /// Another attempt, so much later.
    Again(Duration),
    /// It was the last attempt.
    Failed,
    /// The endpoint wants nothing any more.
    Gone,
}

// A success always counts, but once; a failure only while the delivery is still ours.
const RECORD: &str = "
WITH outcome AS (
    SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::int[], $6::bigint[], $7::text[])
        AS outcome (id, locked_until, state, wait, status, took, error)
), done AS (
    UPDATE eventus.webhook_deliveries delivery
    SET attempts = delivery.attempts + 1, state = outcome.state, locked_until = NULL,
        next_attempt = CASE WHEN outcome.state = 'pending' THEN now() + outcome.wait * interval '1 millisecond'
            ELSE delivery.next_attempt END,
        finished = CASE WHEN outcome.state = 'pending' THEN NULL ELSE now() END
    FROM outcome
    WHERE delivery.id = outcome.id AND (
        (outcome.state = 'succeeded' AND delivery.state <> 'succeeded')
        OR (delivery.state = 'pending' AND delivery.locked_until = outcome.locked_until))
    RETURNING delivery.id, delivery.attempts
)
INSERT INTO eventus.webhook_attempts (delivery, number, time, status, duration_ms, error)
SELECT id, done.attempts, now() - took * interval '1 millisecond', status, took, error
FROM done JOIN outcome USING (id)";

const DISABLE: &str = "UPDATE eventus.webhook_endpoints SET enabled = false WHERE id = $1 AND enabled";

const DROP_PENDING: &str = "
UPDATE eventus.webhook_deliveries SET state = 'failed', finished = now(), locked_until = NULL
WHERE endpoint = $1 AND state = 'pending'";

/// One line of the statement.
#[derive(Debug, Clone)]
struct Line {
    id: Uuid,
    locked_until: OffsetDateTime,
    state: &'static str,
    wait: i64,
    status: i32,
    took: i64,
    error: &'static str,
}

impl Line {
    fn of(delivery: &Delivery, outcome: &Outcome) -> Self {
        let (state, wait) = match outcome.verdict {
            Verdict::Succeeded => ("succeeded", Duration::ZERO),
            Verdict::Again(wait) => ("pending", wait),
            Verdict::Failed | Verdict::Gone => ("failed", Duration::ZERO),
        };
        Self {
            id: delivery.id,
            locked_until: delivery.locked_until,
            state,
            wait: model::milliseconds(wait),
            status: outcome.status.into(),
            took: model::milliseconds(outcome.took),
            error: outcome.class,
        }
    }
}

/// Lines that are to be written. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    /// Whoever holds it writes for all.
    turn: tokio::sync::Mutex<()>,
}

/// A number for each line, since a delivery may be in twice when it was taken over.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    lines: HashMap<u64, (Line, oneshot::Sender<()>)>,
}

impl Records {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line, alone or with others; returns when it is committed.
    async fn write(&self, db: &Db, line: Line) {
        let (sender, mut written) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            waiting.next += 1;
            let number = waiting.next;
            waiting.lines.insert(number, (line, sender));
        }
        let mut pauses = due::Pauses::default();
        loop {
            let turn = self.inner.turn.lock().await;
            if written.try_recv().is_ok() {
                return;
            }
            // One line per delivery and statement: an UPDATE takes a row once.
            let batch: HashMap<Uuid, (u64, Line)> = self
                .waiting()
                .lines
                .iter()
                .map(|(number, (line, _))| (line.id, (*number, line.clone())))
                .collect();
            let (numbers, lines): (Vec<u64>, Vec<Line>) = batch.into_values().unzip();
            match write_all(db, &lines).await {
                Ok(()) => {
                    let mut waiting = self.waiting();
                    for number in numbers {
                        if let Some((_, sender)) = waiting.lines.remove(&number) {
                            // Nobody waits for it after a hard stop.
                            let _ = sender.send(());
                        }
                    }
                }
                Err(error) => {
                    drop(turn);
                    tracing::warn!(lines = lines.len(), %error, "webhook attempts are not yet recorded");
                    pauses.wait().await;
                }
            }
        }
    }
}

async fn write_all(db: &Db, lines: &[Line]) -> Result<(), Error> {
    let mut connection = db.acquire().await?;
    Ok(execute(&mut connection, lines).await?)
}

async fn execute(conn: &mut PgConnection, lines: &[Line]) -> Result<(), sqlx::Error> {
    macro_rules! column {
        ($field:ident) => {
            lines.iter().map(|line| line.$field).collect::<Vec<_>>()
        };
    }
    sqlx::query(RECORD)
        .bind(column!(id))
        .bind(column!(locked_until))
        .bind(column!(state))
        .bind(column!(wait))
        .bind(column!(status))
        .bind(column!(took))
        .bind(column!(error))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records an outcome, as often as it takes: what was delivered must not be delivered again because of us. The hard
/// stop ends it.
pub(crate) async fn record(state: &State, delivery: &Delivery, outcome: &Outcome) {
    let line = Line::of(delivery, outcome);
    if outcome.verdict != Verdict::Gone {
        return state.records.write(&state.db, line).await;
    }
    let mut pauses = due::Pauses::default();
    while let Err(error) = disable(state, delivery.endpoint, &line).await {
        tracing::warn!(webhook_id = %delivery.id, %error, "an endpoint is not yet disabled");
        pauses.wait().await;
    }
}

/// The endpoint first: two attempts that are told the same wait for one another here and hold nothing.
async fn disable(state: &State, endpoint: Uuid, line: &Line) -> Result<(), Error> {
    let mut transaction = state.db.begin().await?;
    let disabled = sqlx::query(DISABLE).bind(endpoint).execute(&mut *transaction).await?;
    execute(&mut transaction, std::slice::from_ref(line)).await?;
    sqlx::query(DROP_PENDING).bind(endpoint).execute(&mut *transaction).await?;
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    if disabled.rows_affected() > 0 {
        state.metrics.disabled();
        tracing::warn!(%endpoint, "webhook endpoint disabled: it answered 410");
        state.endpoints_changed().await;
    }
    Ok(())
}
