//! Events -> purges: one row for each key that changed; a key that changes again while it waits keeps its row.

use std::borrow::Cow;
use std::sync::Arc;

use bus::Failure;
use model::{Event, Replay, TraceParent};

use crate::state::State;

/// Name of the durable consumer and of its inbox.
pub(crate) const CONSUMER: &str = "cdn-purge";

// One statement: the inbox decides which events are new, the rest follows from it. The mark is read with a lock that
// keeps it where it is: what lies at or below was queued, and may have left the inbox. Rows are entered in the order
// of their keys, so that two batches wait for one another and never in a circle.
const QUEUE: &str = "
WITH mark AS MATERIALIZED (
    SELECT low_water FROM eventus.consumers WHERE name = $1 FOR SHARE
), given AS (
    SELECT DISTINCT ON (event_id, target) event_id, position, target, traceparent
    FROM UNNEST($2::uuid[], $3::bigint[], $4::text[], $5::text[]) AS purge (event_id, position, target, traceparent)
    WHERE position > COALESCE((SELECT low_water FROM mark), 0)
    ORDER BY event_id, target
), fresh AS (
    INSERT INTO eventus.inbox (consumer, event_id, position)
    SELECT DISTINCT $1::text, event_id, position FROM given ORDER BY event_id
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING event_id
)
INSERT INTO eventus.purges AS known (target, event_id, position, traceparent, next_attempt)
SELECT DISTINCT ON (target) target, event_id, position, traceparent, now() + $6::bigint * interval '1 millisecond'
FROM given JOIN fresh USING (event_id)
ORDER BY target, position DESC
ON CONFLICT (target) WHERE state = 'pending' DO UPDATE
SET event_id = EXCLUDED.event_id, position = EXCLUDED.position, traceparent = EXCLUDED.traceparent, attempts = 0
WHERE known.position < EXCLUDED.position";

/// A key that is to be purged, and why.
type Wanted<'a> = (Cow<'a, str>, &'a Event);

/// The handler of the consumer.
#[derive(Clone)]
pub(crate) struct Queueing(pub Arc<State>);

impl bus::consumer::Handler for Queueing {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.queue_all(CONSUMER, events).await
    }

    async fn replay(&self, replay: &Replay, events: &[Event]) -> Result<(), Failure> {
        self.queue_all(&replay.inbox(), events).await
    }
}

impl Queueing {
    /// Queues what this inbox does not hold.
    async fn queue_all(&self, inbox: &str, events: &[Event]) -> Result<(), Failure> {
        let state = &self.0;
        let of = |event| state.targets.of(event).into_iter().map(move |target| (target, event));
        let wanted: Vec<Wanted<'_>> = events.iter().flat_map(of).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        queue(state, inbox, &wanted).await.map_err(failure)?;
        state.wake.notify_one();
        Ok(())
    }
}

async fn queue(state: &State, inbox: &str, wanted: &[Wanted<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query(QUEUE)
        .bind(inbox)
        .bind(column(wanted, |(_, event)| event.id))
        .bind(column(wanted, |(_, event)| event.position))
        .bind(column(wanted, |(target, _)| target.as_ref()))
        .bind(column(wanted, |(_, event)| event.traceparent.as_ref().map(TraceParent::as_str)))
        .bind(model::milliseconds(state.window))
        .execute(&state.db)
        .await?;
    Ok(())
}

fn column<'a, T>(wanted: &'a [Wanted<'a>], of: impl Fn(&'a Wanted<'a>) -> T) -> Vec<T> {
    wanted.iter().map(of).collect()
}

fn failure(error: sqlx::Error) -> Failure {
    let error = db::Error::from(error);
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Retry(error.into()) }
}
