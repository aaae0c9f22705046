//! Who follows the log over server-sent events, from its beginning: whenever the stream ends, it goes on behind the last
//! id that it has seen, at the other gateway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::task::JoinHandle;

use crate::http::Http;

/// Nothing for so long, not even a heartbeat: the connection is dead and nobody says so.
const SILENCE: Duration = Duration::from_secs(20);

/// A follower at work.
pub struct Follower {
    seen: Arc<Mutex<Vec<i64>>>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins.
    pub fn start(http: Http) -> Self {
        let seen: Arc<Mutex<Vec<i64>>> = Arc::default();
        let task = crate::spawn(follow(http, Arc::clone(&seen)));
        Self { seen, task }
    }

    /// Waits until it has come to this position, or for too long; gives all that it has seen.
    pub async fn end(self, last: i64, bound: Duration) -> Vec<i64> {
        let begun = Instant::now();
        while begun.elapsed() < bound && self.last() < last {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.task.abort();
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn last(&self) -> i64 {
        last(&self.seen)
    }
}

fn last(seen: &Mutex<Vec<i64>>) -> i64 {
    seen.lock().unwrap_or_else(PoisonError::into_inner).last().copied().unwrap_or(0)
}

async fn follow(http: Http, seen: Arc<Mutex<Vec<i64>>>) {
    for gateway in 0.. {
        let id = last(&seen).to_string();
        let headers = [("last-event-id", id.as_str())];
        let opened = http.open(gateway, "/events", &headers);
        if let Ok(Some(body)) = tokio::time::timeout(SILENCE, opened).await {
            read(body, &seen).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Reads until the stream ends, breaks or is mute.
async fn read(mut body: Incoming, seen: &Mutex<Vec<i64>>) {
    let mut rest = Vec::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, body.frame()).await {
        let Ok(data) = frame.into_data() else { continue };
        rest.extend_from_slice(&data);
        // An event counts when it is whole: it ends with an empty line.
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = rest.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let id = event.lines().find_map(|line| line.strip_prefix("id:")?.trim().parse().ok());
            // An id alone says how far the log was read.
            let told = event.lines().any(|line| line.starts_with("data:"));
            if let Some(id) = id.filter(|_| told) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            }
        }
    }
}
