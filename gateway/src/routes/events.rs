//! `/events`: the event log as server-sent events for everybody, as far as he may read; for administrators one event by its
//! position, and events of one's own.

mod feed;
mod frame;
mod places;

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
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::read_query::Parameters;
use crate::state::Gateway;
use crate::token;

pub use places::Streams;

/// What a request for a stream says beside who asks.
pub struct Asked {
    headers: HeaderMap,
    uri: Uri,
    parameters: Parameters,
}

impl axum::extract::FromRequestParts<Gateway> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &Gateway,
    ) -> Result<Self, Self::Rejection> {
        let parameters = Parameters::parse(parts.uri.query().unwrap_or_default());
        Ok(Self { headers: parts.headers.clone(), uri: parts.uri.clone(), parameters })
    }
}

/// GET /events?events=&collections=&last_event_id=
pub async fn subscribe(
    State(gateway): State<Gateway>,
    caller: Caller,
    asked: Asked,
) -> Result<Response, Failure> {
    let collections = asked.parameters.list("collections");
    stream(gateway, caller, asked, collections).await
}

/// GET /events/:position, and GET /events/:collection?events=&last_event_id=
pub async fn one(
    gateway: State<Gateway>,
    caller: Caller,
    Names(name): Names<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return read(gateway, caller, &name).await;
    }
    stream(gateway.0, caller, asked, vec![name]).await
}

async fn stream(
    gateway: Gateway,
    caller: Caller,
    asked: Asked,
    collections: Vec<String>,
) -> Result<Response, Failure> {
    let Asked { headers, uri, parameters } = &asked;
    let (after, after_token) = after(headers, parameters, caller.accountability.admin)?;
    let events = parameters.list("events");
    let request = SubscribeRequest { after, after_token, events, collections, progress: true };
    let place = gateway.streams.take(&caller)?;
    // From before the stream begins, so that no change is missed.
    let changes = gateway.authenticator.changes();
    let events = place.events().subscribe(gateway.call(&caller, request)).await?.into_inner();
    let credential = token::find(headers, uri.query(), &gateway.config.session_cookie.name)?;
    let token = credential.map(|credential| credential.token.into_owned()).unwrap_or_default();
    let address = caller.accountability.ip.as_deref().and_then(|ip| ip.parse().ok());
    let who = caller.0.accountability;
    let credential = feed::Credential { token, address, who, changes };
    let (feed, frames) = feed::Feed::new(gateway.clone(), events, credential, place);
    gateway.runtime.tasks.detach(feed.run());
    Ok(streaming(Body::from_stream(ReceiverStream::new(frames))))
}

async fn read(State(gateway): State<Gateway>, caller: Caller, position: &str) -> Result<Response, Failure> {
    caller.require_admin()?;
    let position = position.parse().map_err(|_| Error::forbidden())?;
    let request = gateway.call(&caller, GetEventRequest { position, ..Default::default() });
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
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    condition.refuse()?;
    let Custom { event, payload, collection, key, cause } = body.parse()?;
    let request = EmitRequest {
        event,
        payload: payload.map_or_else(Bytes::new, |payload| Bytes::from(payload.get().to_owned())),
        collection: collection.unwrap_or_default(),
        key: key.unwrap_or_default(),
        cause: cause.unwrap_or_default(),
        idempotency_key,
        silent: false,
    };
    let made = gateway.events().emit(gateway.call(&caller, request)).await?.into_inner();
    let told = json!({"id": made.id, "position": made.position});
    Ok(answer::replayed(answer::of(&Bytes::from(told.to_string())), made.replayed))
}

/// Where to go on: the header that browsers send by themselves, else the parameter. A number is a position, which is for
/// administrators; the ids of others are tokens.
fn after(headers: &HeaderMap, parameters: &Parameters, admin: bool) -> Result<(Option<i64>, String), Error> {
    let header = headers.get("last-event-id").filter(|value| !value.is_empty());
    let (name, text) = match header {
        Some(value) => ("Last-Event-ID", value.to_str().unwrap_or("?").trim()),
        None => ("last_event_id", parameters.get("last_event_id").unwrap_or_default()),
    };
    if text.is_empty() {
        return Ok((None, String::new()));
    }
    if let (true, Ok(position)) = (admin, text.parse::<i64>()) {
        return Ok((Some(position), String::new()));
    }
    let is_token = text.len() >= 16 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_token {
        return Ok((None, text.to_owned()));
    }
    let what = if admin { "a number or an id that was given to you" } else { "an id that was given to you" };
    Err(Error::invalid_query(format!("\"{name}\" must be {what}")))
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
