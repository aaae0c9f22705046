//! One client of the two gateways: JSON in, status, headers and text out, every answer noted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::history::History;
use crate::records::Response;

/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A client with one token.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    gateways: Vec<SocketAddr>,
    token: Option<String>,
    history: Arc<History>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    headers: HeaderMap,
    /// Body.
    pub text: String,
}

impl Answer {
    /// The body's `data`.
    pub fn data(&self) -> Value {
        serde_json::from_str::<Value>(&self.text).map_or(Value::Null, |mut body| body["data"].take())
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The version that a strong tag begins with.
    pub fn version(&self) -> Option<i64> {
        self.header("etag")?.strip_prefix('"')?.split_once('.')?.0.parse().ok()
    }
}

impl Http {
    /// A client of these gateways.
    pub fn new(gateways: Vec<SocketAddr>, token: Option<&str>, history: Arc<History>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, gateways, token: token.map(str::to_owned), history }
    }

    /// The same as somebody else.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// Asks one of the gateways; nothing when no answer came in time.
    pub async fn ask(
        &self,
        gateway: usize,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Option<Answer> {
        let begun = self.history.now();
        let asked = self.exchange(gateway, method.clone(), path, headers, body);
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        let response = Response {
            begun,
            ended: self.history.now(),
            status: answer.as_ref().map(|answer| answer.status),
            retry_after: answer.as_ref().is_some_and(|answer| answer.header("retry-after").is_some()),
            path: format!("{method} {path}"),
        };
        if response.status.is_none_or(|status| status >= 500) {
            let text = answer.as_ref().map(|answer| answer.text.chars().take(300).collect::<String>());
            self.history.note("trouble", &serde_json::json!({"response": response, "text": text}));
        }
        self.history.records().responses.push(response);
        answer
    }

    /// A look of the harness itself: not noted.
    pub async fn glance(&self, gateway: usize, path: &str) -> Option<Answer> {
        let looked = self.exchange(gateway, Method::GET, path, &[], None);
        tokio::time::timeout(PATIENCE / 4, looked).await.ok().flatten()
    }

    fn request(
        &self,
        gateway: usize,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Request<Full<Bytes>> {
        let address = self.gateways[gateway % self.gateways.len()];
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::from(body)).expect("what the harness asks is valid HTTP")
    }

    /// An answer whose body is read as it comes; not noted.
    pub async fn open(&self, gateway: usize, path: &str, headers: &[(&str, &str)]) -> Option<Incoming> {
        let request = self.request(gateway, Method::GET, path, headers, None);
        let response = self.client.request(request).await.ok()?;
        (response.status() == 200).then(|| response.into_body())
    }

    async fn exchange(
        &self,
        gateway: usize,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Option<Answer> {
        let request = self.request(gateway, method, path, headers, body);
        let (parts, body) = self.client.request(request).await.ok()?.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Answer { status: parts.status.as_u16(), headers: parts.headers, text })
    }

    /// A call of the preparations, which must succeed.
    pub async fn prepare(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(0, method, path, &[], Some(&body)).await.expect("an answer while all is well");
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
        answer.data()
    }
}
