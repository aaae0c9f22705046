//! Deleting: keys or query -> filter hooks -> plan -> statements.

use access::Action;
use bytes::Bytes;
use model::{Collection, Error, Errors, Filter};
use planner::Reader;
use proto::items::v1 as pb;
use proto::items::v1::delete_items_request::Target;
use rpc::Caller;

use super::cascade::{self, Deletion};
use super::create::writable;
use super::read::query;
use super::update::{checked_keys, matching_keys};
use super::write::{CHUNK, Ending, Tries, run};
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
    let asking = state.asking(caller);
    let stamp = state.stamp(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let reader = asking.reader(&snapshot);
            let collection = writable(&snapshot, &request.collection, Action::Delete)?;
            let (keys, filter) = target(state, &request, collection, reader).await?;
            state.limits.check_batch(keys.len())?;
            let event = format!("{}.delete", collection.scope());
            if !keys.is_empty() && snapshot.has_filter(&event, &collection.name) {
                let payload = Bytes::from(serde_json::to_vec(&keys).unwrap_or_default());
                let question = Question { event: &event, collection: &collection.name, payload, keys: &keys };
                state.filters.ask(question, caller).await?;
            }
            let reached = (!reader.access.skips_missing() && filter.is_none()).then_some(keys.len());
            if cascade::has_consequences(&snapshot, &collection.name) {
                let (keys, filter) = (keys.as_slice(), filter.as_ref());
                let deletion =
                    Deletion { snapshot: &snapshot, collection, keys, filter, reader, stamp: &stamp };
                let rules = Rules::delete(collection, keys);
                let keys = cascade::delete(state, deletion, reached, rules).await?;
                return Ok(pb::DeleteItemsResponse { keys });
            }
            let chunks = keys.chunks(CHUNK).map(|keys| {
                let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
                let whole = planner::Deletion::Whole;
                planner::plan_delete(whole, keys, &event_ids, filter.as_ref(), collection, reader, &stamp)
            });
            let statements = chunks.collect::<Result<Vec<_>, Errors>>()?;
            let rules = Rules::delete(collection, &keys);
            let written = run(state, &statements, Ending { reached, ..Ending::default() }, rules).await?;
            Ok(pb::DeleteItemsResponse { keys: written.keys })
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
            matching_keys(state, &query(bytes)?, collection, reader, Action::Delete).await
        }
        None => Err(Error::invalid_payload("\"value\" must contain at least one of [query, keys]").into()),
    }
}
