//! Events -> counts per day, collection and action, each event once.
//!
//! One statement per batch: whatever the inbox already has is left out, the rest is summed up and added. Counts are
//! a read model, so silent events count too.

use bus::Failure;
use chassis::metrics::{IntCounterVec, counter};
use db::Db;
use model::{Event, Replay};

/// Name of the durable consumer and of its inbox.
pub(crate) const CONSUMER: &str = "analytics";

// What lies at or below the low-water mark was applied and may have left the inbox. The mark is read with a lock
// that keeps it where it is, so a worker that stood still meanwhile counts nothing twice.
// The inbox is filled before the first count is touched (the sum needs all of it), and both in the order of their
// keys: two batches that share events or counts wait for one another and never in a circle.
const COUNT: &str = "
WITH mark AS MATERIALIZED (
    SELECT low_water FROM eventus.consumers WHERE name = $1 FOR SHARE
), given AS (
    SELECT DISTINCT ON (event_id) event_id, position, day, collection, action
    FROM UNNEST($2::uuid[], $3::bigint[], $4::date[], $5::text[], $6::text[])
        AS event (event_id, position, day, collection, action)
    WHERE position > COALESCE((SELECT low_water FROM mark), 0)
    ORDER BY event_id
), fresh AS (
    INSERT INTO eventus.inbox (consumer, event_id, position)
    SELECT $1, event_id, position FROM given ORDER BY event_id
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING event_id
), sums AS (
    SELECT day, collection, action, count(*) AS count
    FROM given JOIN fresh USING (event_id)
    GROUP BY day, collection, action
), counted AS (
    INSERT INTO eventus.analytics_daily AS daily (day, collection, action, count)
    SELECT day, collection, action, count FROM sums ORDER BY day, collection, action
    ON CONFLICT (day, collection, action) DO UPDATE SET count = daily.count + EXCLUDED.count
)
SELECT count(*) FROM fresh";

/// The handler of the consumer.
#[derive(Clone)]
pub(crate) struct Counting {
    db: Db,
    counted: IntCounterVec,
}

impl Counting {
    pub fn new(db: Db) -> Self {
        let help = "Events by what became of them: counted, or repeated (counted before).";
        Self { db, counted: counter("eventus_analytics_events_total", help, &["outcome"]) }
    }
}

impl bus::consumer::Handler for Counting {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.count_all(CONSUMER, events).await
    }

    async fn replay(&self, replay: &Replay, events: &[Event]) -> Result<(), Failure> {
        if replay.again() {
            let reason = "counts hold every event once: rebuild them, they can't be counted again";
            return Err(Failure::Fail(reason.into()));
        }
        self.count_all(&replay.inbox(), events).await
    }

    async fn rebuild(&self, _replay: &Replay) -> Result<String, Failure> {
        let rebuilt = rebuilding::rebuild(&self.db).await?;
        serde_json::to_string(&rebuilt).map_err(|error| Failure::Fail(error.into()))
    }
}

impl Counting {
    /// Counts what this inbox does not hold.
    async fn count_all(&self, inbox: &str, events: &[Event]) -> Result<(), Failure> {
        let fresh = count(&self.db, inbox, events).await.map_err(failure)?;
        let all = u64::try_from(events.len()).unwrap_or_default();
        self.counted.with_label_values(&["counted"]).inc_by(fresh);
        self.counted.with_label_values(&["repeated"]).inc_by(all.saturating_sub(fresh));
        Ok(())
    }
}

pub(crate) fn failure(error: sqlx::Error) -> Failure {
    let error = db::Error::from(error);
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Retry(error.into()) }
}

/// Counts those of the events that were never counted; gives their number.
pub(crate) async fn count(db: &Db, inbox: &str, events: &[Event]) -> Result<u64, sqlx::Error> {
    let fresh: i64 = sqlx::query_scalar(COUNT)
        .bind(inbox)
        .bind(column(events, |event| match faults::is_on(faults::Mutant::NoInbox) {
            true => model::Ids::random(&model::RandomIds),
            false => event.id,
        }))
        .bind(column(events, |event| event.position))
        .bind(column(events, |event| event.time.to_offset(time::UtcOffset::UTC).date()))
        .bind(column(events, |event| event.collection.as_str()))
        .bind(column(events, |event| event.name.action()))
        .fetch_one(db)
        .await?;
    Ok(fresh.try_into().unwrap_or_default())
}

fn column<'a, T>(events: &'a [Event], of: impl Fn(&'a Event) -> T) -> Vec<T> {
    events.iter().map(of).collect()
}

mod rebuilding;
#[cfg(test)]
mod tests;
