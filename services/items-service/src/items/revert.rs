//! Reverting: an item gets the values back that it had after a revision.

use bytes::Bytes;
use model::{Error, Errors};
use planner::Once;
use prost::Message as _;
use proto::items::v1 as pb;
use proto::items::v1::update_items_request::Target;
use query::Query;
use rpc::Caller;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::Row as _;

use super::once;
use super::update::change;
use super::write::Tries;
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// Where revisions are read.
const REVISIONS: &str = "directus_revisions";

/// What is read of a revision.
#[derive(Deserialize)]
struct Revision {
    collection: String,
    item: String,
    data: Option<Box<RawValue>>,
}

/// Writes the values of a revision to its item, on behalf of one who may read the revision and change the item.
pub async fn item(
    state: &State,
    caller: &Caller,
    request: pb::RevertItemRequest,
) -> Result<pb::RevertItemResponse, Errors> {
    // As of changes: the condition is part of the try.
    let asked =
        || pb::RevertItemRequest { idempotency_key: String::new(), condition: None, ..request.clone() };
    let asked = || [&b"revert"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    let changed = once::answered(state, once.as_ref(), revert(state, caller, request, once.as_ref())).await?;
    // The original answers as if it had brought a deleted item back.
    if changed.keys.is_empty() {
        return Err(Error::forbidden().into());
    }
    Ok(pb::RevertItemResponse { replayed: changed.replayed })
}

async fn revert(
    state: &State,
    caller: &Caller,
    request: pb::RevertItemRequest,
    once: Option<&Once>,
) -> Result<pb::WriteItemsResponse, Errors> {
    let mut tries = Tries::default();
    let revision = loop {
        match find(state, caller, &request.revision).await {
            Ok(found) => break found,
            Err(failure) => tries.after(failure, state, REVISIONS).await?,
        }
    };
    let Revision { collection, item, data } = revision;
    let data = data.filter(|data| data.get().starts_with('{')).ok_or_else(Error::forbidden)?;
    let request = pb::UpdateItemsRequest {
        collection,
        target: Some(Target::Keys(pb::Keys { keys: vec![item] })),
        payload: Bytes::from(data.get().to_owned()),
        condition: request.condition,
        ..pb::UpdateItemsRequest::default()
    };
    // Not the road of singletons: the revision names the item by its key.
    change(state, caller, request, once).await
}

async fn find(state: &State, caller: &Caller, id: &str) -> Result<Revision, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let collection = snapshot.collection(REVISIONS)?;
    let fields = ["collection", "item", "data"].map(str::to_owned).to_vec();
    let query = Query { fields: Some(fields), ..Query::default() };
    let plan = planner::plan_read_one(&query, collection, asking.reader(&snapshot))?;
    let row = execute::row_alone(&state.db, &plan.of(id, collection)?, true).await?;
    let text: String = row.ok_or_else(Error::forbidden)?.try_get("item")?;
    Ok(serde_json::from_str(&text).map_err(|_| Error::internal())?)
}
