//! Many listeners of `/events/:collection`, and what they hear of some changes a second. Started by `bench/run --listen`.
//!
//! `listeners PORT ADMIN_PORT PID LISTENERS RATE SECONDS`; the fleet's administrator has the token of bench/run. All
//! listeners are one user whose policy lets him read the live items of one collection: one group, judged by SQL. Each
//! change carries the moment before its request was sent, so what is measured has the write in it.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own: the machine's clock, and nothing to drain"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const ADMIN: &str = "bench-admin-static-token-0001";
const LISTENER: &str = "bench-listener-static-token-01";
const ITEMS: u64 = 100;
/// Streams that are opened at a time.
const OPENING: usize = 64;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Door {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Door {
    async fn text(&self, method: Method, path: &str, body: Option<Value>) -> Result<String, Failure> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {ADMIN}"));
        let request = request.header("content-type", "application/json");
        let body = Bytes::from(body.map_or_else(String::new, |body| body.to_string()));
        let response = self.client.request(request.body(Full::from(body))?).await?;
        let status = response.status();
        let text = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
        if status.is_success() { Ok(text) } else { Err(format!("{path}: {status} {text}").into()) }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        Ok(serde_json::from_str::<Value>(&self.text(Method::POST, path, Some(body)).await?)?["data"].take())
    }

    /// A counter of the process, all labels together.
    async fn counter(&self, name: &str) -> Result<f64, Failure> {
        let text = self.text(Method::GET, "/metrics", None).await?;
        let own = |line: &&str| line.split([' ', '{']).next() == Some(name);
        Ok(text.lines().filter(own).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

fn resident(pid: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("no VmRSS")?.parse()?)
}

async fn seed(api: &Door) -> Result<(), Failure> {
    let text = |name: &str| json!({"field": name, "type": "string"});
    let fields = [text("sent"), text("status"), text("hidden")];
    api.post("/collections", json!({"collection": "listened", "schema": {}, "fields": fields})).await?;
    let items: Vec<Value> = (0..ITEMS).map(|_| json!({"status": "live", "sent": "0"})).collect();
    api.post("/items/listened", json!(items)).await?;
    let policy = api.post("/policies", json!({"name": "listeners"})).await?["id"].take();
    let rule = json!({"policy": policy, "collection": "listened", "action": "read", "fields": ["id", "sent"],
        "permissions": {"status": {"_eq": "live"}}});
    api.post("/permissions?fields=id", rule).await?;
    let user = json!({"email": "listener@example.com", "password": "a-password", "token": LISTENER});
    let user = api.post("/users", user).await?["id"].take();
    api.post("/access", json!({"policy": policy, "user": user})).await?;
    Ok(())
}

/// What all listeners tell.
#[derive(Clone)]
struct Ears {
    heard: Arc<AtomicU64>,
    again: Arc<AtomicU64>,
    delays: mpsc::UnboundedSender<u32>,
}

/// Opens a stream, behind an event if there is one.
async fn connect(port: u16, last: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET /events/listened HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {LISTENER}\r\n\
         last-event-id: {last}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // The head, and no byte of what follows it.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("HTTP/1.1 200") {
        Ok(stream)
    } else {
        Err(head.lines().next().unwrap_or_default().into())
    }
}

/// Opens a stream; from then on what it hears is counted, and where it ends it is opened again behind what was heard.
async fn open(port: u16, ears: Ears) -> Result<(), Failure> {
    let mut stream = loop {
        match connect(port, "").await {
            Err(error) if error.to_string().contains(" 503 ") => {
                tokio::time::sleep(Duration::from_secs(1)).await
            }
            opened => break opened?,
        }
    };
    tokio::task::spawn(async move {
        let mut last = String::new();
        loop {
            listen(&mut stream, &ears, &mut last).await;
            ears.again.fetch_add(1, Ordering::Relaxed);
            stream = loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if let Ok(stream) = connect(port, &last).await {
                    break stream;
                }
            };
        }
    });
    Ok(())
}

/// Until the stream ends.
async fn listen(stream: &mut TcpStream, ears: &Ears, last: &mut String) {
    let (mut buffer, mut text) = (vec![0; 4_096], String::new());
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let at = now();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        while let Some(end) = text.find("\n\n") {
            let block = &text[..end];
            if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                id.clone_into(last);
            }
            if let Some((_, sent)) = block.split_once("\"payload\":{\"sent\":\"") {
                let sent = sent.split('"').next().and_then(|sent| sent.parse::<u64>().ok());
                ears.heard.fetch_add(1, Ordering::Relaxed);
                let delay = at.saturating_sub(sent.unwrap_or(at));
                let _ = ears.delays.send(u32::try_from(delay).unwrap_or(u32::MAX));
            }
            text.drain(..end + 2);
        }
    }
}

