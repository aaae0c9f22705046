//! `/items/:collection/:key/history`, `/utils/undo` and `/utils/erase`: what happened to items, taking it back, and
//! erasing it.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use model::Error;
use proto::history::v1::{EraseRequest, ReadErasureRequest, ReadHistoryRequest, UndoRequest};
use serde::Deserialize;

use super::items::Item;
use super::only;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::read_query::Parameters;
use crate::state::Gateway;

/// The routes.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/items/{collection}/{key}/history", only(get(read), "GET,HEAD"))
        .route("/utils/undo", only(post(undo), "POST"))
        .route("/utils/erase", only(post(erase), "POST"))
        .route("/utils/erase/{id}", only(get(read_erasure), "GET,HEAD"))
}

/// GET /items/:collection/:key/history?limit=&offset=
async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Item { collection, key }: Item,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let (limit, offset) = (parameters.number("limit")?, parameters.number("offset")?.unwrap_or_default());
    let request = ReadHistoryRequest { collection, key, limit, offset };
    let found = gateway.history().read_history(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::of(&found.json))
}

/// The body of an undo: a request, or positions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Undo {
    request_id: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

/// POST /utils/undo
async fn undo(
    State(gateway): State<Gateway>,
    caller: Caller,
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    condition.refuse()?;
    let Undo { request_id, from, to, dry_run, force } = body.parse()?;
    let (request_id, from, to) = match (request_id, from, to) {
        (Some(id), None, None) if !id.is_empty() => (id, 0, 0),
        (None, Some(from), Some(to)) => (String::new(), from, to),
        _ => {
            let reason = "Either \"request_id\" or both \"from\" and \"to\" are required";
            return Err(Error::invalid_payload(reason).into());
        }
    };
    let request = UndoRequest { request_id, from, to, dry_run, force, idempotency_key };
    let done = gateway.history().undo(gateway.call(&caller, request)).await?.into_inner();
    // An erasure has taken the kept answer out.
    let answer = if done.json.is_empty() { answer::empty() } else { answer::of(&done.json) };
    Ok(answer::replayed(answer, done.replayed))
}

/// A key: a number or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Key {
    Text(String),
    Number(i64),
}

/// The body of an erasure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    collection: Option<String>,
    keys: Option<Vec<Key>>,
    fields: Option<Vec<String>>,
    users: Option<Vec<String>>,
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    dry_run: bool,
}

/// POST /utils/erase
async fn erase(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Erase { collection, keys, fields, users, delete, dry_run } = body.parse()?;
    if fields.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            Error::invalid_payload("\"fields\" names none; without it all but the key are erased").into()
        );
    }
    let text = |key: Key| match key {
        Key::Text(text) => text,
        Key::Number(number) => number.to_string(),
    };
    let request = EraseRequest {
        collection: collection.unwrap_or_default(),
        keys: keys.unwrap_or_default().into_iter().map(text).collect(),
        fields: fields.unwrap_or_default(),
        users: users.unwrap_or_default(),
        delete,
        dry_run,
    };
    let done = gateway.history().erase(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::of(&done.json))
}

/// GET /utils/erase/:id
async fn read_erasure(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = gateway.call(&caller, ReadErasureRequest { id });
    Ok(answer::of(&gateway.history().read_erasure(request).await?.into_inner().json))
}
