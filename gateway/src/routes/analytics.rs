//! `/analytics/metrics`: counts per day, collection and action. For admins.

use axum::extract::State;
use axum::response::Response;
use proto::analytics::v1::{Metric, MetricsRequest};
use serde_json::{Value, json};

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::read_query::Parameters;
use crate::state::Gateway;

/// GET /analytics/metrics?from=&to=&collection=&action=
pub async fn metrics(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = MetricsRequest {
        from: parameters.text("from"),
        to: parameters.text("to"),
        collection: parameters.text("collection"),
        action: parameters.text("action"),
    };
    let found = gateway.analytics().metrics(gateway.call(&caller, request)).await?.into_inner();
    let metric = |Metric { day, collection, action, count }: Metric| json!({ "day": day, "collection": collection, "action": action, "count": count });
    Ok(answer::value(&found.metrics.into_iter().map(metric).collect::<Vec<Value>>()))
}
