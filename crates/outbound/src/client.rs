//! Sends a request and reads what is wanted of the answer, within one deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use crate::connector::Connector;
use crate::guard::Guard;
use crate::{Class, Config, Error, Resolve, SystemResolver, Url};

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers; those that steer the connection (`host`, `content-length` ...) are set here and not taken over.
    pub headers: HeaderMap,
    /// Body, may be empty.
    pub body: Bytes,
    /// From now to the end of the answer; `None` = `Config::timeout`.
    pub deadline: Option<Duration>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, as far as it came in time and fitted.
    pub body: Bytes,
    /// The body is longer than that, or broke off.
    pub truncated: bool,
}

/// Sends requests. Cheap to clone; clones share connections. Needs a tokio runtime.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool<HttpsConnector<Connector>, Full<Bytes>>,
    guard: Guard,
    timeout: Duration,
    max_response_bytes: usize,
    user_agent: HeaderValue,
}

/// Connections that rest longer are closed.
const REST: Duration = Duration::from_secs(20);
/// Connections that rest, for each host.
const RESTING: usize = 16;
/// Longest head of an answer, in bytes.
const HEAD: usize = 64 * 1024;

/// What the client itself says about the connection.
const OURS: [http::HeaderName; 8] =
    [HOST, CONTENT_LENGTH, CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, ACCEPT_ENCODING];

impl Client {
    /// With the operating system's resolver.
    pub fn new(config: Config) -> Self {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// With another resolver.
    ///
    /// # Panics
    /// Never: ring's ciphers fit the protocol versions that rustls is compiled with.
    pub fn with_resolver(config: Config, resolver: Arc<dyn Resolve>) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring has ciphers for TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(Guard::new(&config), resolver));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(REST)
            .pool_max_idle_per_host(RESTING)
            .http1_max_buf_size(HEAD)
            .build(connector);
        let user_agent = HeaderValue::from_str(&config.user_agent);
        let inner = Inner {
            pool,
            guard: Guard::new(&config),
            timeout: config.timeout,
            max_response_bytes: config.max_response_bytes,
            user_agent: user_agent.unwrap_or(HeaderValue::from_static("Eventus")),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Refuses at once what `send` would refuse without looking a name up: for checking what somebody registers.
    ///
    /// # Errors
    /// `Invalid` for the URL's form, `Blocked` for a literal address that may not be reached.
    pub fn check(&self, url: &str) -> Result<Url, Error> {
        self.inner.guard.check(url)
    }

    /// Sends a request once and gives the answer, whatever its status: redirects are not followed. Once the status
    /// has come, trouble with the body only shortens it.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let deadline = Instant::now() + request.deadline.unwrap_or(self.inner.timeout);
        let request = self.inner.prepared(request);
        let response = match timeout_at(deadline, self.inner.pool.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Error::of(&error)),
            Err(_) => return Err(Class::Timeout.into()),
        };
        let (head, body) = response.into_parts();
        let (body, truncated) = self.inner.read(body, deadline).await;
        Ok(Response { status: head.status, headers: head.headers, body, truncated })
    }
}

impl Inner {
    fn prepared(&self, request: Request) -> http::Request<Full<Bytes>> {
        let mut prepared = http::Request::new(Full::new(request.body));
        *prepared.method_mut() = request.method;
        *prepared.uri_mut() = request.url.uri().clone();
        *prepared.headers_mut() = request.headers;
        for name in OURS {
            prepared.headers_mut().remove(name);
        }
        prepared.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        prepared
    }

    /// The body up to the cap; whatever is left is not read, which ends the connection.
    async fn read(&self, mut body: Incoming, deadline: Instant) -> (Bytes, bool) {
        let mut read = BytesMut::new();
        loop {
            let frame = match timeout_at(deadline, body.frame()).await {
                Ok(None) => return (read.freeze(), false),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) | Err(_) => return (read.freeze(), true),
            };
            let Ok(chunk) = frame.into_data() else { continue };
            let room = self.max_response_bytes - read.len();
            read.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return (read.freeze(), true);
            }
        }
    }
}
