//! `as_of`: the moment that a query is about, and the schema by which it is read as it stood then.

use std::sync::Arc;
use std::time::Duration;

use event_store::{Log, Moment};
use model::{Collection, Error, Schema};
use planner::Reader;
use query::{AsOf, Query};
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// How long a position that is there may take until nothing can appear below it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// The schema of the past that a query is about; nothing when it is about now.
pub async fn schema(state: &State, snapshot: &Snapshot, query: &Query) -> Result<Option<Schema>, Failure> {
    let Some(as_of) = query.as_of else { return Ok(None) };
    if query.version.as_deref().is_some_and(|version| version != "main") {
        return Err(Error::invalid_query("\"as_of\" is about items, which saved \"version\"s are not").into());
    }
    Ok(Some(snapshot.at(position(state, as_of).await?)))
}

/// Who reads a collection, and the collection: of the past, where there is one.
pub fn within<'a>(
    past: Option<&'a Schema>,
    collection: &'a Collection,
    reader: Reader<'a>,
) -> Result<(&'a Collection, Reader<'a>), Error> {
    let Some(schema) = past else { return Ok((collection, reader)) };
    let name = &collection.name;
    let collection = schema.collection(name).ok_or_else(|| Error::forbidden_collection(name))?;
    Ok((collection, Reader { schema, ..reader }))
}

/// The position of a moment. It must be settled: what is answered once is answered for ever.
pub async fn position(state: &State, as_of: AsOf) -> Result<i64, Failure> {
    let (log, begun) = (Log::new(state.db.clone()), Instant::now());
    loop {
        let moment = match as_of {
            AsOf::Position(position) => log.at_position(position).await,
            AsOf::Time(time) => log.at_time(time).await,
        };
        match moment.map_err(|error| away(&error))? {
            Moment::At(position) => return Ok(position),
            Moment::Before => {
                return Err(Error::invalid_query("\"as_of\" is before the log begins").into());
            }
            Moment::Gone(horizon) => return Err(Error::history_gone(horizon.position).into()),
            // A writer who was given it a moment ago asks for what he wrote.
            Moment::Unsettled if begun.elapsed() < PATIENCE && is_there(&log, as_of).await => {
                sleep(LOOK).await;
            }
            Moment::Unsettled => {
                let reason = "\"as_of\" is not settled: something may still be written at or before it";
                return Err(Error::invalid_query(reason).into());
            }
        }
    }
}

async fn is_there(log: &Log, as_of: AsOf) -> bool {
    match as_of {
        AsOf::Position(position) => matches!(log.get(position).await, Ok(Some(_))),
        AsOf::Time(_) => false,
    }
}

/// The log can't be read now.
pub fn away(error: &event_store::Error) -> Error {
    tracing::warn!(%error, "the log can't be read");
    Error::unavailable("database")
}

/// A collection as it stood at the position that the schema names; as it is, where its items are not written as items.
pub fn of(collection: &Arc<Collection>) -> Arc<Collection> {
    let is_logged = collection.view.is_none()
        && [access::Action::Create, access::Action::Update]
            .into_iter()
            .any(|action| crate::system::is_writable(collection, action));
    if is_logged { Arc::new(planner::as_of(collection)) } else { Arc::clone(collection) }
}
