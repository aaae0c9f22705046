//! How each consumer of Eventus's own stands: in the database, and on the bus.

use std::collections::HashMap;

use bus::topology::{self, ConsumerSight};
use model::Errors;
use proto::upkeep::v1 as pb;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Upkeep, away};

/// Events behind a mark are counted up to this number.
const COUNTED: i64 = 100_000;

// What is behind the mark is looked at by the log's own index.
const MARKS: &str = "
SELECT c.name, c.effects, c.low_water, c.updated, behind.count AS lag,
    extract(epoch FROM clock_timestamp() - behind.oldest)::float8 AS oldest,
    (SELECT count(*) FROM eventus.dead_letters d WHERE d.consumer = c.name) AS dead,
    (SELECT count(*) FROM eventus.replays r WHERE r.consumer = c.name AND r.state IN ('pending', 'running')) AS replays
FROM eventus.consumers c CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(time) AS oldest FROM (
        SELECT time FROM eventus.events e WHERE e.position > c.low_water ORDER BY e.position LIMIT $1
    ) e
) behind
ORDER BY c.name";

impl Upkeep {
    async fn seen(&self, names: &[String]) -> HashMap<String, ConsumerSight> {
        let Some(bus) = &self.bus else { return HashMap::new() };
        match topology::consumers(bus, names).await {
            Ok(seen) => seen.into_iter().map(|sight| (sight.name.clone(), sight)).collect(),
            Err(error) => {
                tracing::warn!(%error, "the bus says nothing of its consumers");
                HashMap::new()
            }
        }
    }

    /// All consumers. Where the bus does not answer, what it would say is null.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_consumers(&self, _request: pb::ListConsumersRequest) -> Result<Value, Errors> {
        let rows = sqlx::query(MARKS).bind(COUNTED).fetch_all(&self.db).await.map_err(away)?;
        let names: Result<Vec<String>, sqlx::Error> = rows.iter().map(|row| row.try_get("name")).collect();
        let names = names.map_err(away)?;
        let seen = self.seen(&names).await;
        let consumer = |row: &sqlx::postgres::PgRow| -> Result<Value, sqlx::Error> {
            let name: String = row.try_get("name")?;
            let sight = seen.get(&name);
            Ok(json!({
                "effects": row.try_get::<bool, _>("effects")?,
                "mark": row.try_get::<i64, _>("low_water")?,
                "lag": row.try_get::<i64, _>("lag")?,
                "oldest_seconds": row.try_get::<Option<f64>, _>("oldest")?,
                "dead_letters": row.try_get::<i64, _>("dead")?,
                "replays": row.try_get::<i64, _>("replays")?,
                "ack_floor": sight.map(|sight| sight.ack_floor),
                "pending": sight.map(|sight| sight.pending),
                "in_flight": sight.map(|sight| sight.in_flight),
                "active": sight.map(|sight| sight.active),
                "name": name,
            }))
        };
        let consumers: Result<Vec<Value>, sqlx::Error> = rows.iter().map(consumer).collect();
        Ok(Value::Array(consumers.map_err(away)?))
    }
}
