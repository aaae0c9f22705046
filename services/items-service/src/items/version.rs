//! Saved versions of items: where they are found, and what is done with one. Their making is that of items of
//! `directus_versions` (`system/versions.rs`).

mod compare;
mod promote;
mod read;
mod save;
mod unborn;

use std::sync::Arc;

use bytes::Bytes;
use model::{Collection, Error, Errors};
use planner::{Payload, Reader, Statement};
use query::Query;
use rpc::Caller;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

pub use compare::compare;
pub use promote::promote;
pub use read::{asked, item};
pub use save::save;

/// Where they stand.
pub const VERSIONS: &str = "directus_versions";

/// A version, as far as its reader may see it.
#[derive(Debug, Deserialize)]
pub struct Version {
    id: String,
    collection: String,
    item: String,
    hash: Option<String>,
    delta: Option<Payload>,
}

impl Version {
    /// The fields that are read.
    fn query() -> Query {
        let fields = ["id", "collection", "item", "hash", "delta"].map(str::to_owned).to_vec();
        Query { fields: Some(fields), ..Query::default() }
    }

    /// The version with this id. Missing and out of reach are 403.
    async fn find(
        state: &State,
        caller: &Caller,
        snapshot: &Snapshot,
        (id, reader): (&str, Reader<'_>),
    ) -> Result<Self, Failure> {
        let versions = snapshot.collection(VERSIONS)?;
        let plan = planner::plan_read_one(&Self::query(), versions, reader)?;
        let db = state.reading.of(&caller.accountability);
        let row = execute::row_alone(db, &plan.of(id, versions)?, true).await?;
        parsed(&row.ok_or_else(Error::forbidden)?.try_get::<String, _>("item")?)
    }

    /// The collection of its item.
    fn collection<'a>(&self, snapshot: &'a Snapshot) -> Result<&'a Arc<Collection>, Error> {
        let found = snapshot.schema.collection(&self.collection).filter(|collection| !collection.system);
        found.ok_or_else(Error::forbidden)
    }

    /// What it keeps of fields that are there and that the reader may see.
    fn kept(&self, collection: &Collection, reader: Reader<'_>) -> Payload {
        let mut kept = Payload::default();
        for (name, value) in self.delta.iter().flat_map(Payload::iter) {
            let shown = collection.field(name).is_some_and(|field| !field.is_concealed())
                && reader.access.allows_field(&collection.name, name, access::Action::Read);
            if shown {
                kept.put(name, value);
            }
        }
        kept
    }
}

/// Items within the item without who sent them when: Directus notes both in each object that it keeps.
fn unmarked(delta: &Payload, collection: &Collection) -> Result<Payload, Error> {
    let (_, nested) = planner::apart(delta, collection);
    let mut plain = delta.clone();
    for (name, raw) in nested.iter().filter(|(_, raw)| MARKS.iter().any(|mark| raw.get().contains(mark))) {
        plain.put(name, &without_marks(raw)?);
    }
    Ok(plain)
}

/// Members that a taken-over version has in its objects.
const MARKS: [&str; 2] = ["_user", "_date"];

fn without_marks(raw: &RawValue) -> Result<Box<RawValue>, Error> {
    let failed = |_| Error::internal();
    let plain = match raw.get().as_bytes().first() {
        Some(b'{') => {
            let object: Payload = serde_json::from_str(raw.get()).map_err(failed)?;
            let mut plain = Payload::default();
            for (name, raw) in object.iter().filter(|(name, _)| !MARKS.contains(name)) {
                plain.put(name, &without_marks(raw)?);
            }
            to_raw_value(&plain)
        }
        Some(b'[') => {
            let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(failed)?;
            let entries = entries.into_iter().map(without_marks).collect::<Result<Vec<_>, Error>>()?;
            to_raw_value(&entries)
        }
        _ => return Ok(raw.to_owned()),
    };
    plain.map_err(failed)
}

/// A row's JSON as what it stands for.
fn parsed<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Failure> {
    Ok(serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a version can't be read");
        Error::internal()
    })?)
}

/// The item itself, as its reader sees it.
async fn main_item(
    state: &State,
    caller: &Caller,
    key: &str,
    query: &Query,
    (collection, reader): (&Collection, Reader<'_>),
) -> Result<Payload, Failure> {
    let plan = planner::plan_read_one(query, collection, reader)?.of(key, collection)?;
    let row = execute::row_alone(state.reading.of(&caller.accountability), &plan, false).await?;
    parsed(&row.ok_or_else(Error::forbidden)?.try_get::<String, _>("item")?)
}

/// What tells whether an item has moved on; nothing when it is gone.
async fn hash(
    conn: &mut PgConnection,
    key: &str,
    collection: &Collection,
) -> Result<Option<String>, Failure> {
    let rows = execute::rows(conn, &hashing(key, collection)?).await?;
    Ok(hash_of(rows.first())?)
}

fn hashing(key: &str, collection: &Collection) -> Result<Statement, Error> {
    let field = collection.key().ok_or_else(Error::internal)?;
    planner::plan_hashes(&[planner::parse_key(key, field)?], collection)
}

fn hash_of(row: Option<&PgRow>) -> Result<Option<String>, sqlx::Error> {
    row.map(|row| row.try_get("hash")).transpose()
}

/// JSON of a payload.
fn json(payload: &Payload) -> Result<Bytes, Failure> {
    Ok(Bytes::from(serde_json::to_vec(payload).map_err(|_| Error::internal())?))
}

/// One payload that is an object.
fn object(payload: &[u8]) -> Result<Payload, Errors> {
    let (mut payloads, one) = planner::parse_payloads(payload)?;
    match (payloads.pop(), one) {
        (Some(payload), true) => Ok(payload),
        _ => Err(Error::invalid_payload("The changes must be one object").into()),
    }
}
