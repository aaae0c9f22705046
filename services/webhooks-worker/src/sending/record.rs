//! Writes down what came of an attempt, together with what becomes of the delivery.

use std::time::Duration;

use sqlx::PgConnection;

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

/// Pauses between tries to write it down: doubles from the first to the last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

// A success always counts, but once; a failure only while the delivery is still ours.
const RECORD: &str = "
WITH done AS (
    UPDATE eventus.webhook_deliveries
    SET attempts = attempts + 1, state = $3, locked_until = NULL,
        next_attempt = CASE WHEN $3 = 'pending' THEN now() + $4::bigint * interval '1 millisecond' ELSE next_attempt END,
        finished = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END
    WHERE id = $1 AND (($3 = 'succeeded' AND state <> 'succeeded') OR (state = 'pending' AND locked_until = $2))
    RETURNING id, attempts
)
INSERT INTO eventus.webhook_attempts (delivery, number, time, status, duration_ms, error)
SELECT id, attempts, now() - $6::bigint * interval '1 millisecond', $5, $6, $7 FROM done";

const DISABLE: &str = "UPDATE eventus.webhook_endpoints SET enabled = false WHERE id = $1 AND enabled";

const DROP_PENDING: &str = "
UPDATE eventus.webhook_deliveries SET state = 'failed', finished = now(), locked_until = NULL
WHERE endpoint = $1 AND state = 'pending'";

/// Records an outcome, as often as it takes: what was delivered must not be delivered again because of us. The hard
/// stop ends it.
pub(crate) async fn record(state: &State, delivery: &Delivery, outcome: &Outcome) {
    let mut pause = PAUSE.0;
    while let Err(error) = try_record(state, delivery, outcome).await {
        tracing::warn!(webhook_id = %delivery.id, %error, "a webhook attempt is not yet recorded");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn try_record(state: &State, delivery: &Delivery, outcome: &Outcome) -> Result<(), Error> {
    if outcome.verdict != Verdict::Gone {
        let mut connection = state.db.acquire().await?;
        return Ok(write(&mut connection, delivery, outcome).await?);
    }
    // The endpoint first: two attempts that are told the same wait for one another here and hold nothing.
    let mut transaction = state.db.begin().await?;
    let disabled = sqlx::query(DISABLE).bind(delivery.endpoint).execute(&mut *transaction).await?;
    write(&mut transaction, delivery, outcome).await?;
    sqlx::query(DROP_PENDING).bind(delivery.endpoint).execute(&mut *transaction).await?;
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    if disabled.rows_affected() > 0 {
        state.metrics.disabled();
        tracing::warn!(endpoint = %delivery.endpoint, "webhook endpoint disabled: it answered 410");
        state.endpoints_changed().await;
    }
    Ok(())
}

async fn write(conn: &mut PgConnection, delivery: &Delivery, outcome: &Outcome) -> Result<(), sqlx::Error> {
    let (state, wait) = match outcome.verdict {
        Verdict::Succeeded => ("succeeded", Duration::ZERO),
        Verdict::Again(wait) => ("pending", wait),
        Verdict::Failed | Verdict::Gone => ("failed", Duration::ZERO),
    };
    let milliseconds = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(RECORD)
        .bind(delivery.id)
        .bind(delivery.locked_until)
        .bind(state)
        .bind(milliseconds(wait))
        .bind(i32::from(outcome.status))
        .bind(milliseconds(outcome.took))
        .bind(outcome.class)
        .execute(conn)
        .await?;
    Ok(())
}
