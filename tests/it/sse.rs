//! A reader of server-sent events (WHATWG HTML, section 9.2), as far as tests need it.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::api::Api;

/// One event.
#[derive(Debug)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

/// An open stream.
pub struct Stream {
    body: Incoming,
    text: String,
}

/// Opens a stream as who calls by this client.
pub async fn open(api: &Api, path: &str, last_event_id: Option<&str>) -> Stream {
    let headers: Vec<(&str, &str)> = last_event_id.into_iter().map(|id| ("last-event-id", id)).collect();
    let response = api.open_with(path, &headers).await;
    assert_eq!(response.status(), 200, "{path}");
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    Stream { body: response.into_body(), text: String::new() }
}

impl Stream {
    /// The next event; comments are passed over.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            assert!(self.more().await, "the stream has ended: {}", self.text);
        }
    }

    /// What is said last, when there is an end without another event.
    pub async fn end(&mut self) -> String {
        while self.more().await {
            if let Some(event) = self.take() {
                panic!("{event:?}");
            }
        }
        std::mem::take(&mut self.text)
    }

    fn take(&mut self) -> Option<Event> {
        while let Some((block, rest)) = self.text.split_once("\n\n") {
            let field = |name: &str| {
                let lines = block.lines().filter_map(|line| line.strip_prefix(&format!("{name}:")));
                lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
            };
            let (id, name, data) = (field("id"), field("event"), field("data"));
            if data.is_empty() {
                // The last words are no event: they stay.
                if rest.is_empty() {
                    return None;
                }
                self.text = rest.to_owned();
                continue;
            }
            let data = serde_json::from_str(&data).unwrap();
            self.text = rest.to_owned();
            return Some(Event { id, name, data });
        }
        None
    }

    /// More of the stream; false at its end.
    async fn more(&mut self) -> bool {
        let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
        let Some(frame) = frame.expect("something in 20 s") else { return false };
        if let Ok(data) = frame.unwrap().into_data() {
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
        true
    }
}
