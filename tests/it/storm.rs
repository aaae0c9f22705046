//! Creates by many clients while something dies, and what must be true when all has settled: nothing acknowledged is
//! lost, nothing has two effects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::world::{Options, Shape, World};

/// Creates per storm.
pub const ITEMS: usize = 2_000;
/// Clients at once.
const CLIENTS: usize = 8;

/// A fleet with a webhook receiver and a plain NATS subscriber that count for themselves.
pub struct Storm {
    pub world: World,
    receiver: testkit::Sink,
    /// Where changed items are purged, for storms that look at purges.
    cdn: Option<testkit::Sink>,
    subscriber: Arc<Mutex<BTreeMap<String, usize>>>,
    listening: tokio::task::JoinHandle<()>,
    /// The broker dies: a plain subscriber misses what comes before it is back.
    broker_dies: bool,
}

impl Storm {
    pub async fn start(shape: Shape) -> Self {
        Self::over(World::start(shape).await, None).await
    }

    pub async fn with_cdn(shape: Shape) -> Self {
        let cdn = testkit::Sink::start().await;
        let options =
            Options::default().set("CDN_URL", cdn.url("")).set("EVENTUS_CDN_COLLECTIONS", "articles");
        Self::over(World::with(shape, options).await, Some(cdn)).await
    }

    pub async fn over(world: World, cdn: Option<testkit::Sink>) -> Self {
        let receiver = testkit::Sink::start().await;
        world.collection("articles", json!([{"field": "token", "type": "string"}])).await;
        let endpoint = json!({"url": receiver.url("/"), "events": ["items.create.articles"]});
        world.api.post("/webhooks/endpoints", endpoint).await.expect(200);
        let subscriber = Arc::new(Mutex::new(BTreeMap::new()));
        let listening = listen(&world.nats, Arc::clone(&subscriber)).await;
        Self { world, receiver, cdn, subscriber, listening, broker_dies: false }
    }

    /// A storm in which the broker dies.
    pub fn without_broker(self) -> Self {
        Self { broker_dies: true, ..self }
    }

    /// Sends all creates; does `harm` when a third of them is acknowledged. Gives the acknowledged tokens.
    pub async fn rage(&mut self, harm: impl AsyncFnOnce(&mut World)) -> BTreeSet<String> {
        let acked = Arc::new(Mutex::new(BTreeSet::new()));
        let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (api, acked, next, done) =
                    (self.world.api.clone(), Arc::clone(&acked), Arc::clone(&next), Arc::clone(&done));
                spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= ITEMS {
                            return;
                        }
                        create(&api, &format!("t{number}"), &acked).await;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        testkit::eventually(Duration::from_secs(120), || async { done.load(Ordering::Relaxed) > ITEMS / 3 })
            .await;
        harm(&mut self.world).await;
        for client in clients {
            client.await.unwrap();
        }
        Arc::into_inner(acked).unwrap().into_inner()
    }

    /// Every acknowledged item exists; every item has one event, one count, one delivery; receivers saw all.
    pub async fn settle(self, acked: &BTreeSet<String>) {
        let Self { world, receiver, cdn, subscriber, listening, broker_dies } = self;
        world.quiet(Duration::from_secs(60)).await;
        let pool = world.pool().await;
        let tokens: Vec<String> =
            sqlx::query_scalar("SELECT token FROM articles").fetch_all(&pool).await.unwrap();
        let stored: BTreeSet<String> = tokens.iter().cloned().collect();
        assert_eq!(stored.len(), tokens.len(), "no token is stored twice");
        assert!(acked.is_subset(&stored), "lost: {:?}", acked.difference(&stored).collect::<Vec<_>>());
        let items = i64::try_from(stored.len()).unwrap();
        counted(&pool, items).await;
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id::text FROM eventus.events WHERE name = 'items.create'")
                .fetch_all(&pool)
                .await
                .unwrap();
        let ids: BTreeSet<String> = ids.into_iter().collect();
        testkit::eventually(Duration::from_secs(20), || async {
            let seen: BTreeSet<_> = subscriber.lock().await.keys().cloned().collect();
            if broker_dies { seen.is_subset(&ids) } else { seen == ids }
        })
        .await;
        streamed(&world.nats, &ids).await;
        let mut received = BTreeMap::<String, BTreeSet<String>>::new();
        for request in receiver.requests() {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let event = body["data"]["id"].as_str().unwrap().to_owned();
            received.entry(event).or_default().insert(request.header("webhook-id").to_owned());
        }
        assert_eq!(received.keys().cloned().collect::<BTreeSet<_>>(), ids, "the receiver saw every event");
        assert!(received.values().all(|ids| ids.len() == 1), "one webhook-id per event over all attempts");
        if let Some(cdn) = cdn {
            let keys: Vec<String> =
                sqlx::query_scalar("SELECT id::text FROM articles").fetch_all(&pool).await.unwrap();
            let expected: BTreeSet<String> = keys.iter().map(|key| format!("/purge/{key}")).collect();
            let purged: BTreeSet<String> = cdn.requests().into_iter().map(|request| request.path).collect();
            assert_eq!(purged, expected, "every item was purged");
        }
        listening.abort();
    }
}

