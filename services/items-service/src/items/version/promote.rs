//! Promoting: what a version keeps becomes the item's, unless the item has moved on.

use access::{Access, Action};
use model::{Error, Errors};
use planner::{Once, Payload, Reader};
use prost::Message as _;
use proto::items::v1 as pb;
use rpc::Caller;

use super::{VERSIONS, Version, hash, json, unmarked};
use crate::execute;
use crate::failure::Failure;
use crate::items::create::writable;
use crate::items::judge::Judging;
use crate::items::nested::{self, Place, Wanted, Whose};
use crate::items::update::{self, Change};
use crate::items::write::{Tries, Written};
use crate::items::{condition, once};
use crate::state::State;

/// The item is locked and looked at on nobody's behalf: rights are asked for by the change.
static EVERYTHING: Access = Access::admin();

/// Writes a version to its item.
pub async fn promote(
    state: &State,
    caller: &Caller,
    request: pb::PromoteVersionRequest,
) -> Result<pb::PromoteVersionResponse, Errors> {
    // As of changes: the condition is part of the try.
    let asked =
        || pb::PromoteVersionRequest { idempotency_key: String::new(), condition: None, ..request.clone() };
    let asked = || [&b"promote"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), write(state, caller, &request, once.as_ref())).await
}

async fn write(
    state: &State,
    caller: &Caller,
    request: &pb::PromoteVersionRequest,
    once: Option<&Once>,
) -> Result<pb::PromoteVersionResponse, Errors> {
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, request, once).await {
            Ok(key) => return Ok(pb::PromoteVersionResponse { key, replayed: false }),
            Err(failure) => tries.after(failure, state, VERSIONS).await?,
        }
    }
}

async fn attempt(
    state: &State,
    caller: &Caller,
    request: &pb::PromoteVersionRequest,
    once: Option<&Once>,
) -> Result<String, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = asking.reader(&snapshot);
    let found = Version::find(state, caller, &snapshot, (&request.version, reader)).await?;
    let collection = writable(&snapshot, &found.collection(&snapshot)?.name, Action::Update)?;
    if !reader.access.allows(&collection.name, Action::Update) {
        return Err(Error::forbidden_collection(&collection.name).into());
    }
    let field = collection.key().ok_or_else(Error::internal)?;
    let keys = [planner::parse_key(&found.item, field)?];
    let Some(delta) = found.delta.filter(|delta| !delta.is_empty()) else {
        return Err(Error::unprocessable("No changes to promote").into());
    };
    let payload = chosen(&unmarked(&delta, collection)?, &request.fields);
    let asked = pb::UpdateItemsRequest { payload: json(&payload)?, ..pb::UpdateItemsRequest::default() };
    let change = Change { caller, request: &asked, one: true, keys: &keys };
    let mut stamp = state.stamp(caller);
    let judging = Judging::init(&state.db, (collection, Action::Update), reader, &stamp).await?;
    let (payloads, plain) = update::prepared(state, &snapshot, &judging, vec![payload], change).await?;
    let held = judging.held(plain.map(|plain| update::groups(&keys, plain, false)), None);
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, once).await?;
    let any = Reader { access: &EVERYTHING, ..reader };
    execute::rows(&mut tx, &planner::plan_lock(&keys, None, collection, any)?).await?;
    let main_hash = hash(&mut tx, &found.item, collection).await?.ok_or_else(Error::forbidden)?;
    if main_hash != request.main_hash {
        return Err(Error::unprocessable("Main item has changed since this version was last updated").into());
    }
    let version = condition::version_of(&mut *tx, collection, keys.first()).await?;
    condition::hold(request.condition.as_ref(), version)?;
    if let Some(held) = &held {
        held.check(&mut tx).await?;
    }
    let (changed, moves_control) = if nested::any(&payloads, collection) {
        let place = Place { state, caller, snapshot: &snapshot, reader, stamp: &stamp };
        let all = |payload| Wanted::top(payload, Whose::These(keys.to_vec()));
        let wanted = payloads.into_iter().map(all).collect();
        (true, nested::within(&mut tx, place, collection, wanted, None).await?.1)
    } else {
        let groups = update::groups(&keys, payloads, false);
        let changed = update::within(&mut tx, state, &groups, (collection, reader), &mut stamp).await?;
        (changed, false)
    };
    let written = Written { items: String::new(), keys: keys.to_vec(), version: None };
    once::keep(&mut tx, once, &written).await?;
    execute::commit(tx).await?;
    if moves_control {
        state.announce_control().await;
    }
    if changed {
        state.announce().await;
    }
    Ok(found.item)
}

/// What is kept of these fields; of no fields all of it.
fn chosen(delta: &Payload, fields: &[String]) -> Payload {
    let mut chosen = Payload::default();
    for (name, value) in delta.iter() {
        if fields.is_empty() || fields.iter().any(|field| field == name) {
            chosen.put(name, value);
        }
    }
    chosen
}