async fn open_all(port: u16, count: u64, ears: &Ears) -> Result<(), Failure> {
    let places = Arc::new(tokio::sync::Semaphore::new(OPENING));
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..count {
        let place = Arc::clone(&places).acquire_owned().await?;
        let ears = ears.clone();
        opening.spawn(async move {
            let opened = open(port, ears).await;
            drop(place);
            opened
        });
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(())
}

/// So many changes a second for so many seconds; how many that were. Who is told to come again does.
async fn change(api: &Door, rate: u64, seconds: u64, again: &Arc<AtomicU64>) -> Result<u64, Failure> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..rate * seconds {
        ticks.tick().await;
        let (api, path) = (api.clone(), format!("/items/listened/{}", number % ITEMS + 1));
        let again = Arc::clone(again);
        writes.spawn(async move {
            loop {
                // Of every other change something is hidden, too.
                let body = json!({"sent": now().to_string(), "hidden": (number / 2).to_string()});
                match api.text(Method::PATCH, &path, Some(body)).await {
                    Err(error) if error.to_string().contains(": 503") => {
                        again.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    written => return written,
                }
            }
        });
    }
    let mut count = 0;
    while let Some(written) = writes.join_next().await {
        written??;
        count += 1;
    }
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, admin, pid, listeners, rate, seconds] = arguments.as_slice() else {
        return Err("usage: listeners PORT ADMIN_PORT PID LISTENERS RATE SECONDS".into());
    };
    let client = Client::builder(TokioExecutor::new()).build_http();
    let door = |port: &str| Door { client: client.clone(), base: format!("http://127.0.0.1:{port}") };
    let (api, metrics) = (door(port), door(admin));
    let (listeners, rate, seconds): (u64, u64, u64) = (listeners.parse()?, rate.parse()?, seconds.parse()?);
    seed(&api).await?;
    let (delays, mut received) = mpsc::unbounded_channel();
    let ears = Ears { heard: Arc::default(), again: Arc::default(), delays };
    open_all(port.parse()?, 1, &ears).await?;
    let before = resident(pid)?;
    let begun = Instant::now();
    open_all(port.parse()?, listeners - 1, &ears).await?;
    let opened = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = resident(pid)?;
    let counters = ["eventus_live_reads_total", "eventus_live_behind_total", "eventus_live_judged_total"];
    let mut was = Vec::new();
    for name in counters {
        was.push(metrics.counter(name).await?);
    }
    let again = Arc::new(AtomicU64::new(0));
    let changes = change(&api, rate, seconds, &again).await?;
    let (expected, begun) = (changes * listeners, Instant::now());
    while ears.heard.load(Ordering::Relaxed) < expected && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = Vec::new();
    while let Ok(delay) = received.try_recv() {
        all.push(f64::from(delay) / 1_000.0);
    }
    all.sort_unstable_by(f64::total_cmp);
    let quantile = |share: usize| all.get((all.len() * share / 1_000).min(all.len().saturating_sub(1)));
    let of = |share| quantile(share).copied().unwrap_or(f64::NAN);
    println!(
        "{listeners} listeners in one group, opened in {opened:.1} s; {} groups",
        metrics.counter("eventus_live_groups").await?
    );
    println!(
        "resident: {:.1} KB each while idle",
        (idle.saturating_sub(before)) as f64 / (listeners - 1) as f64
    );
    println!("resident after the changes: {} MB", resident(pid)? / 1_024);
    println!("writes that were answered with 503 and tried again: {}", again.load(Ordering::Relaxed));
    println!("streams that ended and were opened again: {}", ears.again.load(Ordering::Relaxed));
    println!("{changes} changes, {rate}/s: heard {} of {expected}", all.len());
    println!("request sent -> heard, ms: p50 {:.1}, p99 {:.1}, most {:.1}", of(500), of(990), of(1_000));
    for (name, was) in counters.into_iter().zip(was) {
        println!("{name}: {}", metrics.counter(name).await? - was);
    }
    Ok(())
}
