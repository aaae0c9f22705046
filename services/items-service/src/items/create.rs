//! Creating: payload -> filter hooks -> plan -> one statement.

use access::Access;
use bytes::{BufMut as _, Bytes, BytesMut};
use model::{Collection, Errors, KeySource};
use planner::{CreateNeeds, Payload, Stamp, Statement};
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;

use super::read::query;
use super::write::{CHUNK, Ending, Tries, run};
use crate::failure::Failure;
use crate::filter::Question;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Creates one or many items.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::CreateItemsRequest,
) -> Result<pb::WriteItemsResponse, Errors> {
    let query = query(&request.query)?;
    let access = Access::of(&caller.accountability);
    let payloads = filtered(state, caller, &request, &access).await?;
    let stamp = state.stamp(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let collection = writable(&snapshot, &request.collection)?;
            let plan = statements(state, &payloads, &query, collection, &access, &stamp)?;
            let ending = Ending { read_back: Some((&query, collection, &access)), reached: None };
            run(state, &plan, ending).await.map(Into::into)
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

/// A collection that clients may write to. System collections are not written through items.
pub fn writable<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Collection, Failure> {
    let collection = snapshot.collection(name)?;
    if collection.system {
        return Err(model::Error::forbidden_collection(name).into());
    }
    Ok(collection)
}

/// The payloads after the filter hooks, if any is registered. The right to create is checked before they see it.
async fn filtered(
    state: &State,
    caller: &Caller,
    request: &pb::CreateItemsRequest,
    access: &Access,
) -> Result<Vec<Payload>, Errors> {
    let (payloads, one) = planner::parse_payloads(&request.payload)?;
    let snapshot = state.snapshots.present();
    if payloads.is_empty() || !snapshot.has_filter("items.create", &request.collection) {
        return Ok(payloads);
    }
    let collection = snapshot.collection(&request.collection)?;
    if collection.system || !access.allows(&collection.name, access::Action::Create) {
        return Err(model::Error::forbidden_collection(&collection.name).into());
    }
    let payload = as_array(&request.payload, one);
    let question = Question { event: "items.create", collection: &collection.name, payload, keys: &[] };
    let answer = state.filters.ask(question, caller).await?;
    let (changed, _) = planner::parse_payloads(&answer)?;
    if changed.len() == payloads.len() { Ok(changed) } else { Err(model::Error::internal().into()) }
}

/// One object as an array of one.
pub fn as_array(payload: &Bytes, one: bool) -> Bytes {
    if !one {
        return payload.clone();
    }
    let mut array = BytesMut::with_capacity(payload.len() + 2);
    array.put_u8(b'[');
    array.put_slice(payload);
    array.put_u8(b']');
    array.freeze()
}

fn statements(
    state: &State,
    payloads: &[Payload],
    query: &Query,
    collection: &Collection,
    access: &Access,
    stamp: &Stamp,
) -> Result<Vec<Statement>, Errors> {
    if payloads.is_empty() && !access.allows(&collection.name, access::Action::Create) {
        return Err(model::Error::forbidden_collection(&collection.name).into());
    }
    let chunk = |payloads: &[Payload]| {
        let event_ids: Vec<_> = payloads.iter().map(|_| state.ids.ordered()).collect();
        let fresh_keys: Vec<_> = match collection.key_source {
            KeySource::Uuid => payloads.iter().map(|_| state.ids.random()).collect(),
            _ => Vec::new(),
        };
        let needs = CreateNeeds { event_ids: &event_ids, fresh_keys: &fresh_keys };
        planner::plan_create(payloads, &needs, query, collection, access, stamp)
    };
    payloads.chunks(CHUNK).map(chunk).collect()
}
