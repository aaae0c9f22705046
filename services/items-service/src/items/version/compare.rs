//! Comparing: what a version keeps beside the item as it is now.

use bytes::Bytes;
use model::{Error, Errors};
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{VERSIONS, Version, hash_of, hashing, main_item};
use crate::execute;
use crate::failure::Failure;
use crate::items::write::Tries;
use crate::state::State;

/// As on the wire.
#[derive(Serialize)]
struct Comparison {
    outdated: bool,
    #[serde(rename = "mainHash")]
    main_hash: String,
    current: planner::Payload,
    main: planner::Payload,
}

/// Compares a version with its item.
pub async fn compare(
    state: &State,
    caller: &Caller,
    request: pb::CompareVersionRequest,
) -> Result<pb::CompareVersionResponse, Errors> {
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, &request.version).await {
            Ok(comparison) => return Ok(pb::CompareVersionResponse { comparison }),
            Err(failure) => tries.after(failure, state, VERSIONS).await?,
        }
    }
}

async fn attempt(state: &State, caller: &Caller, id: &str) -> Result<Bytes, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = asking.reader(&snapshot);
    let found = Version::find(state, caller, &snapshot, (id, reader)).await?;
    let collection = found.collection(&snapshot)?;
    // The hash is the older of the two: what changes in between is found when the version is promoted.
    let row = execute::row_alone(&state.db, &hashing(&found.item, collection)?, true).await?;
    let main_hash = hash_of(row.as_ref())?.ok_or_else(Error::forbidden)?;
    let main = main_item(state, caller, &found.item, &Query::default(), (collection, reader)).await?;
    let mut current = planner::Payload::default();
    current.put(&collection.primary_key, &raw(&found.item)?);
    current.overlay(&found.kept(collection, reader));
    let outdated = found.hash.as_ref() != Some(&main_hash);
    let comparison = Comparison { outdated, main_hash, current, main };
    Ok(Bytes::from(serde_json::to_vec(&comparison).map_err(|_| Error::internal())?))
}

/// The key as a version names it: a text, whatever its type.
pub(super) fn raw(key: &str) -> Result<Box<RawValue>, Error> {
    to_raw_value(key).map_err(|_| Error::internal())
}
