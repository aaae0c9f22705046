//! A reader of server-sent events (WHATWG HTML, section 9.2), as far as tests need it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::api::Api;
use crate::world::TOKEN;

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

/// Opens a stream as the administrator.
pub async fn open(api: &Api, path: &str, last_event_id: Option<&str>) -> Stream {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request =
        Request::get(format!("{}{path}", api.base())).header("authorization", format!("Bearer {TOKEN}"));
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let response = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    Stream { body: response.into_body(), text: String::new() }
}

impl Stream {
    /// The next event; comments are passed over.
    pub async fn next(&mut self) -> Event {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.strip_prefix(&format!("{name}:")));
                    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                if !field("data").is_empty() {
                    let data = serde_json::from_str(&field("data")).unwrap();
                    return Event { id: field("id"), name: field("event"), data };
                }
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let frame = frame.expect("an event in 20 s").expect("an open stream").unwrap();
            if let Ok(data) = frame.into_data() {
                self.text.push_str(std::str::from_utf8(&data).unwrap());
            }
        }
    }
}
