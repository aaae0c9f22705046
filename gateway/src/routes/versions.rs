//! `/versions/:id/save`, `compare` and `promote`: what is done with a saved version beside its making.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use model::Error;
use proto::items::v1::{CompareVersionRequest, PromoteVersionRequest, SaveVersionRequest};
use serde_json::value::RawValue;

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::state::Gateway;

type Answer = Result<Response, Failure>;

/// POST /versions/:id/save
pub async fn save(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(version): Names<String>,
    body: JsonBody,
) -> Answer {
    let request = gateway.call(&caller, SaveVersionRequest { version, payload: body.0, silent: false });
    let saved = gateway.items().save_version(request).await?.into_inner();
    Ok(answer::of(&saved.item))
}

/// GET /versions/:id/compare
pub async fn compare(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(version): Names<String>,
) -> Answer {
    let request = gateway.call(&caller, CompareVersionRequest { version });
    let compared = gateway.items().compare_version(request).await?.into_inner();
    Ok(answer::of(&compared.comparison))
}

/// POST /versions/:id/promote
pub async fn promote(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(version): Names<String>,
    (IdempotencyKey(idempotency_key), IfMatch(condition)): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    let (main_hash, fields) = wanted(&body)?;
    let request =
        PromoteVersionRequest { version, main_hash, fields, idempotency_key, condition, silent: false };
    let promoted = gateway.items().promote_version(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::replayed(answer::value(&promoted.key), promoted.replayed))
}

/// What is compared with, and the fields that are meant.
fn wanted(body: &JsonBody) -> Result<(String, Vec<String>), Error> {
    let missing = || Error::invalid_payload("\"mainHash\" field is required");
    if body.is_array() {
        return Err(missing());
    }
    let members: BTreeMap<String, &RawValue> = body.parse()?;
    let text = |name: &str| members.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let main_hash = text("mainHash").filter(|hash| !hash.is_empty()).ok_or_else(missing)?;
    let fields = match members.get("fields").map(|raw| raw.get()) {
        None | Some("null") => Vec::new(),
        Some(fields) => serde_json::from_str(fields)
            .map_err(|_| Error::invalid_payload("\"fields\" must be an array of strings"))?,
    };
    Ok((main_hash, fields))
}
