//! What surrounds every route: request id, trace, CORS, time limit, caught panics, count and log line.

mod conditional;
mod redact;
mod request_id;
mod shield;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::trace;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, ORIGIN};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use model::{Error, ErrorCode};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

use crate::answer;
use crate::client::{self, Peer};
use crate::failure::Failure;
use crate::routes::imports;
use crate::state::Gateway;
use crate::token;

use conditional::Conditional;
pub use request_id::RequestId;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is kept of a request for its headers, count and log line.
struct Seen {
    started: Instant,
    id: RequestId,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    origin: Option<HeaderValue>,
    /// It came with a credential.
    is_private: bool,
    asked: Conditional,
}

impl Seen {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }

    /// How long the answer may take. That to a file comes when its items are written; its parts have limits of their own.
    fn limit(&self, gateway: &Gateway) -> Duration {
        if self.route() == imports::UPLOAD { Duration::MAX } else { gateway.config.timeout }
    }
}

/// Surrounds one request.
pub async fn surround(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let seen = Seen {
        started: Instant::now(),
        id: RequestId::of(request.headers(), &*gateway.ids),
        method: request.method().clone(),
        uri: request.uri().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        origin: request.headers().get(ORIGIN).cloned(),
        is_private: token::is_given(&request, &gateway.config.session_cookie.name),
        asked: Conditional::of(&request),
    };
    let span = tracing::info_span!(
        "http",
        otel.kind = "server",
        http.request.method = known(&seen.method),
        http.route = seen.route(),
        http.response.status_code = tracing::field::Empty,
        request_id = seen.id.0.as_str(),
    );
    trace::continue_from(&span, trace::from_headers(request.headers()).as_ref());
    request.extensions_mut().insert(seen.id.clone());
    let preflight = gateway.cors.is_preflight(&seen.method, request.headers());
    let mut response = if preflight {
        answer::empty()
    } else {
        let work = within_limits(&gateway, request, next);
        limited(seen.limit(&gateway), work).instrument(span.clone()).await
    };
    gateway.cors.apply(seen.origin.as_ref(), preflight, response.headers_mut());
    finish(&gateway, &seen, &span, &mut response);
    response
}

/// The route's answer, if its client has not asked too often.
async fn within_limits(gateway: &Gateway, request: Request, next: Next) -> Response {
    let Some(limits) = &gateway.limits else { return next.run(request).await };
    let peer = request.extensions().get::<Peer>();
    let address = client::address_of(request.headers(), peer, gateway.config.trust_proxy);
    let Some(verdict) = limits.request(address).await else { return next.run(request).await };
    let mut response = match verdict.refusal(&*gateway.clock) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure::from(error).into_response(),
    };
    crate::limits::tell(&verdict, response.headers_mut());
    response
}

/// The route's answer, in time, whatever happens in it.
async fn limited(limit: Duration, work: impl Future<Output = Response>) -> Response {
    match timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(response)) => response,
        // The panic itself was logged and counted where it happened.
        Ok(Err(_)) => Failure::from(Error::internal()).into_response(),
        Err(_) => Failure::from(Error::new(ErrorCode::OutOfTime)).into_response(),
    }
}

fn finish(gateway: &Gateway, seen: &Seen, span: &Span, response: &mut Response) {
    private(seen, response);
    seen.asked.answer(response);
    let status = response.status();
    let headers = response.headers_mut();
    shield::put(gateway.config.transport.as_ref(), headers);
    headers.insert(&X_POWERED_BY, HeaderValue::from_static("Eventus"));
    if let Ok(id) = HeaderValue::from_str(&seen.id.0) {
        headers.insert(&X_REQUEST_ID, id);
    }
    if let Some(Ok(parent)) = trace::of(span).map(|parent| HeaderValue::from_str(parent.as_str())) {
        headers.insert(&TRACEPARENT, parent);
    }
    span.record("http.response.status_code", status.as_u16());
    let took = seen.started.elapsed().as_secs_f64();
    let (method, route) = (known(&seen.method), seen.route());
    gateway.metrics.requests.with_label_values(&[method, route, status.as_str()]).inc();
    gateway.metrics.seconds.with_label_values(&[method, route]).observe(took);
    log(seen, span, status, took);
}

/// What is answered to a credential is for its owner alone.
fn private(seen: &Seen, response: &mut Response) {
    if seen.is_private
        && let Some(control) = response.headers_mut().get_mut(CACHE_CONTROL)
        && control == "no-cache"
    {
        *control = HeaderValue::from_static("private, no-cache");
    }
}

fn log(seen: &Seen, span: &Span, status: StatusCode, took: f64) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                parent: span,
                method = seen.method.as_str(),
                path = redact::path(&seen.uri).as_ref(),
                status = status.as_u16(),
                milliseconds = took * 1_000.0,
                request_id = seen.id.0,
                "request"
            )
        };
    }
    if status.is_server_error() { line!(warn) } else { line!(info) }
}

/// The method, if it is one that a route may know: labels must not grow with what clients invent.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PATCH", "DELETE", "SEARCH", "OPTIONS", "HEAD", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
