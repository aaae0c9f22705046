//! `/server`: whether we live, what we are, how we are.

mod health;
mod project;

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use model::{Error, ErrorCode};
use proto::schema::v1::{GetAsyncApiRequest, GetOpenApiRequest};
use serde_json::{Value, json};

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

pub use health::Health;
pub use project::Project;

/// GET /server/ping: before any credential is looked at.
pub async fn ping() -> Response {
    let mut response = Response::new(axum::body::Body::from("pong"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// GET /server/info: the project for everybody, limits for users, the version for admins.
pub async fn info(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    // While nobody can tell, nobody is asked to set up what is there.
    let completed = gateway.project.is_set_up(&gateway).await.unwrap_or(true);
    let mut info = json!({ "project": gateway.project.read(&gateway).await?, "setupCompleted": completed });
    if !caller.accountability.is_public() {
        info["rateLimit"] = limit(gateway.config.limits.requests);
        info["rateLimitGlobal"] = limit(gateway.config.limits.global);
        info["extensions"] = json!({ "limit": null });
        let (default, max) = gateway.config.query_limits;
        info["queryLimit"] = json!({ "default": default, "max": max });
        info["websocket"] = Value::Bool(false);
    }
    if caller.accountability.admin {
        info["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    }
    Ok(answer::value(&info))
}

/// A limit as the original tells it.
fn limit(rate: Option<limits::Rate>) -> Value {
    rate.map_or(
        Value::Bool(false),
        |rate| json!({ "points": rate.points, "duration": rate.duration.as_secs() }),
    )
}

/// GET /server/health: for users; only admins see which parts are how.
pub async fn health(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    if caller.accountability.is_public() {
        return Err(Error::forbidden().into());
    }
    let report = gateway.health.read(&gateway).await;
    Ok(report.answer(caller.accountability.admin))
}

/// GET /server/specs/asyncapi: the AsyncAPI document of the events on the bus, without an envelope.
pub async fn async_api(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    let request = gateway.call(&caller, GetAsyncApiRequest {});
    Ok(answer::respond(gateway.schema().get_async_api(request).await?.into_inner().json))
}

/// GET /server/specs/events/:version: the JSON Schema of a version of events, without an envelope.
pub async fn event_schema(Names(version): Names<String>) -> Result<Response, Failure> {
    let schema = version.parse().ok().and_then(model::event_schema);
    Ok(answer::respond(schema.ok_or_else(|| Error::new(ErrorCode::RouteNotFound))?))
}

/// GET /server/specs/oas: the OpenAPI document itself, without an envelope.
pub async fn open_api(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    let url =
        if gateway.config.public_url == "/" { String::new() } else { gateway.config.public_url.clone() };
    let request = gateway.call(&caller, GetOpenApiRequest { url });
    Ok(answer::respond(gateway.schema().get_open_api(request).await?.into_inner().json))
}