/// One event, one count, one recorded success, one hook run per item.
async fn counted(pool: &sqlx::PgPool, items: i64) {
    let one = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap();
    let name = "name = 'items.create' AND collection = 'articles'";
    assert_eq!(
        one("SELECT count(*) FROM eventus.events WHERE name = 'items.create' AND collection = 'articles'")
            .await,
        items,
        "{name}"
    );
    assert_eq!(
        one("SELECT count(DISTINCT key) FROM eventus.events WHERE name = 'items.create' AND collection = 'articles'").await,
        items
    );
    assert_eq!(
        one("SELECT count FROM eventus.analytics_daily WHERE collection = 'articles' AND action = 'create'")
            .await,
        items
    );
    assert_eq!(one("SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'succeeded'").await, items);
    assert_eq!(one("SELECT count(*) FROM eventus.webhook_deliveries WHERE state <> 'succeeded'").await, 0);
    assert_eq!(
        one("SELECT count(*) FROM eventus.hook_runs WHERE hook = 'log_change' AND event = 'items.create'")
            .await,
        items
    );
}

/// One create, tried until it is answered; an item that may have been stored already is looked for first.
async fn create(api: &crate::api::Api, token: &str, acked: &Mutex<BTreeSet<String>>) {
    let body = json!({"token": token}).to_string();
    let headers: &[(&str, &str)] = &[("content-type", "application/json")];
    match api.raw(http::Method::POST, "/items/articles", headers, body).await {
        Ok(answer) if answer.status == 200 => {
            acked.lock().await.insert(token.to_owned());
        }
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{}", answer.text);
            assert!(answer.header("retry-after").is_some());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // No answer: not known, not promised.
        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
    }
}

/// A plain subscriber: counts messages by `ce-id`.
async fn listen(
    nats: &testkit::Nats,
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
) -> tokio::task::JoinHandle<()> {
    let client = nats.client().await;
    let mut subscription = client.subscribe("items.create.articles").await.unwrap();
    testkit::subscribed(&client).await;
    spawn(async move {
        while let Some(message) = subscription.next().await {
            let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id")).unwrap().to_string();
            *seen.lock().await.entry(id).or_default() += 1;
        }
    })
}

/// Every event is in the stream, once.
async fn streamed(nats: &testkit::Nats, ids: &BTreeSet<String>) {
    let stream = jetstream::new(nats.client().await).get_stream("EVENTS").await.unwrap();
    let config = jetstream::consumer::pull::OrderedConfig {
        filter_subject: "items.create.articles".to_owned(),
        ..Default::default()
    };
    let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let mut seen = BTreeSet::new();
    let reading = async {
        while seen.len() < ids.len() {
            let message = messages.next().await.unwrap().unwrap();
            let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id")).unwrap().to_string();
            assert!(seen.insert(id), "an event is in the stream twice");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("every event is in the stream");
    assert_eq!(&seen, ids);
}

/// A client beside the test.
#[expect(clippy::disallowed_methods, reason = "clients of a test live as long as the test")]
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}
