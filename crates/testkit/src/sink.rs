//! A real HTTP server that writes down what it gets and answers as it was told: receivers of webhooks, CDNs.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Method.
    pub method: Method,
    /// Path and query, as sent.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// When it was complete.
    pub time: Instant,
}

impl Recorded {
    /// A header's text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text; panics when it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// What the sink answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HashMap<String, String>,
    /// Body.
    pub body: Bytes,
    /// How long it waits before it answers.
    pub delay: Duration,
}

impl Answer {
    /// An empty answer with this status, at once.
    pub fn status(status: u16) -> Self {
        Self { status, headers: HashMap::new(), body: Bytes::new(), delay: Duration::ZERO }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// After a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Decides the answer to the request that is the given one in number, from 0.
type Script = dyn Fn(&Recorded, usize) -> Answer + Send + Sync;

struct Book {
    requests: Mutex<Vec<Recorded>>,
    script: Mutex<Arc<Script>>,
    arrived: Notify,
}

/// A running HTTP server on loopback. It stops with the value.
pub struct Sink {
    book: Arc<Book>,
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Sink {
    /// Starts one that answers 200 to everything.
    pub async fn start() -> Self {
        let book = Arc::new(Book {
            requests: Mutex::default(),
            script: Mutex::new(Arc::new(|_, _| Answer::status(200))),
            arrived: Notify::new(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let running = Some(serve(listener, Arc::clone(&book)));
        Self { book, address, running }
    }

    /// From now on requests are answered by `script`; it gets the request and its number, from 0.
    pub fn answer(&self, script: impl Fn(&Recorded, usize) -> Answer + Send + Sync + 'static) {
        *self.book.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// From now on every request gets this status.
    pub fn answer_status(&self, status: u16) {
        self.answer(move |_, _| Answer::status(status));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What has come so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.book.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what has come so far.
    pub fn clear(&self) {
        self.book.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until at least `count` requests have come, and returns all; panics when they have not within `deadline`.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Recorded> {
        let arrived = async {
            loop {
                let next = self.book.arrived.notified();
                let requests = self.requests();
                if requests.len() >= count {
                    return requests;
                }
                next.await;
            }
        };
        match tokio::time::timeout(deadline, arrived).await {
            Ok(requests) => requests,
            Err(_) => {
                let paths: Vec<String> =
                    self.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
                panic!("{} of {count} requests within {deadline:?}: {paths:?}", paths.len());
            }
        }
    }

    /// Closes the port and idle connections: clients are refused until `resume`. Answers that are under way may take
    /// a second more.
    pub async fn pause(&mut self) {
        if let Some((stop, mut task)) = self.running.take() {
            drop(stop);
            if tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    /// Opens the same port again.
    pub async fn resume(&mut self) {
        if self.running.is_none() {
            let listener = TcpListener::bind(self.address).await.expect("the port is still ours");
            self.running = Some(serve(listener, Arc::clone(&self.book)));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some((_, task)) = self.running.take() {
            task.abort();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "lives as long as the sink")]
fn serve(listener: TcpListener, book: Arc<Book>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().fallback(take).with_state(book);
    let task = tokio::spawn(async move {
        let stopped = async {
            // Kept or dropped: either way the sink decides.
            let _ = stopped.await;
        };
        let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
    });
    (stop, task)
}

async fn take(State(book): State<Arc<Book>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let recorded = Recorded { method: head.method, path, headers: head.headers, body, time: Instant::now() };
    let script = Arc::clone(&book.script.lock().unwrap_or_else(PoisonError::into_inner));
    let answer = {
        let mut requests = book.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = script(&recorded, requests.len());
        requests.push(recorded);
        answer
    };
    book.arrived.notify_waiters();
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).expect("the script's answer is valid HTTP")
}
