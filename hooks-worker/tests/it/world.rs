//! A database, a nats-server, a relay, and hooks workers on top of them.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Publisher};
use chassis::{Runtime, Shutdown};
use db::Db;
use event_store::{Mark, NewEvent, Tail, append};
use hooks_worker::{Config, Face, Links, Registry, run_with};
use model::{Accountability, EventName, Ids as _, RandomIds, SystemClock, TraceParent};
use proto::hooks::v1::hooks_service_client::HooksServiceClient;
use rpc::{Caller, Channel, LocalSlot, Signer};
use testkit::{Nats, TestDatabase, eventually};
use tonic::Request;
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub struct World {
    pub db: Db,
    pub bus: Bus,
    pub nats: Nats,
    pub signer: Signer,
    /// Stops the relay.
    pub runtime: Runtime,
    _database: TestDatabase,
}

/// A worker under way.
pub struct Worker {
    pub client: HooksServiceClient<Channel>,
    pub runtime: Runtime,
}

impl World {
    pub async fn start() -> Self {
        let (database, nats) = tokio::join!(testkit::database(db::migrate_url), Nats::start());
        let db = db::connect(&db::Config::new(&database.url).unwrap(), "hooks-test");
        let bus = Bus::connect(&bus::Config::new(nats.url()), "hooks-test").await.unwrap();
        tokio::time::timeout(PATIENCE, bus.ready()).await.expect("nats-server answers").unwrap();
        bus::topology::ensure(&bus).await.unwrap();
        let (signer, runtime) = (Signer::new("a secret of the fleet"), Runtime::new(Shutdown::new()));
        Self { db, bus, nats, signer, runtime, _database: database }
    }

    /// Takes everything from the log to the bus, from its beginning: what is there already comes again if the
    /// stream does not have it.
    pub async fn relay(&self) {
        let epoch = Mark::load(&self.db).await.unwrap().epoch;
        let mut publisher = Publisher::new(self.bus.clone(), epoch);
        publisher.resume(bus::Marks::default()).await.unwrap();
        let mut tail = Tail::new(self.db.clone(), 0);
        self.runtime.tasks.spawn("relay", async move {
            loop {
                let events = tail.next(500, Duration::from_millis(50)).await?;
                let published = publisher.publish(&events).await;
                if let Some(error) = published.error {
                    return Err(chassis::BoxError::from(error));
                }
            }
        });
    }

    pub fn links(&self) -> Links {
        Links {
            db: self.db.clone(),
            bus: self.bus.clone(),
            signer: self.signer.clone(),
            auth: Channel::local(&LocalSlot::new()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        }
    }

    /// Starts a worker without waiting for it.
    pub fn begin(&self, registry: Registry, config: Config) -> Worker {
        let runtime = Runtime::new(Shutdown::new());
        let local = LocalSlot::new();
        let client = HooksServiceClient::new(Channel::local(&local));
        let face = Face { grpc: None, local };
        let work = run_with(registry, config, self.links(), face, runtime.child());
        runtime.tasks.spawn("hooks", work);
        Worker { client, runtime }
    }

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self, registry: Registry, config: Config) -> Worker {
        let worker = self.begin(registry, config);
        worker.ready().await;
        worker
    }

    /// A call as somebody.
    pub fn call<T>(&self, accountability: Accountability, message: T) -> Request<T> {
        rpc::outgoing(&self.signer, &SystemClock, &Caller { request_id: None, accountability }, message)
    }

    /// A call as the items service makes it.
    pub fn call_as_items<T>(&self, message: T) -> Request<T> {
        self.call(Accountability { process: Some("items".to_owned()), ..Accountability::default() }, message)
    }

    /// Appends events of these names, one per key, and gives their ids.
    pub async fn append(&self, names: &[&str], silent: bool) -> Vec<Uuid> {
        let event = |(key, name): (usize, &&str)| NewEvent { silent, ..event(name, &key.to_string()) };
        let events: Vec<NewEvent> = names.iter().enumerate().map(event).collect();
        self.commit(&events).await;
        events.iter().map(|event| event.id).collect()
    }

    /// Appends one event of this key, and gives its id.
    pub async fn append_key(&self, key: &str) -> Uuid {
        let event = event("items.update", key);
        self.commit(std::slice::from_ref(&event)).await;
        event.id
    }

    async fn commit(&self, events: &[NewEvent]) {
        let mut transaction = self.db.begin().await.unwrap();
        append(&mut transaction, events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.db).await.unwrap()
    }

    /// Waits until a query gives this number.
    pub async fn until(&self, query: &'static str, expected: i64) {
        eventually(PATIENCE, || async { self.number(query).await == expected }).await;
    }
}

fn event(name: &str, key: &str) -> NewEvent {
    let name = EventName::parse(name).unwrap();
    let traceparent = TraceParent::parse(TRACE);
    NewEvent { traceparent, ..NewEvent::new(RandomIds.ordered(), name, "articles", key, 1) }
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}

impl Worker {
    /// Waits until it is ready: it has reported something, and nothing bad.
    pub async fn ready(&self) {
        let health = &self.runtime.health;
        eventually(PATIENCE, || async { health.ready() && !health.report().is_empty() }).await;
    }

    /// Soft stop; waits until everything has ended, and sees that nothing went wrong.
    pub async fn stop(self) {
        self.runtime.shutdown.begin();
        let drained = tokio::time::timeout(PATIENCE, self.runtime.tasks.drain()).await;
        drained.expect("the worker drains");
        assert!(self.runtime.tasks.failure().is_none(), "{:?}", self.runtime.tasks.failure());
    }

    /// Everything is dropped at once, as far as that is possible within a process.
    pub async fn kill(self) {
        self.runtime.shutdown.begin_hard();
        self.runtime.tasks.drain().await;
    }
}
