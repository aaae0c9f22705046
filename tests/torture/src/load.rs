//! Clients: who writes, who appends to lists, who reads, who logs in and out. All by the seed, each with a stream of
//! chances of its own; all stop when they are told.

mod append;
mod operation;
mod read;
mod session;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::ground::Ground;
use crate::history::History;
use crate::tier::Tier;

/// Keys that everybody writes.
pub const HOT: usize = 100;
/// Lists that are appended to, a few at a time.
pub const LISTS: usize = 500;

/// What all clients share.
#[derive(Clone)]
struct Shared {
    ground: Arc<Ground>,
    history: Arc<History>,
    seed: u64,
    stop: Arc<AtomicBool>,
    /// Appends to lists, of all clients.
    appended: Arc<AtomicUsize>,
}

impl Shared {
    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts all clients.
    pub fn start(tier: &Tier, seed: u64, ground: &Arc<Ground>, history: &Arc<History>) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let (ground, history) = (Arc::clone(ground), Arc::clone(history));
        let shared = Shared { ground, history, seed, stop: Arc::clone(&stop), appended: Arc::default() };
        let mut clients = Vec::new();
        for number in 0..tier.writers {
            clients.push(crate::spawn(write::run(shared.clone(), number, tier.think)));
        }
        for number in 0..3 {
            clients.push(crate::spawn(append::run(shared.clone(), number, tier.think)));
        }
        for number in 0..2 {
            clients.push(crate::spawn(read::run(shared.clone(), number, tier.think)));
        }
        clients.push(crate::spawn(session::run(shared)));
        Self { stop, clients }
    }

    /// Lets every client end what it has begun.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client does not panic");
        }
    }
}

/// Makes what the clients write, and who is told of it; gives the secret that signs webhooks.
pub async fn prepare(ground: &Ground) -> String {
    let http = &ground.http;
    let key = json!({"field": "id", "type": "string", "schema": {"is_primary_key": true}});
    let token = json!({"field": "token", "type": "string"});
    let lines = json!({"field": "lines", "type": "alias", "meta": {"special": ["o2m"]}});
    let owner = json!({"field": "order", "type": "string"});
    let values = json!({"field": "values", "type": "json"});
    for (name, fields) in [
        ("things", json!([key, token])),
        ("orders", json!([key, token, lines])),
        ("order_lines", json!([key, token, owner])),
        ("lists", json!([key, values])),
        ("poisons", json!([key, token])),
    ] {
        let body = json!({"collection": name, "schema": {}, "meta": {}, "fields": fields});
        http.prepare(Method::POST, "/collections", body).await;
    }
    let relation = json!({"collection": "order_lines", "field": "order", "related_collection": "orders",
        "meta": {"one_field": "lines"}});
    http.prepare(Method::POST, "/relations", relation).await;
    let lists: Vec<Value> = (0..LISTS).map(|list| json!({"id": format!("l{list}"), "values": []})).collect();
    http.prepare(Method::POST, "/items/lists", Value::Array(lists)).await;
    let url = format!("http://{}/hook", ground.proxies["webhooks-sink"].address);
    let endpoint = json!({"url": url, "events": ["items.*.things"]});
    let endpoint = http.prepare(Method::POST, "/webhooks/endpoints", endpoint).await;
    endpoint["secret"].as_str().expect("an endpoint has a secret").to_owned()
}

/// The trace that a client begins with a write, known by the write's token.
pub fn trace(seed: u64, token: &str) -> String {
    let mut rng = crate::rng::Rng::of(seed, token);
    // All zeros would be no trace.
    format!("{:016x}{:016x}", rng.number() | 1, rng.number())
}
