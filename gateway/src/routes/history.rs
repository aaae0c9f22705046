//! `/items/:collection/:key/history` and `/utils/undo`: what happened to items, and taking it back.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use model::Error;
use proto::history::v1::{ReadHistoryRequest, UndoRequest};
use serde::Deserialize;

use super::items::Item;
use super::only;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::read_query::Parameters;
use crate::state::Gateway;

/// The routes.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/items/{collection}/{key}/history", only(get(read), "GET,HEAD"))
        .route("/utils/undo", only(post(undo), "POST"))
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
async fn undo(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Undo { request_id, from, to, dry_run, force } = body.parse()?;
    let (request_id, from, to) = match (request_id, from, to) {
        (Some(id), None, None) if !id.is_empty() => (id, 0, 0),
        (None, Some(from), Some(to)) => (String::new(), from, to),
        _ => {
            let reason = "Either \"request_id\" or both \"from\" and \"to\" are required";
            return Err(Error::invalid_payload(reason).into());
        }
    };
    let request = UndoRequest { request_id, from, to, dry_run, force };
    let done = gateway.history().undo(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::of(&done.json))
}
