//! `/utils/sort/:collection` and `/utils/revert/:revision`: changes that are told by where an item is to go.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use model::Error;
use proto::items::v1::{RevertItemRequest, SortItemsRequest};
use serde_json::value::RawValue;

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::state::Gateway;

/// POST /utils/sort/:collection
pub async fn sort(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Result<Response, Failure> {
    condition.refuse()?;
    let (item, to) = places(&body)?;
    let request = SortItemsRequest { collection, item, to, idempotency_key, silent: false };
    let done = gateway.items().sort_items(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::replayed(answer::nothing(), done.replayed))
}

/// POST /utils/revert/:revision
pub async fn revert(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(revision): Names<String>,
    (IdempotencyKey(idempotency_key), IfMatch(condition)): (IdempotencyKey, IfMatch),
) -> Result<Response, Failure> {
    let request = RevertItemRequest { revision, idempotency_key, condition, silent: false };
    let done = gateway.items().revert_item(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::replayed(answer::empty(), done.replayed))
}

/// The two keys of a body; strings or numbers, whose digits stay as they are.
fn places(body: &JsonBody) -> Result<(String, String), Error> {
    if body.is_array() {
        return Err(Error::invalid_payload("\"value\" must be of type object"));
    }
    let members: BTreeMap<String, &RawValue> = body.parse()?;
    let key = |name: &str| {
        let raw =
            members.get(name).ok_or_else(|| Error::invalid_payload(format!("\"{name}\" is required")))?;
        let text = match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).ok(),
            Some(b'-' | b'0'..=b'9') => Some(raw.get().to_owned()),
            _ => None,
        };
        text.ok_or_else(|| Error::invalid_payload(format!("\"{name}\" must be one of [string, number]")))
    };
    let places = (key("item")?, key("to")?);
    match members.keys().find(|name| !matches!(name.as_str(), "item" | "to")) {
        Some(name) => Err(Error::invalid_payload(format!("\"{name}\" is not allowed"))),
        None => Ok(places),
    }
}
