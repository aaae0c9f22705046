//! What is there in the end: the log, the items, the stream, and what every consumer made of it.

use std::collections::{BTreeMap, HashMap};

use async_nats::jetstream::{self, consumer::pull::OrderedConfig};
use futures_util::StreamExt as _;
use serde_json::Value;
use standardwebhooks::Webhook;

use crate::ground::Ground;
use crate::history::History;

/// Everything that the checkers compare.
#[derive(Debug, Default)]
pub struct Facts {
    /// The log, in the order of positions.
    pub events: Vec<Event>,
    /// The token of each item that is there, by collection and key.
    pub rows: BTreeMap<(String, String), String>,
    /// The version that is kept of each item.
    pub heads: BTreeMap<(String, String), i64>,
    /// What stands in each list.
    pub lists: BTreeMap<String, Vec<String>>,
    /// The stream, in its order: id and position.
    pub stream: Vec<(String, i64)>,
    /// Positions that came over server-sent events, in their order.
    pub followed: Vec<i64>,
    /// Runs of the action hook: event, and when its transaction began.
    pub runs: HashMap<String, f64>,
    /// States of deliveries by event.
    pub deliveries: HashMap<String, Vec<String>>,
    /// What the receiver of webhooks got.
    pub receipts: Vec<Receipt>,
    /// Purges that the CDN accepted: key, and when.
    pub purges: Vec<(String, u64)>,
    /// Counts of the read model by day, collection and action.
    pub daily: BTreeMap<(String, String, String), i64>,
    /// Dead letters: consumer and event.
    pub dead: Vec<(String, String)>,
    /// Ticks of schedule hooks: hook, tick, whether it ended.
    pub ticks: Vec<(String, String, bool)>,
    /// Ticks of the bundled schedule that fell into the run.
    pub due: Vec<String>,
}

/// An event of the log.
#[derive(Debug, Clone)]
pub struct Event {
    pub position: i64,
    pub id: String,
    pub name: String,
    pub collection: String,
    pub key: String,
    pub version: i64,
    pub request_id: Option<String>,
    pub traceparent: Option<String>,
    pub day: String,
    /// Nanoseconds of the history's clock.
    pub at: i64,
}

/// A request to the receiver of webhooks.
#[derive(Debug)]
pub struct Receipt {
    /// The event that the body names.
    pub event: String,
    /// `webhook-id`.
    pub webhook: String,
    /// The signature is right.
    pub signed: bool,
    /// The `traceparent` that came with it.
    pub traceparent: String,
    /// The receiver accepted it.
    pub accepted: bool,
}

/// Collections whose items have the token of their last write.
pub const TOKENS: [&str; 3] = ["things", "orders", "order_lines"];

/// Looks at everything.
///
/// # Panics
/// When a server does not answer: everything is healed, so the run has failed.
pub async fn look(ground: &Ground, history: &History, secret: &str) -> Facts {
    let mut facts = Facts::default();
    log(ground, history, &mut facts).await;
    consumers(ground, history, &mut facts).await;
    facts.stream = stream(ground).await;
    received(ground, history, secret, &mut facts);
    facts
}

/// Nanoseconds since 1970 by the database's clock when the run began.
async fn epoch(ground: &Ground, history: &History) -> i64 {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint";
    let now: i64 = sqlx::query_scalar(sql).fetch_one(&ground.pool).await.expect("the database is there");
    now - i64::try_from(history.now()).unwrap_or(0)
}

type Row = (i64, String, String, String, String, i64, Option<String>, Option<String>, String, i64);

fn event(row: Row) -> Event {
    let (position, id, name, collection, key, version, request_id, traceparent, day, at) = row;
    Event { position, id, name, collection, key, version, request_id, traceparent, day, at }
}

async fn log(ground: &Ground, history: &History, facts: &mut Facts) {
    let pool = &ground.pool;
    let sql = "SELECT position, id::text, name, collection, key, version, request_id, traceparent, \
               (time AT TIME ZONE 'UTC')::date::text AS day, (extract(epoch FROM time) * 1e9)::bigint - $1 AS at \
               FROM eventus.events ORDER BY position";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(epoch(ground, history).await)
        .fetch_all(pool)
        .await
        .expect("the log is there");
    facts.events = rows.into_iter().map(event).collect();
    for (collection, sql) in TOKENS.into_iter().zip([
        "SELECT id, coalesce(token, '') FROM things",
        "SELECT id, coalesce(token, '') FROM orders",
        "SELECT id, coalesce(token, '') FROM order_lines",
    ]) {
        let rows: Vec<(String, String)> =
            sqlx::query_as(sql).fetch_all(pool).await.expect("the items are there");
        facts.rows.extend(rows.into_iter().map(|(key, token)| ((collection.to_owned(), key), token)));
    }
    let heads: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT collection, key, version FROM eventus.heads")
            .fetch_all(pool)
            .await
            .expect("the heads are there");
    facts.heads = heads.into_iter().map(|(collection, key, version)| ((collection, key), version)).collect();
    let lists: Vec<(String, Value)> = sqlx::query_as("SELECT id, values::jsonb FROM lists")
        .fetch_all(pool)
        .await
        .expect("the lists are there");
    let values = |value| serde_json::from_value(value).expect("a list is a list of texts");
    facts.lists = lists.into_iter().map(|(list, value)| (list, values(value))).collect();
}

