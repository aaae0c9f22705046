//! Deleting: keys or query -> filter hooks -> plan -> statements.

use std::sync::Arc;

use access::Action;
use bytes::Bytes;
use model::{Collection, Error, Errors, Filter};
use planner::{Once, Reader};
use prost::Message as _;
use proto::items::v1 as pb;
use proto::items::v1::delete_items_request::Target;
use rpc::Caller;

use super::cascade::{self, Deletion};
use super::create::writable;
use super::read::query;
use super::together::{self, By, Turn};
use super::update::{checked_keys, matching_keys};
use super::write::{CHUNK, Ending, Tries, run};
use super::{condition, once};
use crate::failure::Failure;
use crate::filter::Question;
use crate::state::State;
use crate::system::rules::Rules;

/// Deletes items.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::DeleteItemsRequest,
) -> Result<pb::DeleteItemsResponse, Errors> {
    let asked =
        || pb::DeleteItemsRequest { idempotency_key: String::new(), condition: None, ..request.clone() };
    let asked = || [&b"delete"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), remove(state, caller, request, once.as_ref())).await
}

/// Deletes items; that they are gone is kept under the key, if there is one.
async fn remove(
    state: &State,
    caller: &Caller,
    request: pb::DeleteItemsRequest,
    once: Option<&Once>,
) -> Result<pb::DeleteItemsResponse, Errors> {
    let asking = Arc::new(state.asking(caller).await?);
    let stamp = state.stamp(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let reader = asking.reader(&snapshot);
            let collection = writable(&snapshot, &request.collection, Action::Delete)?;
            let (keys, filter) = target(state, &request, collection, reader).await?;
            state.limits.check_batch(keys.len())?;
            let condition = request.condition.as_ref();
            let one = matches!(&request.target, Some(Target::Keys(keys)) if keys.keys.len() == 1);
            condition::check(state, caller, collection, (condition, one))?;
            let event = format!("{}.delete", collection.scope());
            if !keys.is_empty() && snapshot.has_filter(&event, &collection.name) {
                let payload = Bytes::from(serde_json::to_vec(&keys).unwrap_or_default());
                let question = Question { event: &event, collection: &collection.name, payload, keys: &keys };
                state.filters.ask(question, caller).await?;
            }
            let reached = (!reader.access.skips_missing() && filter.is_none()).then_some(keys.len());
            let ending = Ending { reached, condition, once, ..Ending::default() };
            let rules = Rules::delete(collection, &keys);
            let query = &Bytes::new();
            let by = By { caller, asking: &asking, snapshot: &snapshot, collection, query, stamp: &stamp };
            let offer = match keys.as_slice() {
                [key] if ending.goes_together(&rules) && filter.is_none() => Some(by.delete(key)),
                _ => None,
            };
            let place = match together::turn(state, offer).await {
                Turn::Done(done) => return Ok(pb::DeleteItemsResponse { keys: done?.keys, replayed: false }),
                Turn::Alone(place) => place,
            };
            if cascade::has_consequences(&snapshot, &collection.name) {
                let (keys, filter) = (keys.as_slice(), filter.as_ref());
                let stamp = &mut stamp.clone();
                let deletion = Deletion { snapshot: &snapshot, collection, keys, filter, reader, stamp };
                let keys = cascade::delete(state, deletion, ending, rules).await?;
                drop(place);
                return Ok(pb::DeleteItemsResponse { keys, replayed: false });
            }
            let stamp = ending.stamp(&stamp, keys.chunks(CHUNK).len(), &rules);
            let chunks = keys.chunks(CHUNK).enumerate().map(|(index, keys)| {
                let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
                let whole = planner::Deletion::Whole;
                let stamp = stamp.further(index * CHUNK);
                planner::plan_delete(whole, keys, &event_ids, filter.as_ref(), collection, reader, &stamp)
            });
            let statements = chunks.collect::<Result<Vec<_>, Errors>>()?;
            let written = run(state, &statements, ending, rules).await?;
            drop(place);
            Ok(pb::DeleteItemsResponse { keys: written.keys, replayed: false })
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

async fn target(
    state: &State,
    request: &pb::DeleteItemsRequest,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<(Vec<String>, Option<Filter>), Failure> {
    if !reader.access.allows(&collection.name, Action::Delete) {
        return Err(Error::forbidden_collection(&collection.name).into());
    }
    match &request.target {
        Some(Target::Keys(keys)) => Ok((checked_keys(&keys.keys, collection)?, None)),
        Some(Target::Matching(bytes)) => {
            matching_keys(state, &query(bytes)?, collection, reader, (Action::Delete, &[])).await
        }
        None => Err(Error::invalid_payload("\"value\" must contain at least one of [query, keys]").into()),
    }
}
