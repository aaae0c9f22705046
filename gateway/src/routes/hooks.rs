//! `/hooks/runs`: what action and schedule hooks have done. For admins.

use axum::extract::State;
use axum::response::Response;
use proto::hooks::v1::ListRunsRequest;
use serde_json::{Value, json};

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::read_query::Parameters;
use crate::state::Gateway;

/// GET /hooks/runs?event_id=&limit=
pub async fn runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let limit = parameters.number("limit")?.unwrap_or_default();
    let request = ListRunsRequest { event_id: parameters.text("event_id"), limit };
    let runs = gateway.hooks().list_runs(gateway.call(&caller, request)).await?.into_inner().runs;
    let run = |run: proto::hooks::v1::HookRun| {
        json!({
            "hook": run.hook, "kind": run.kind, "event_id": run.event_id, "position": run.position,
            "event": run.event, "collection": run.collection, "key": run.key, "trace_id": run.trace_id,
            "time": run.time,
        })
    };
    Ok(answer::value(&runs.into_iter().map(run).collect::<Vec<Value>>()))
}