async fn consumers(ground: &Ground, history: &History, facts: &mut Facts) {
    let pool = &ground.pool;
    let runs: Vec<(String, f64)> = sqlx::query_as(
        "SELECT event_id::text, extract(epoch FROM time)::float8 FROM eventus.hook_runs WHERE hook = 'log_change'",
    )
    .fetch_all(pool)
    .await
    .expect("the runs are there");
    facts.runs = runs.into_iter().collect();
    let deliveries: Vec<(String, String)> =
        sqlx::query_as("SELECT event_id::text, state FROM eventus.webhook_deliveries")
            .fetch_all(pool)
            .await
            .expect("the deliveries are there");
    for (event, state) in deliveries {
        facts.deliveries.entry(event).or_default().push(state);
    }
    facts.daily = daily(ground).await;
    facts.dead = sqlx::query_as("SELECT consumer, event_id::text FROM eventus.dead_letters")
        .fetch_all(pool)
        .await
        .expect("the dead letters are there");
    facts.ticks = sqlx::query_as(
        "SELECT hook, scheduled_at::text, finished IS NOT NULL FROM eventus.schedule_runs ORDER BY 1, 2",
    )
    .fetch_all(pool)
    .await
    .expect("the ticks are there");
    // Every ten minutes; a tick of the last seconds may still be under way.
    let sql = "SELECT tick::text FROM generate_series(date_trunc('hour', now()) - interval '1 day', now(), '10 minutes') tick \
               WHERE tick > now() - $1 * interval '1 second' + interval '30 seconds' AND tick < now() - interval '30 seconds'";
    let age = history.now() as f64 / 1e9;
    facts.due = sqlx::query_scalar(sql).bind(age).fetch_all(pool).await.expect("the database is there");
}

/// The counts as they are.
pub async fn daily(ground: &Ground) -> BTreeMap<(String, String, String), i64> {
    let sql = "SELECT day::text, collection, action, count FROM eventus.analytics_daily";
    let counts: Vec<(String, String, String, i64)> =
        sqlx::query_as(sql).fetch_all(&ground.pool).await.expect("the counts are there");
    counts.into_iter().map(|(day, collection, action, count)| ((day, collection, action), count)).collect()
}

/// The stream from its beginning to its end.
pub async fn stream(ground: &Ground) -> Vec<(String, i64)> {
    let client = ground.nats.lock().await.client().await;
    let stream = jetstream::new(client).get_stream("EVENTS").await.expect("the stream is there");
    let wanted = usize::try_from(stream.cached_info().state.messages).unwrap_or(usize::MAX);
    let mut found = Vec::with_capacity(wanted);
    if wanted == 0 {
        return found;
    }
    let consumer = stream.create_consumer(OrderedConfig::default()).await.expect("a consumer can be made");
    let mut messages = consumer.messages().await.expect("the stream can be read");
    while found.len() < wanted {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), messages.next()).await;
        let message = next.expect("the stream is as long as it says").expect("no end").expect("a message");
        let header = |name: &str| {
            message.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string)
        };
        let position = header("ce-sequence").and_then(|text| text.parse().ok()).unwrap_or(-1);
        found.push((header("ce-id").unwrap_or_default(), position));
    }
    found
}

fn received(ground: &Ground, history: &History, secret: &str, facts: &mut Facts) {
    let webhook = Webhook::new(secret).expect("the secret is one");
    for receipt in ground.webhooks.receipts() {
        let request = receipt.request;
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        facts.receipts.push(Receipt {
            event: body["data"]["id"].as_str().unwrap_or_default().to_owned(),
            webhook: request.header("webhook-id").to_owned(),
            signed: is_signed(&webhook, &request),
            traceparent: request.header("traceparent").to_owned(),
            accepted: receipt.status == 200,
        });
    }
    for receipt in ground.cdn.receipts() {
        if receipt.status == 200
            && let Some(key) = receipt.request.path.strip_prefix("/purge/")
        {
            facts.purges.push((key.to_owned(), history.at(receipt.request.time)));
        }
    }
}

/// The signature is right for its time, which was long ago by now.
fn is_signed(webhook: &Webhook, request: &testkit::Recorded) -> bool {
    let Ok(time) = request.header("webhook-timestamp").parse() else { return false };
    let right = webhook.sign(request.header("webhook-id"), time, &request.body);
    right.is_ok_and(|right| request.header("webhook-signature").split(' ').any(|one| one == right))
}
