//! What bench/spine needs a fast client for. Started by `bench/run --spine`.
//!
//! `spine pace PORT RATE SECONDS`: changes at a rate that does not wait for answers. `spine fill PORT EVENTS WRITERS
//! PAUSE`: creates by the hundred and thousand, with pauses of up to so many milliseconds before each, one request of
//! twenty refused by the database. `spine stream URL NAME FILE`: everything that a stream holds, as lines. `spine limit
//! URL EVENTS`: what the server takes by itself. Each prints one JSON object.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own: the machine's clock, and nothing to drain"
)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::pull, stream::Config};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const TOKEN: &str = "bench-admin-static-token-0001";
/// Items that are changed at a rate, in turns.
const ITEMS: u64 = 1_000;
/// Messages under way at once where the server's limit is looked for, as many as the relay has.
const WINDOW: usize = 1_000;
/// Bytes of a message there: about what an event has.
const BODY: usize = 512;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Api {
    fn new(port: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: format!("http://127.0.0.1:{port}") }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<StatusCode, Failure> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        let request = request.header("content-type", "application/json");
        let response = self.client.request(request.body(Full::from(body.to_string()))?).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok(status)
    }

    async fn must(&self, method: Method, path: &str, body: &Value) -> Result<(), Failure> {
        match self.send(method, path, body).await? {
            status if status.is_success() => Ok(()),
            status => Err(format!("{path}: {status}").into()),
        }
    }
}

/// Every other change is an update of one of a thousand items, the others are new items.
async fn pace(port: &str, rate: u64, seconds: u64) -> Result<Value, Failure> {
    let api = Api::new(port);
    let items: Vec<Value> = (0..ITEMS).map(|n| json!({"title": format!("paced {n}")})).collect();
    api.must(Method::POST, "/items/paced?fields=id", &json!(items)).await?;
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / rate));
    let (begun, mut changes, mut refused) = (Instant::now(), JoinSet::new(), 0);
    for number in 0..rate * seconds {
        // A tick that comes late is made up for: answers that take long don't slow the load down.
        ticks.tick().await;
        let api = api.clone();
        changes.spawn(async move {
            let body = json!({"title": format!("changed {number}"), "words": number});
            match number % 2 {
                0 => api.send(Method::POST, "/items/paced?fields=id", &body).await,
                _ => {
                    let path = format!("/items/paced/{}?fields=id", number / 2 % ITEMS + 1);
                    api.send(Method::PATCH, &path, &body).await
                }
            }
        });
        while let Some(answer) = changes.try_join_next() {
            refused += u64::from(!answer??.is_success());
        }
    }
    let took = begun.elapsed().as_secs_f64();
    while let Some(answer) = changes.join_next().await {
        refused += u64::from(!answer??.is_success());
    }
    Ok(json!({"changes": rate * seconds, "refused": refused, "seconds": took}))
}

/// A small generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below.max(1)
    }
}

/// One writer: its share of the events, in requests of one to `together` items.
async fn writer(api: Api, number: u64, share: u64, together: u64, pause: u64) -> Result<[u64; 2], Failure> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ ((number + 1) << 20));
    let (mut stored, mut refused, mut request) = (0, 0, 0);
    while stored < share {
        tokio::time::sleep(Duration::from_millis(dice.roll(pause + 1))).await;
        let count = if pause == 0 { together } else { 1 + dice.roll(together) }.min(share - stored);
        // The database refuses the last item of some: its slug is the first one's.
        let bad = pause > 0 && count > 1 && dice.roll(20) == 0;
        let slug = |item| format!("{number}-{request}-{}", if bad && item == count - 1 { 0 } else { item });
        let items: Vec<Value> =
            (0..count).map(|item| json!({"title": "filled", "slug": slug(item), "words": item})).collect();
        let status = api.send(Method::POST, "/items/filled?fields=id", &json!(items)).await?;
        match status.is_success() {
            true => stored += count,
            false if bad => refused += 1,
            false => return Err(format!("filling: {status}").into()),
        }
        request += 1;
    }
    Ok([stored, refused])
}

async fn fill(port: &str, events: u64, writers: u64, pause: u64) -> Result<Value, Failure> {
    let (api, begun, mut all) = (Api::new(port), Instant::now(), JoinSet::new());
    let together = if pause == 0 { 1_000 } else { 400 };
    for number in 0..writers {
        let share = events / writers + u64::from(number < events % writers);
        all.spawn(writer(api.clone(), number, share, together, pause));
    }
    let mut sums = [0, 0];
    while let Some(done) = all.join_next().await {
        let [stored, refused] = done??;
        sums = [sums[0] + stored, sums[1] + refused];
    }
    Ok(json!({"events": sums[0], "refused": sums[1], "seconds": begun.elapsed().as_secs_f64()}))
}

/// `position id` of each message, in the stream's order.
async fn stream(url: &str, name: &str, file: &str) -> Result<Value, Failure> {
    let bus = jetstream::new(async_nats::connect(url).await?);
    let stream = bus.get_stream(name).await?;
    let count = stream.cached_info().state.messages;
    let settings = pull::OrderedConfig::default();
    let mut messages = stream.create_consumer(settings).await?.messages().await?;
    let mut lines = std::io::BufWriter::new(std::fs::File::create(file)?);
    for _ in 0..count {
        let message = messages.try_next().await?.ok_or("the stream ended")?;
        let headers = message.headers.as_ref().ok_or("a message without headers")?;
        let header = |name: &str| headers.get(name).map_or("", |value| value.as_str());
        writeln!(lines, "{} {}", header("ce-sequence"), header("ce-id"))?;
    }
    lines.flush()?;
    Ok(json!({"messages": count}))
}

/// What the server acknowledges when a client does nothing but publish: so many under way at once, with ids.
async fn limit(url: &str, events: u64) -> Result<Value, Failure> {
    let bus = jetstream::new(async_nats::connect(url).await?);
    let config = Config { name: "LIMIT".into(), subjects: vec!["limit.>".into()], ..Config::default() };
    bus.create_stream(config).await?;
    let (begun, body) = (Instant::now(), Bytes::from(vec![b'x'; BODY]));
    let bus = Arc::new(bus);
    let sent = futures_util::stream::iter(0..events).then(|number| {
        let (bus, body) = (Arc::clone(&bus), body.clone());
        async move {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", format!("limit-{number}"));
            bus.publish_with_headers("limit.x", headers, body).await
        }
    });
    let acks = sent.map_ok(std::future::IntoFuture::into_future).try_buffered(WINDOW);
    let acked = acks.try_fold(0_u64, |count, _| async move { Ok(count + 1) }).await?;
    let rate = acked as f64 / begun.elapsed().as_secs_f64();
    bus.delete_stream("LIMIT").await?;
    Ok(json!({"rate": rate}))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match words.as_slice() {
        ["pace", port, rate, seconds] => pace(port, rate.parse()?, seconds.parse()?).await?,
        ["fill", port, events, writers, pause] => {
            fill(port, events.parse()?, writers.parse()?, pause.parse()?).await?
        }
        ["stream", url, name, file] => stream(url, name, file).await?,
        ["limit", url, events] => limit(url, events.parse()?).await?,
        _ => return Err("usage: spine pace|fill|stream|limit ...".into()),
    };
    println!("{said}");
    Ok(())
}
