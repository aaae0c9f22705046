//! Saving: changes that a version keeps beside those that it kept before.

use access::{Access, Action};
use bytes::Bytes;
use model::{Error, Errors};
use planner::{Payload, Reader};
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;
use sqlx::Row as _;

use super::{VERSIONS, Version, json, main_item, object, parsed};
use crate::execute;
use crate::failure::Failure;
use crate::items::update;
use crate::items::write::Tries;
use crate::state::State;

/// The version is found by who may read it; what it kept until now is looked up under the lock on nobody's behalf.
static EVERYTHING: Access = Access::admin();

/// Keeps changes; answers the item with all that the version keeps.
pub async fn save(
    state: &State,
    caller: &Caller,
    request: pb::SaveVersionRequest,
) -> Result<pb::SaveVersionResponse, Errors> {
    let draft = object(&request.payload)?;
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, &request.version, &draft).await {
            Ok(item) => return Ok(pb::SaveVersionResponse { item }),
            Err(failure) => tries.after(failure, state, VERSIONS).await?,
        }
    }
}

async fn attempt(state: &State, caller: &Caller, id: &str, draft: &Payload) -> Result<Bytes, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = asking.reader(&snapshot);
    let versions = snapshot.collection(VERSIONS)?;
    let found = Version::find(state, caller, &snapshot, (id, reader)).await?;
    if !reader.access.allows_field(VERSIONS, "delta", Action::Update) {
        return Err(Error::forbidden_field(VERSIONS, "delta").into());
    }
    let collection = found.collection(&snapshot)?;
    let everything = Query::default();
    let mut item = main_item(state, caller, &found.item, &everything, (collection, reader)).await?;
    let draft = planner::check_draft(draft, collection, &snapshot.schema)?;
    if draft.is_empty() {
        item.overlay(&found.kept(collection, reader));
        return json(&item);
    }
    let mut tx = execute::begin(&state.db).await?;
    let any = Reader { access: &EVERYTHING, ..reader };
    let keys = [found.id.clone()];
    execute::rows(&mut tx, &planner::plan_lock(&keys, None, versions, any)?).await?;
    let plan = planner::plan_read_one(&Version::query(), versions, any)?.of(&found.id, versions)?;
    let rows = execute::rows(&mut tx, &plan).await?;
    let row = rows.first().ok_or_else(Error::forbidden)?;
    let present: Version = parsed(&row.try_get::<String, _>("item")?)?;
    let mut kept = present.delta.unwrap_or_default();
    kept.overlay(&draft);
    let raw = serde_json::value::to_raw_value(&kept).map_err(|_| Error::internal())?;
    let mut change = Payload::default();
    change.put("delta", &raw);
    let group = update::groups(&keys, vec![change], false);
    update::within(&mut tx, state, &group, (versions, reader), &mut state.stamp(caller)).await?;
    execute::commit(tx).await?;
    state.announce().await;
    let found = Version { delta: Some(kept), ..found };
    item.overlay(&found.kept(collection, reader));
    json(&item)
}
