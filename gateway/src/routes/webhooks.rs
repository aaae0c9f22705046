//! `/webhooks`: endpoints and what was delivered to them. For admins.

use axum::extract::State;
use axum::response::Response;
use model::Error;
use proto::webhooks::v1::{
    CreateEndpointRequest, Delivery, Endpoint, EndpointRequest, ListDeliveriesRequest, ListEndpointsRequest,
    UpdateEndpointRequest,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::Parameters;
use crate::state::Gateway;

#[derive(Deserialize)]
struct NewEndpoint {
    url: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: String,
}

#[derive(Deserialize)]
struct Changes {
    url: Option<String>,
    events: Option<Vec<String>>,
    enabled: Option<bool>,
    name: Option<String>,
}

/// GET /webhooks/endpoints
pub async fn list_endpoints(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = gateway.call(&caller, ListEndpointsRequest {});
    let found = gateway.webhooks().list_endpoints(request).await?.into_inner().endpoints;
    Ok(answer::value(&found.into_iter().map(endpoint).collect::<Vec<Value>>()))
}

/// GET /webhooks/endpoints/:id
pub async fn read_endpoint(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = gateway.call(&caller, EndpointRequest { id });
    Ok(answer::value(&endpoint(gateway.webhooks().get_endpoint(request).await?.into_inner())))
}

/// POST /webhooks/endpoints: the answer alone shows the secret.
pub async fn create_endpoint(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let NewEndpoint { url, events, name, secret } = body.parse()?;
    let request = gateway.call(&caller, CreateEndpointRequest { url, events, name, secret });
    let mut made = gateway.webhooks().create_endpoint(request).await?.into_inner();
    let secret = std::mem::take(&mut made.secret);
    let mut shown = endpoint(made);
    shown["secret"] = Value::from(secret);
    Ok(answer::value(&shown))
}

/// PATCH /webhooks/endpoints/:id
pub async fn update_endpoint(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Changes { url, events, enabled, name } = body.parse()?;
    if events.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::invalid_payload("\"events\" must name at least one event").into());
    }
    let events = events.unwrap_or_default();
    let request = gateway.call(&caller, UpdateEndpointRequest { id, url, events, enabled, name });
    Ok(answer::value(&endpoint(gateway.webhooks().update_endpoint(request).await?.into_inner())))
}

/// DELETE /webhooks/endpoints/:id
pub async fn delete_endpoint(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    gateway.webhooks().delete_endpoint(gateway.call(&caller, EndpointRequest { id })).await?;
    Ok(answer::empty())
}

/// GET /webhooks/deliveries?endpoint=&state=&event_id=&limit=
pub async fn list_deliveries(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = ListDeliveriesRequest {
        endpoint: parameters.text("endpoint"),
        state: parameters.text("state"),
        event_id: parameters.text("event_id"),
        limit: parameters.number("limit")?.unwrap_or_default(),
    };
    let found = gateway.webhooks().list_deliveries(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::value(&found.deliveries.into_iter().map(delivery).collect::<Vec<Value>>()))
}

fn endpoint(endpoint: Endpoint) -> Value {
    json!({
        "id": endpoint.id, "name": endpoint.name, "url": endpoint.url, "events": endpoint.events,
        "enabled": endpoint.enabled, "created": endpoint.created,
    })
}

fn delivery(delivery: Delivery) -> Value {
    let attempts = delivery.attempts.iter().map(|attempt| {
        json!({
            "number": attempt.number, "time": attempt.time, "status": attempt.status,
            "duration_ms": attempt.duration_ms, "error": attempt.error,
        })
    });
    json!({
        "id": delivery.id, "endpoint": delivery.endpoint, "event_id": delivery.event_id,
        "position": delivery.position, "event": delivery.event, "state": delivery.state,
        "trace_id": delivery.trace_id, "attempts": attempts.collect::<Vec<Value>>(), "created": delivery.created,
    })
}
