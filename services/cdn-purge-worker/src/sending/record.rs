//! Writes down what came of a request and what becomes of the purge.

use std::time::Duration;

use sqlx::postgres::PgArguments;

use crate::sending::claim::Purge;
use crate::state::State;

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// HTTP status, 0 when there was no answer.
    pub status: u16,
    /// Class of the failure; empty on success.
    pub class: &'static str,
    pub verdict: Verdict,
}

/// What becomes of the purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Succeeded,
    /// Another request, so much later.
    Again(Duration),
    /// It was the last request.
    Failed,
}

const FINISH: &str = "
UPDATE eventus.purges SET state = $3, attempts = attempts + 1, locked_until = NULL, finished = now(), last_error = $4
WHERE id = $1 AND state = 'sending' AND locked_until = $2";

// Back among those that wait, where the next change finds it; unless a later change waits there already, which
// makes this one needless. If it comes just now, the index refuses, and the next try sees it.
const AGAIN: &str = "
WITH superseded AS (
    DELETE FROM eventus.purges mine
    WHERE id = $1 AND state = 'sending' AND locked_until = $2 AND EXISTS (
        SELECT FROM eventus.purges later WHERE later.target = mine.target AND later.state = 'pending')
    RETURNING id
)
UPDATE eventus.purges
SET state = 'pending', attempts = attempts + 1, locked_until = NULL, last_error = $4,
    next_attempt = now() + $3::bigint * interval '1 millisecond'
WHERE id = $1 AND state = 'sending' AND locked_until = $2 AND NOT EXISTS (SELECT FROM superseded)";

/// Records an outcome, as often as it takes. The hard stop ends it.
pub(super) async fn record(state: &State, purge: &Purge, outcome: &Outcome) {
    let mut pauses = due::Pauses::default();
    while let Err(error) = statement(purge, outcome).execute(&state.db).await {
        tracing::warn!(purge = purge.id, %error, "a purge is not yet recorded");
        pauses.wait().await;
    }
}

fn statement(purge: &Purge, outcome: &Outcome) -> sqlx::query::Query<'static, sqlx::Postgres, PgArguments> {
    let error = match outcome.status {
        _ if outcome.verdict == Verdict::Succeeded => None,
        0 => Some(outcome.class.to_owned()),
        status => Some(format!("status {status}")),
    };
    let own = |sql: &'static str| sqlx::query(sql).bind(purge.id).bind(purge.locked_until);
    match outcome.verdict {
        Verdict::Succeeded => own(FINISH).bind("succeeded").bind(error),
        Verdict::Failed => own(FINISH).bind("failed").bind(error),
        Verdict::Again(wait) => own(AGAIN).bind(model::milliseconds(wait)).bind(error),
    }
}
