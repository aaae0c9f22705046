//! A fact: something that was committed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::TraceParent;

mod versions;

pub use versions::{ReadError, SCHEMA, read, schema_of};

/// One entry of the event log, as it stands in `eventus.events` and travels on the bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Version of the written form. [`SCHEMA`], or a greater one: then it is from the future.
    #[serde(default = "versions::unnamed")]
    pub schema: i16,
    /// Place in the log; publish order and cursor. Positions may have holes.
    pub position: i64,
    /// UUIDv7; `ce-id` and `Nats-Msg-Id` on the bus. The key of idempotent effects.
    pub id: Uuid,
    /// `items.create`, `users.update`, `auth.login` ...
    pub name: EventName,
    /// Collection of the item (`directus_users` for `users.*`).
    pub collection: String,
    /// Primary key of the item, as text.
    pub key: String,
    /// Number within the item: 1, 2, 3 ... without gaps.
    pub version: i64,
    /// New values: the whole item for a create, the changed fields for an update, nothing for a delete.
    /// Secrets are masked. `None` also when the body was too large for the bus (see `oversized`).
    pub payload: Option<Box<RawValue>>,
    /// Old values of the changed fields; the whole item for a delete.
    pub previous: Option<Box<RawValue>>,
    /// The bodies were left out on the bus because they exceed the message limit; read them from the log.
    #[serde(default)]
    pub oversized: bool,
    /// Names of the changed fields (update only).
    pub fields: Option<Vec<String>>,
    /// Who did it.
    pub user: Option<Uuid>,
    /// The role he had.
    pub role: Option<Uuid>,
    /// Id of the request that caused it.
    pub request_id: Option<String>,
    /// Trace context of the write.
    pub traceparent: Option<TraceParent>,
    /// Event that caused it (written by a hook or flow in answer to it).
    pub causation_id: Option<Uuid>,
    /// Length of the chain of causes.
    pub depth: i16,
    /// Write that it belongs to: all events of one request share it.
    pub batch_id: Option<Uuid>,
    /// Place within the batch, from 0.
    pub batch_index: i32,
    /// Hooks, flows and webhooks skip it; read models, caches, purges and live clients don't.
    #[serde(default)]
    pub silent: bool,
    /// Names of members of `payload` and `previous` that were erased since: null there is not what stood there.
    #[serde(default)]
    pub erased: Option<Vec<String>>,
    /// When it was appended (database clock).
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
}

impl Event {
    /// Whether it was written by a newer program, so that nobody here knows what it means.
    pub fn is_newer(&self) -> bool {
        self.schema > SCHEMA
    }
}

/// `<scope>.<action>`, for example `items.create`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventName(String);

impl EventName {
    /// The name of an action on a scope.
    pub fn new(scope: &str, action: &str) -> Self {
        Self(format!("{scope}.{action}"))
    }

    /// Checks the form: two or more dot-separated parts of `[a-z0-9_]`.
    pub fn parse(text: &str) -> Option<Self> {
        let part =
            |p: &str| !p.is_empty() && p.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let fits = text.len() <= 128 && text.contains('.') && text.split('.').all(part);
        fits.then(|| Self(text.to_owned()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first dot: `items`, `users`, `auth` ...
    pub fn scope(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// What stands after the first dot: `create`, `update`, `login` ...
    pub fn action(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, action)| action)
    }
}

impl std::fmt::Display for EventName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::EventName;

    #[test]
    fn names_have_a_scope_and_an_action() {
        let name = EventName::parse("items.create").unwrap();
        assert_eq!((name.scope(), name.action()), ("items", "create"));
        for bad in ["", "items", "items.", ".create", "items.*", "items.>", "Items.create", "items create.x"]
        {
            assert_eq!(EventName::parse(bad), None, "{bad}");
        }
    }
}
