//! Events of one's own: checked, then appended to the log like any other.

use event_store::{Log, NewEvent};
use model::{Error, Errors, EventName};
use planner::Once;
use prost::Message as _;
use proto::events::v1 as pb;
use rpc::Caller;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::execute;
use crate::failure::Failure;
use crate::items::moment::away;
use crate::items::once::{self, Kept};
use crate::items::write::Written;
use crate::state::State;

/// The scope of events whose names are not ours.
const SCOPE: &str = "custom";
/// Most bytes of a payload.
const LARGEST: usize = 1024 * 1024;
/// Most bytes of a key.
const LONGEST_KEY: usize = 255;
/// The longest chain of causes: what answers its own events ends here.
const DEEPEST: i16 = 50;

/// Appends a custom event.
///
/// # Errors
/// A malformed name, payload or key, an unknown collection or cause, a chain of causes without end.
pub async fn custom(
    state: &State,
    caller: &Caller,
    request: pb::EmitRequest,
) -> Result<pb::EmitResponse, Errors> {
    let asked = || pb::EmitRequest { idempotency_key: String::new(), ..request.clone() };
    let asked = || [&b"emit"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), emit(state, caller, &request, once.as_ref())).await
}

async fn emit(
    state: &State,
    caller: &Caller,
    request: &pb::EmitRequest,
    once: Option<&Once>,
) -> Result<pb::EmitResponse, Errors> {
    let mut event = checked(state, request)?.by(&caller.accountability);
    if request.cause != 0 {
        let (id, depth) = cause(state, request.cause).await?;
        (event.causation_id, event.depth) = (Some(id), depth);
    }
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event.silent = request.silent;
    let position = append(state, &event, once).await;
    let position = position.map_err(|failure| failure.told(state, &event.collection))?;
    state.announce().await;
    Ok(pb::EmitResponse { id: event.id.to_string(), position, replayed: false })
}

fn checked(state: &State, request: &pb::EmitRequest) -> Result<NewEvent, Error> {
    let name = EventName::parse(&request.event).filter(|name| name.scope() == SCOPE).ok_or_else(|| {
        Error::invalid_payload(
            "\"event\" has to be \"custom.\" and names of a-z, 0-9 and _ with dots between, 128 characters at most",
        )
    })?;
    let pb::EmitRequest { collection, key, .. } = request;
    if collection.is_empty() && !key.is_empty() {
        return Err(Error::invalid_payload("\"key\" needs a \"collection\""));
    }
    if key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err(Error::invalid_payload(format!(
            "\"key\" has to be a key of at most {LONGEST_KEY} bytes"
        )));
    }
    if !collection.is_empty() && state.snapshots.present().schema.collection(collection).is_none() {
        return Err(Error::forbidden_collection(collection));
    }
    // It is about an item, not a change of it: its versions are not touched.
    let mut event = NewEvent::new(state.ids.ordered(), name, collection, key, 0);
    event.payload = Some(object(&request.payload)?);
    Ok(event)
}

fn object(bytes: &[u8]) -> Result<Box<RawValue>, Error> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if bytes.len() > LARGEST {
        return Err(Error::invalid_payload(format!("\"payload\" has more than {LARGEST} bytes")));
    }
    // PostgreSQL's JSON functions can't name it.
    if bytes.windows(6).any(|six| six == b"\\u0000") {
        return Err(Error::invalid_payload("\"payload\" holds \\u0000"));
    }
    let payload: Option<Box<RawValue>> = serde_json::from_slice(bytes).ok();
    let object = payload.filter(|payload| payload.get().starts_with('{'));
    object.ok_or_else(|| Error::invalid_payload("\"payload\" has to be an object"))
}

/// Id of the event at a position, and the length of the chain of causes of what it causes.
async fn cause(state: &State, position: i64) -> Result<(Uuid, i16), Errors> {
    let found = Log::new(state.db.clone()).get(position).await.map_err(|error| away(&error))?;
    let found = found.ok_or_else(|| Error::invalid_payload("\"cause\" is not the position of an event"))?;
    let depth = found.event.depth.saturating_add(1);
    if depth > DEEPEST {
        return Err(Error::unprocessable(format!("The chain of causes is longer than {DEEPEST}")).into());
    }
    Ok((found.event.id, depth))
}

async fn append(state: &State, event: &NewEvent, once: Option<&Once>) -> Result<i64, Failure> {
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, once).await?;
    let positions = event_store::append(&mut tx, std::slice::from_ref(event)).await;
    let positions = positions.map_err(|error| away(&error))?;
    let position = positions.first().copied().unwrap_or_default();
    let made = Written { items: String::new(), keys: vec![event.id.to_string()], version: Some(position) };
    once::keep(&mut tx, once, &made).await?;
    execute::commit(tx).await?;
    Ok(position)
}

impl From<Kept> for pb::EmitResponse {
    fn from(Kept { keys, version, .. }: Kept) -> Self {
        let id = keys.into_iter().next().unwrap_or_default();
        Self { id, position: version.unwrap_or_default(), replayed: true }
    }
}
