//! `/events`: the event log as server-sent events, one event by its position, and events of one's own. For admins.

mod feed;
mod frame;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};
use model::Error;
use proto::events::v1::{EmitRequest, GetEventRequest, SubscribeRequest};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio_stream::wrappers::ReceiverStream;

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::Parameters;
use crate::state::Gateway;
use crate::token;

/// GET /events?events=&collections=&last_event_id=
pub async fn subscribe(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let place = gateway.streams.clone().try_acquire_owned().map_err(|_| Error::unavailable("events"))?;
    let request = SubscribeRequest {
        after: after(&headers, &parameters)?,
        events: parameters.list("events"),
        collections: parameters.list("collections"),
    };
    let changes = gateway.authenticator.changes();
    let events = gateway.events().subscribe(gateway.call(&caller, request)).await?.into_inner();
    let credential = token::find(&headers, uri.query(), &gateway.config.session_cookie.name)?;
    let token = credential.map(|credential| credential.token.into_owned()).unwrap_or_default();
    let address = caller.accountability.ip.as_deref().and_then(|ip| ip.parse().ok());
    let (feed, frames) = feed::Feed::new(gateway.clone(), events, (token, address), changes);
    gateway.runtime.tasks.detach(async move {
        feed.run().await;
        drop(place);
    });
    Ok(streaming(Body::from_stream(ReceiverStream::new(frames))))
}

/// GET /events/:position
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(position): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let position = position.parse().map_err(|_| Error::forbidden())?;
    let request = gateway.call(&caller, GetEventRequest { position });
    Ok(answer::of(&gateway.events().get_event(request).await?.into_inner().event))
}

/// The body of a custom event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    event: String,
    payload: Option<Box<RawValue>>,
    collection: Option<String>,
    key: Option<String>,
    cause: Option<i64>,
}

/// POST /events
pub async fn emit(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Custom { event, payload, collection, key, cause } = body.parse()?;
    let request = EmitRequest {
        event,
        payload: payload.map_or_else(Bytes::new, |payload| Bytes::from(payload.get().to_owned())),
        collection: collection.unwrap_or_default(),
        key: key.unwrap_or_default(),
        cause: cause.unwrap_or_default(),
        silent: false,
    };
    let made = gateway.events().emit(gateway.call(&caller, request)).await?.into_inner();
    let made = json!({"id": made.id, "position": made.position});
    Ok(answer::of(&Bytes::from(made.to_string())))
}

/// Where to go on: the header that browsers send by themselves, else the parameter.
fn after(headers: &HeaderMap, parameters: &Parameters) -> Result<Option<i64>, Error> {
    let Some(text) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return parameters.number("last_event_id");
    };
    let position = text.to_str().ok().and_then(|text| text.trim().parse().ok());
    let reason = "\"Last-Event-ID\" must be a number";
    position.map(Some).ok_or_else(|| Error::invalid_query(reason))
}

fn streaming(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
