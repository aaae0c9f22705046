//! Stands before every service: finds out who calls, continues the trace, counts, and keeps panics in.

mod body;
mod identify;
mod methods;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use http::{Request, Response};
use model::{Clock, TraceParent};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service as _;
use tracing::{Instrument as _, Span, field};

use crate::caller::{Outgoing, Outsider};
use crate::guard::body::Watched;
pub(crate) use crate::guard::methods::Method;
use crate::{ACCOUNTABILITY, Authenticator, Signer, status};

/// The span of a call below a parent.
macro_rules! rpc_span {
    ($target:expr, $parent:expr, $method:expr) => {
        tracing::info_span!(
            target: $target,
            parent: $parent,
            "rpc",
            rpc.system = "grpc",
            rpc.service = $method.service,
            rpc.method = $method.name,
            rpc.grpc.status_code = field::Empty,
            otel.kind = "server",
            otel.status_code = field::Empty,
        )
    };
}

/// The guard of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    signer: Signer,
    clock: Arc<dyn Clock>,
    authenticator: Option<Arc<dyn Authenticator>>,
}

impl Guard {
    /// Lets in who is signed for by this signer, or whom the authenticator knows by his bearer token, and the
    /// public. Without an authenticator bearer tokens are refused. Who presents something wrong is UNAUTHENTICATED,
    /// never the public. Health and reflection pass free.
    pub fn new(signer: Signer, clock: Arc<dyn Clock>, authenticator: Option<Arc<dyn Authenticator>>) -> Self {
        Self { inner: Arc::new(Inner { signer, clock, authenticator }) }
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.inner.signer
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// One call.
    pub(crate) async fn call(self, routes: Routes, request: Request<Body>) -> Response<Body> {
        let method = Method::of(request.uri().path());
        let span = span(method, &request);
        let started = Instant::now();
        let answer = self.admit(method, routes, request);
        // The future of the handler must not outlive the span around it, nor be polled after a panic.
        let answer = AssertUnwindSafe(answer.instrument(span.clone())).catch_unwind().await;
        let response = answer.unwrap_or_else(|_| status(model::Error::internal().into()).into_http());
        let account = Account { method, started, span };
        match Status::from_header_map(response.headers()) {
            // The whole answer is a refusal.
            Some(refusal) => {
                account.close(refusal.code());
                response
            }
            None => response.map(|body| Body::new(Watched::new(body, account))),
        }
    }

    async fn admit(
        self,
        method: &'static Method,
        mut routes: Routes,
        request: Request<Body>,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let inside = parts.extensions.get::<Outgoing>().is_some();
        let outside = !inside && !parts.headers.contains_key(ACCOUNTABILITY);
        let caller = match parts.extensions.remove::<Outgoing>() {
            // It never left the process.
            Some(outgoing) => Some(Ok(outgoing.caller)),
            None if method.free => None,
            None => Some(self.inner.identify(&parts).await),
        };
        match caller {
            Some(Ok(caller)) if method.admits(&caller.accountability) => {
                if outside {
                    parts.extensions.insert(Outsider);
                }
                parts.extensions.insert(caller);
            }
            Some(Ok(_)) => return status(model::Error::forbidden().into()).into_http(),
            Some(Err(error)) => return status(error.into()).into_http(),
            None => {}
        }
        match routes.call(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// One call that stays in the process and is no message: counted and kept as any other. It is a span of its own where spans
/// are exported; elsewhere it belongs to the request's.
pub(crate) async fn direct<A>(
    method: &'static Method,
    work: impl Future<Output = Result<A, Status>>,
) -> Result<A, Status> {
    watched(method, rpc_span!(chassis::trace::EXPORTED, Span::current().id(), method), work).await
}

/// One call that a stream carries, in the trace that the caller names.
pub(crate) async fn carried<A>(
    method: &'static Method,
    parent: Option<&TraceParent>,
    work: impl Future<Output = Result<A, Status>>,
) -> Result<A, Status> {
    let span = rpc_span!(module_path!(), None, method);
    if !span.is_none() {
        chassis::trace::continue_from(&span, parent);
    }
    watched(method, span, work).await
}

async fn watched<A>(
    method: &'static Method,
    span: Span,
    work: impl Future<Output = Result<A, Status>>,
) -> Result<A, Status> {
    let started = Instant::now();
    let answer = AssertUnwindSafe(work.instrument(span.clone())).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| Err(status(model::Error::internal().into())));
    let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
    Account { method, started, span }.close(code);
    answer
}

/// The span of a call, in the trace that the caller names. None for health and reflection: they would drown the rest.
fn span(method: &Method, request: &Request<Body>) -> Span {
    if method.free {
        return Span::none();
    }
    let span = rpc_span!(module_path!(), None, method);
    if !span.is_none() {
        let parent = chassis::trace::from_headers(request.headers());
        chassis::trace::continue_from(&span, parent.as_ref());
    }
    span
}

/// What is written down about a call when it is over.
#[derive(Debug)]
struct Account {
    method: &'static Method,
    started: Instant,
    span: Span,
}

impl Account {
    fn close(&self, code: Code) {
        self.method.count(code, self.started.elapsed());
        self.span.record("rpc.grpc.status_code", i32::from(code));
        if matches!(
            code,
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable | Code::DeadlineExceeded
        ) {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}
