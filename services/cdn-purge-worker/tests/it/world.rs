//! A database, a nats-server, a relay, and purge workers on top of them.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Publisher};
use cdn_purge_worker::{Cdn, Config, Links, Token};
use chassis::{Runtime, Shutdown};
use db::Db;
use event_store::{Mark, NewEvent, Tail, append};
use model::{EventName, Ids as _, RandomIds, SystemClock, TraceParent};
use outbound::{Schedule, Url};
use testkit::{Nats, Sink, TestDatabase, eventually};

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub struct World {
    pub db: Db,
    pub bus: Bus,
    pub nats: Nats,
    pub cdn: Sink,
    /// Stops the relay.
    pub runtime: Runtime,
    _database: TestDatabase,
}

impl World {
    pub async fn start() -> Self {
        let (database, nats) = tokio::join!(testkit::database(db::migrate_url), Nats::start());
        let db = db::connect(&db::Config::new(&database.url).unwrap(), "purge-test");
        let bus = Bus::connect(&bus::Config::new(nats.url()), "purge-test").await.unwrap();
        bus.ready().await.unwrap();
        bus::topology::ensure(&bus).await.unwrap();
        let (cdn, runtime) = (Sink::start().await, Runtime::new(Shutdown::new()));
        let world = Self { db, bus, nats, cdn, runtime, _database: database };
        world.relay().await;
        world
    }

    /// Takes everything from the log to the bus, from its beginning: what is there already comes again if the
    /// stream does not have it.
    pub async fn relay(&self) {
        let epoch = Mark::load(&self.db).await.unwrap().epoch;
        let mut publisher = Publisher::new(self.bus.clone(), epoch);
        publisher.resume(bus::Marks::default()).await.unwrap();
        let mut tail = Tail::new(self.db.clone(), 0);
        self.runtime.tasks.detach(async move {
            loop {
                let events = tail.next(500, Duration::from_millis(50)).await.unwrap();
                if publisher.publish(&events).await.error.is_some() {
                    // The broker is gone: a test that wants more starts another relay.
                    return;
                }
            }
        });
    }

    /// All of the user's collections, quick repetition, a short window.
    pub fn config(&self) -> Config {
        let default = Config::default();
        let delays = [100, 200, 400].map(Duration::from_millis).to_vec();
        let url = Url::parse(&self.cdn.url("/zone/7/")).unwrap();
        Config {
            cdn: Some(Cdn { url, token: Token::new("s3cret") }),
            collections: vec!["*".to_owned()],
            outbound: outbound::Config {
                allow: outbound::Config::parse_allow(&["127.0.0.1".to_owned()]).unwrap(),
                timeout: Duration::from_secs(2),
                ..default.outbound
            },
            schedule: Schedule { delays, overload: Duration::from_millis(200) },
            window: Duration::from_millis(100),
            ..default
        }
    }

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self, config: Config) -> Runtime {
        let runtime = Runtime::new(Shutdown::new());
        let links = Links {
            db: self.db.clone(),
            bus: self.bus.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        runtime.tasks.spawn("cdn-purge", cdn_purge_worker::run(config, links, runtime.child()));
        let components = |runtime: &Runtime| !runtime.health.report().is_empty();
        eventually(PATIENCE, || async { components(&runtime) && runtime.health.ready() }).await;
        runtime
    }

    /// Appends an event of this name for each key.
    pub async fn append(&self, name: &str, keys: &[&str]) {
        let events: Vec<NewEvent> = keys.iter().map(|key| event(name, key)).collect();
        self.commit(&events).await;
    }

    pub async fn commit(&self, events: &[NewEvent]) {
        let mut transaction = self.db.begin().await.unwrap();
        append(&mut transaction, events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.db).await.unwrap()
    }

    /// Waits until a query gives this number.
    #[track_caller]
    pub fn until(&self, query: &'static str, expected: i64) -> impl Future<Output = ()> {
        eventually(PATIENCE, move || async move { self.number(query).await == expected })
    }

    /// Waits until the worker has done with all events of the log and the CDN with all purges.
    pub async fn settled(&self) {
        self.until(
            "SELECT count(*) FROM eventus.consumers
             WHERE name = 'cdn-purge' AND low_water >= (SELECT max(position) FROM eventus.events)",
            1,
        )
        .await;
        self.until("SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')", 0).await;
    }

    /// What the CDN was asked for so far.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.cdn.requests().into_iter().map(|request| request.path).collect();
        paths.sort();
        paths
    }
}

pub fn event(name: &str, key: &str) -> NewEvent {
    let collection = if name.starts_with("files.") { "directus_files" } else { "articles" };
    let traceparent = TraceParent::parse(TRACE);
    let name = EventName::parse(name).unwrap();
    NewEvent { traceparent, ..NewEvent::new(RandomIds.ordered(), name, collection, key, 1) }
}

/// Soft stop; waits until everything has ended, and sees that nothing went wrong.
pub async fn stop(runtime: Runtime) {
    runtime.shutdown.begin();
    tokio::time::timeout(PATIENCE, runtime.tasks.drain()).await.expect("the worker drains");
    assert!(runtime.tasks.failure().is_none(), "{:?}", runtime.tasks.failure());
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}
