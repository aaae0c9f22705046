//! Appending events that are no part of a planner's statement (`auth.login`, `collections.create` ...).

use model::{Accountability, EventName, TraceParent};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// Most events of one statement; `append` splits longer lists.
pub const CHUNK: usize = 1000;

/// An event that is to be appended; position and time come from the database. The fields are those of
/// `model::Event`, and what only the log keeps.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in model::Event and model::Accountability")]
pub struct NewEvent {
    pub id: Uuid,
    pub name: EventName,
    pub collection: String,
    pub key: String,
    pub version: i64,
    pub payload: Option<Box<RawValue>>,
    pub previous: Option<Box<RawValue>>,
    pub fields: Option<Vec<String>>,
    pub user: Option<Uuid>,
    pub role: Option<Uuid>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub origin: Option<String>,
    pub request_id: Option<String>,
    pub traceparent: Option<TraceParent>,
    pub causation_id: Option<Uuid>,
    pub depth: i16,
    pub batch_id: Option<Uuid>,
    pub batch_index: i32,
    pub silent: bool,
}

impl NewEvent {
    /// An event without bodies, done by nobody.
    pub fn new(id: Uuid, name: EventName, collection: &str, key: &str, version: i64) -> Self {
        Self {
            id,
            name,
            collection: collection.to_owned(),
            key: key.to_owned(),
            version,
            payload: None,
            previous: None,
            fields: None,
            user: None,
            role: None,
            ip: None,
            user_agent: None,
            origin: None,
            request_id: None,
            traceparent: None,
            causation_id: None,
            depth: 0,
            batch_id: None,
            batch_index: 0,
            silent: false,
        }
    }

    /// Who did it, and from where.
    #[must_use]
    pub fn by(mut self, who: &Accountability) -> Self {
        self.user = who.user;
        self.role = who.role;
        self.ip.clone_from(&who.ip);
        self.user_agent.clone_from(&who.user_agent);
        self.origin.clone_from(&who.origin);
        self
    }
}

const INSERT: &str = r#"
INSERT INTO eventus.events (id, name, collection, key, version, payload, previous, fields, "user", role, ip,
    user_agent, origin, request_id, traceparent, causation_id, depth, batch_id, batch_index, silent)
SELECT id, name, collection, key, version, payload::json, previous::json, fields::text[], "user", role, ip,
    user_agent, origin, request_id, traceparent, causation_id, depth, batch_id, batch_index, silent
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
    $9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::uuid[],
    $17::smallint[], $18::uuid[], $19::integer[], $20::boolean[])
WITH ORDINALITY AS event (id, name, collection, key, version, payload, previous, fields, "user", role, ip,
    user_agent, origin, request_id, traceparent, causation_id, depth, batch_id, batch_index, silent, number)
ORDER BY number
RETURNING position"#;

/// Appends events in their order, in the caller's transaction, and returns their positions. Call it last: from here to
/// the commit the log's readers wait for this transaction. Wake the relay after the commit.
///
/// # Errors
/// When the database is away.
pub async fn append(connection: &mut PgConnection, events: &[NewEvent]) -> Result<Vec<i64>, Error> {
    let mut positions = Vec::with_capacity(events.len());
    for chunk in events.chunks(CHUNK) {
        positions.extend(append_chunk(connection, chunk).await?);
    }
    Ok(positions)
}

async fn append_chunk(connection: &mut PgConnection, events: &[NewEvent]) -> Result<Vec<i64>, Error> {
    macro_rules! column {
        ($of:expr) => {
            events.iter().map($of).collect::<Vec<_>>()
        };
    }
    let positions = sqlx::query_scalar(INSERT)
        .bind(column!(|event| event.id))
        .bind(column!(|event| event.name.as_str()))
        .bind(column!(|event| event.collection.as_str()))
        .bind(column!(|event| event.key.as_str()))
        .bind(column!(|event| event.version))
        .bind(column!(|event| event.payload.as_ref().map(|body| body.get())))
        .bind(column!(|event| event.previous.as_ref().map(|body| body.get())))
        .bind(column!(|event| event.fields.as_ref().map(|fields| array_literal(fields))))
        .bind(column!(|event| event.user))
        .bind(column!(|event| event.role))
        .bind(column!(|event| event.ip.as_deref()))
        .bind(column!(|event| event.user_agent.as_deref()))
        .bind(column!(|event| event.origin.as_deref()))
        .bind(column!(|event| event.request_id.as_deref()))
        .bind(column!(|event| event.traceparent.as_ref().map(TraceParent::as_str)))
        .bind(column!(|event| event.causation_id))
        .bind(column!(|event| event.depth))
        .bind(column!(|event| event.batch_id))
        .bind(column!(|event| event.batch_index))
        .bind(column!(|event| event.silent))
        .fetch_all(connection)
        .await?;
    Ok(positions)
}

/// `{"a","b"}`: lists of different length cannot stand in one array of arrays.
fn array_literal(values: &[String]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::array_literal;

    #[test]
    fn a_list_is_quoted_as_postgres_reads_it() {
        let values = ["a", "b c", "quote\"", "back\\slash", "{,}", "NULL", ""].map(str::to_owned);
        assert_eq!(array_literal(&values), r#"{"a","b c","quote\"","back\\slash","{,}","NULL",""}"#);
        assert_eq!(array_literal(&[]), "{}");
    }
}
