//! Events -> deliveries: one row for each endpoint that wants an event, once.

use std::sync::Arc;

use bus::Failure;
use model::{Event, Replay, TraceParent};
use uuid::Uuid;

use crate::state::State;

/// Name of the durable consumer and of its inbox.
pub(crate) const CONSUMER: &str = "webhooks";

// One statement: the inbox decides which events are new, the rest follows from it. The mark is read with a lock that
// keeps it where it is: what lies at or below was queued, and may have left the inbox. Rows are entered in the order
// of their keys, so that two batches with the same events wait for one another and never in a circle. An endpoint that
// is being disabled is waited for: nothing is queued behind its back. Within a replay a delivery that has ended is due
// again, under its own id: who has it knows it.
const QUEUE: &str = "
WITH mark AS MATERIALIZED (
    SELECT low_water FROM eventus.consumers WHERE name = $1 FOR SHARE
), given AS (
    SELECT id, endpoint, event_id, position, event, trace_id, traceparent
    FROM UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[])
        AS delivery (id, endpoint, event_id, position, event, trace_id, traceparent)
    WHERE position > COALESCE((SELECT low_water FROM mark), 0)
), fresh AS (
    INSERT INTO eventus.inbox (consumer, event_id, position)
    SELECT DISTINCT $1::text, event_id, position FROM given ORDER BY event_id
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING event_id
)
INSERT INTO eventus.webhook_deliveries AS known (id, endpoint, event_id, position, event, trace_id, traceparent)
SELECT given.id, given.endpoint, event_id, given.position, given.event, given.trace_id, given.traceparent
FROM given
JOIN fresh USING (event_id)
JOIN eventus.webhook_endpoints endpoint ON endpoint.id = given.endpoint AND endpoint.enabled
ORDER BY event_id, given.endpoint
FOR SHARE OF endpoint
ON CONFLICT (event_id, endpoint) DO UPDATE SET state = 'pending', next_attempt = now(), locked_until = NULL, finished = NULL,
    attempts_before = known.attempts
WHERE $9 AND known.state <> 'pending'";

/// The handler of the consumer.
#[derive(Clone)]
pub(crate) struct Queueing(pub Arc<State>);

impl bus::consumer::Handler for Queueing {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.queue_all(CONSUMER, false, events).await
    }

    async fn replay(&self, replay: &Replay, events: &[Event]) -> Result<(), Failure> {
        self.queue_all(&replay.inbox(), replay.again(), events).await
    }
}

impl Queueing {
    /// Queues what this inbox does not hold; `again` for endpoints that had it, or were made later.
    async fn queue_all(&self, inbox: &str, again: bool, events: &[Event]) -> Result<(), Failure> {
        let state = &self.0;
        let wishes = state.known.now(&state.db).await.map_err(failure)?;
        let of = |event| wishes.of(event, again).map(move |endpoint| (endpoint, event));
        let wanted: Vec<(Uuid, &Event)> = events.iter().flat_map(of).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let queued = queue(state, inbox, again, &wanted).await.map_err(failure)?;
        if queued > 0 {
            tracing::debug!(events = events.len(), queued, "webhook deliveries queued");
            state.queued.notify_one();
        }
        Ok(())
    }
}

async fn queue(
    state: &State,
    inbox: &str,
    again: bool,
    wanted: &[(Uuid, &Event)],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(QUEUE)
        .bind(inbox)
        .bind(column(wanted, |_| state.ids.ordered()))
        .bind(column(wanted, |(endpoint, _)| *endpoint))
        .bind(column(wanted, |(_, event)| event.id))
        .bind(column(wanted, |(_, event)| event.position))
        .bind(column(wanted, |(_, event)| event.name.as_str()))
        .bind(column(wanted, |(_, event)| event.traceparent.as_ref().map(TraceParent::trace_id)))
        .bind(column(wanted, |(_, event)| event.traceparent.as_ref().map(TraceParent::as_str)))
        .bind(again)
        .execute(&state.db)
        .await?;
    Ok(done.rows_affected())
}

fn column<'a, T>(wanted: &'a [(Uuid, &'a Event)], of: impl Fn(&'a (Uuid, &'a Event)) -> T) -> Vec<T> {
    wanted.iter().map(of).collect()
}

fn failure(error: sqlx::Error) -> Failure {
    let error = db::Error::from(error);
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Retry(error.into()) }
}
