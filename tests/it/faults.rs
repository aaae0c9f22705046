//! What is promised when things die: nothing acknowledged is lost, nothing has two effects, outages are said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::world::{Options, Shape, World};

/// Creates per storm.
const ITEMS: usize = 2_000;
/// Clients at once.
const CLIENTS: usize = 8;

/// A fleet with a webhook receiver and a plain NATS subscriber that count for themselves.
struct Storm {
    world: World,
    receiver: testkit::Sink,
    /// Where changed items are purged, for storms that look at purges.
    cdn: Option<testkit::Sink>,
    subscriber: Arc<Mutex<BTreeMap<String, usize>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Storm {
    async fn start(shape: Shape) -> Self {
        Self::over(World::start(shape).await, None).await
    }

    async fn with_cdn(shape: Shape) -> Self {
        let cdn = testkit::Sink::start().await;
        let options =
            Options::default().set("CDN_URL", cdn.url("")).set("EVENTUS_CDN_COLLECTIONS", "articles");
        Self::over(World::with(shape, options).await, Some(cdn)).await
    }

    async fn over(world: World, cdn: Option<testkit::Sink>) -> Self {
        let receiver = testkit::Sink::start().await;
        world.collection("articles", json!([{"field": "token", "type": "string"}])).await;
        let endpoint = json!({"url": receiver.url("/"), "events": ["items.create.articles"]});
        world.api.post("/webhooks/endpoints", endpoint).await.expect(200);
        let subscriber = Arc::new(Mutex::new(BTreeMap::new()));
        let listening = listen(&world.nats, Arc::clone(&subscriber)).await;
        Self { world, receiver, cdn, subscriber, listening }
    }

    /// Sends all creates; does `harm` when a third of them is acknowledged. Gives the acknowledged tokens.
    async fn rage(&mut self, harm: impl AsyncFnOnce(&mut World)) -> BTreeSet<String> {
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
    async fn settle(self, acked: &BTreeSet<String>) {
        let Self { world, receiver, cdn, subscriber, listening } = self;
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
            subscriber.lock().await.keys().cloned().collect::<BTreeSet<_>>() == ids
        })
        .await;
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

#[expect(clippy::disallowed_methods, reason = "clients of a test live as long as the test")]
fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}

async fn killed(shape: Shape, role: &str) {
    killed_in(Storm::start(shape).await, role).await;
}

async fn killed_in(mut storm: Storm, role: &str) {
    let index = storm.world.process_of(role);
    let acked = storm
        .rage(async |world| {
            world.kill9(index);
            world.spawn(index);
            world.ready().await;
        })
        .await;
    assert!(acked.len() > ITEMS / 2, "most creates are acknowledged: {}", acked.len());
    storm.settle(&acked).await;
}

#[tokio::test]
async fn kill_9_of_everything() {
    killed(Shape::AllInOne, "all").await;
}

#[tokio::test]
async fn kill_9_of_the_gateway() {
    killed(Shape::Split, "gateway").await;
}

#[tokio::test]
async fn kill_9_of_items() {
    killed(Shape::Split, "items").await;
}

#[tokio::test]
async fn kill_9_of_auth() {
    killed(Shape::Split, "auth").await;
}

#[tokio::test]
async fn kill_9_of_hooks() {
    killed(Shape::Split, "hooks").await;
}

#[tokio::test]
async fn kill_9_of_analytics() {
    killed(Shape::Split, "analytics").await;
}

#[tokio::test]
async fn kill_9_of_webhooks() {
    killed(Shape::Split, "webhooks").await;
}

#[tokio::test]
async fn kill_9_of_cdn_purge() {
    killed_in(Storm::with_cdn(Shape::Split).await, "cdn-purge").await;
}

/// The broker dies under load and comes back: writes are answered all the while.
#[tokio::test]
async fn kill_9_of_nats() {
    let mut storm = Storm::start(Shape::AllInOne).await;
    let acked = storm
        .rage(async |world| {
            world.nats.kill9().await;
            let made = world.api.post("/items/articles?fields=id", json!({"token": "while away"})).await;
            made.expect(200);
            world.nats.restart().await;
        })
        .await;
    assert!(acked.len() >= ITEMS, "a broker that is away refuses no write: {}", acked.len());
    storm.settle(&acked).await;
}

/// Everything JetStream knew is gone while the fleet is down.
#[tokio::test]
async fn the_store_of_the_bus_is_wiped() {
    let mut storm = Storm::start(Shape::AllInOne).await;
    let acked = storm
        .rage(async |world| {
            world.kill9(0);
            world.nats.kill9().await;
            world.nats.wipe_store();
            world.nats.restart().await;
            world.spawn(0);
            world.ready().await;
        })
        .await;
    storm.settle(&acked).await;
}

/// The same while the fleet goes on, a process per role: the broker dies and comes back without a memory.
#[tokio::test]
async fn the_bus_comes_back_empty_split() {
    let mut storm = Storm::start(Shape::Split).await;
    let acked = storm
        .rage(async |world| {
            world.nats.kill9().await;
            let made = world.api.post("/items/articles?fields=id", json!({"token": "while away"})).await;
            made.expect(200);
            world.nats.wipe_store();
            world.nats.restart().await;
        })
        .await;
    assert!(acked.len() >= ITEMS, "a broker that is away refuses no write: {}", acked.len());
    storm.settle(&acked).await;
}

/// The database dies under load: what it acknowledged is there when it is back, and nothing is restarted.
#[tokio::test]
async fn kill_9_of_postgres_split() {
    let mut server = testkit::Postgres::start().await;
    let world = World::on(Shape::Split, Options::default(), &server).await;
    let mut storm = Storm::over(world, None).await;
    let acked = storm
        .rage(async |_| {
            server.kill9().await;
            server.restart().await;
        })
        .await;
    assert!(acked.len() > ITEMS / 2, "most creates are acknowledged: {}", acked.len());
    storm.settle(&acked).await;
}

/// SIGTERM in the middle: what was begun is finished, and nothing is lost.
#[tokio::test]
async fn a_polite_stop_loses_nothing() {
    let mut storm = Storm::start(Shape::AllInOne).await;
    let acked = storm
        .rage(async |world| {
            assert!(world.terminate(0).success(), "{}", world.logs());
            world.spawn(0);
            world.ready().await;
        })
        .await;
    storm.settle(&acked).await;
}

/// PostgreSQL away: 503 with Retry-After, and recovery without a restart.
#[tokio::test]
async fn an_outage_of_the_database_is_said_and_heals() {
    let mut server = testkit::Postgres::start().await;
    let world = World::on(Shape::AllInOne, Options::default(), &server).await;
    world.collection("articles", json!([{"field": "token", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"token": "before"})).await.expect(200);
    server.kill9().await;
    for _ in 0..3 {
        let answer = world.api.post("/items/articles", json!({"token": "during"})).await;
        let answer = answer.refused(503, "SERVICE_UNAVAILABLE");
        assert!(answer.header("retry-after").is_some());
        world.api.get("/items/articles").await.refused(503, "SERVICE_UNAVAILABLE");
    }
    server.restart().await;
    testkit::eventually(Duration::from_secs(15), || async {
        world.api.get("/items/articles").await.status == 200
    })
    .await;
    world.api.post("/items/articles", json!({"token": "after"})).await.expect(200);
    let tokens = world.api.get("/items/articles?fields=token").await.expect(200).data();
    assert_eq!(tokens, json!([{"token": "before"}, {"token": "after"}]), "a 503 left nothing");
    world.quiet(Duration::from_secs(20)).await;
}

/// Filter hooks registered and nobody there to answer: 503, and nothing is written.
#[tokio::test]
async fn a_filter_that_does_not_answer_stops_the_write() {
    let options = Options::default()
        .set("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles")
        .set("EVENTUS_FILTER_DEADLINE", "500ms");
    let mut world = World::with(Shape::Split, options).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world.collection("plain", json!([{"field": "title", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"title": "before"})).await.expect(200);
    let hooks = world.process_of("hooks");
    world.kill9(hooks);
    let answer = world.api.post("/items/articles", json!({"title": "during"})).await;
    assert!(answer.refused(503, "SERVICE_UNAVAILABLE").header("retry-after").is_some());
    world.api.post("/items/plain", json!({"title": "not filtered"})).await.expect(200);
    world.spawn(hooks);
    world.ready().await;
    world.api.post("/items/articles", json!({"title": "after"})).await.expect(200);
    let titles = world.api.get("/items/articles?fields=title").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "before"}, {"title": "after"}]));
}
