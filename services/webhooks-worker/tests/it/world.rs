//! A database, a nats-server, a relay, and webhooks workers on top of them.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Publisher};
use chassis::{Runtime, Shutdown};
use db::Db;
use event_store::{Mark, NewEvent, Tail, append};
use model::{Accountability, EventName, Ids as _, RandomIds, SystemClock, TraceParent};
use outbound::Schedule;
use proto::webhooks::v1::webhooks_service_client::WebhooksServiceClient;
use proto::webhooks::v1::{CreateEndpointRequest, Delivery, Endpoint, ListDeliveriesRequest};
use rpc::{Caller, Channel, LocalSlot, Signer};
use serde_json::value::RawValue;
use testkit::{Nats, TestDatabase, eventually};
use tonic::Request;
use uuid::Uuid;
use webhooks_worker::{Config, Face, Links};

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
    pub client: WebhooksServiceClient<Channel>,
    pub runtime: Runtime,
    signer: Signer,
}

/// Loopback may be reached, attempts take a second at most and follow one another quickly.
pub fn config() -> Config {
    let default = Config::default();
    let delays = [100, 100, 200, 400].map(Duration::from_millis).to_vec();
    Config {
        outbound: outbound::Config {
            allow: outbound::Config::parse_allow(&["127.0.0.1".to_owned()]).unwrap(),
            timeout: Duration::from_secs(1),
            ..default.outbound
        },
        schedule: Schedule { delays, overload: Duration::from_millis(200) },
        ..default
    }
}

impl World {
    pub async fn start() -> Self {
        let (database, nats) = tokio::join!(testkit::database(db::migrate_url), Nats::start());
        let db = db::connect(&db::Config::new(&database.url).unwrap(), "webhooks-test");
        let bus = Bus::connect(&bus::Config::new(nats.url()), "webhooks-test").await.unwrap();
        bus.ready().await.unwrap();
        bus::topology::ensure(&bus).await.unwrap();
        let (signer, runtime) = (Signer::new("a secret of the fleet"), Runtime::new(Shutdown::new()));
        let world = Self { db, bus, nats, signer, runtime, _database: database };
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

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self, config: Config) -> Worker {
        let runtime = Runtime::new(Shutdown::new());
        let local = LocalSlot::new();
        let client = WebhooksServiceClient::new(Channel::local(&local));
        let links = Links {
            db: self.db.clone(),
            bus: self.bus.clone(),
            signer: self.signer.clone(),
            auth: Channel::local(&LocalSlot::new()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        let work =
            webhooks_worker::run(config, links, Face { grpc: None, local: local.clone() }, runtime.child());
        runtime.tasks.spawn("webhooks", work);
        eventually(PATIENCE, || async { runtime.health.ready() && local.is_bound() }).await;
        Worker { client, runtime, signer: self.signer.clone() }
    }

    /// Appends events of this name, one per key, each in the same trace, and gives their ids.
    pub async fn append(&self, name: &str, keys: std::ops::Range<usize>) -> Vec<Uuid> {
        let events: Vec<NewEvent> = keys.map(|key| event(name, &key.to_string())).collect();
        self.commit(&events).await;
        events.iter().map(|event| event.id).collect()
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

    /// Waits until the worker has done with all events of the log.
    pub async fn caught_up(&self) {
        self.until(
            "SELECT count(*) FROM eventus.consumers
             WHERE name = 'webhooks' AND low_water >= (SELECT max(position) FROM eventus.events)",
            1,
        )
        .await;
    }
}

pub fn event(name: &str, key: &str) -> NewEvent {
    let payload = RawValue::from_string(format!("{{\"id\":{key},\"title\":\"é\",\"price\":1.50}}")).unwrap();
    NewEvent {
        traceparent: TraceParent::parse(TRACE),
        payload: Some(payload),
        ..NewEvent::new(RandomIds.ordered(), EventName::parse(name).unwrap(), "articles", key, 1)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}

impl Worker {
    /// A call as an admin.
    pub fn call<T>(&self, message: T) -> Request<T> {
        self.call_as(Accountability { admin: true, ..Accountability::default() }, message)
    }

    /// A call as somebody.
    pub fn call_as<T>(&self, accountability: Accountability, message: T) -> Request<T> {
        rpc::outgoing(&self.signer, &SystemClock, &Caller { request_id: None, accountability }, message)
    }

    /// Makes an endpoint.
    pub async fn endpoint(&self, url: &str, events: &[&str]) -> Endpoint {
        let events = events.iter().map(|text| (*text).to_owned()).collect();
        let request = CreateEndpointRequest { url: url.to_owned(), events, ..Default::default() };
        self.client.clone().create_endpoint(self.call(request)).await.unwrap().into_inner()
    }

    /// Deliveries of an endpoint, newest first.
    pub async fn deliveries(&self, endpoint: &Endpoint) -> Vec<Delivery> {
        let request =
            ListDeliveriesRequest { endpoint: endpoint.id.clone(), limit: 1_000, ..Default::default() };
        self.client.clone().list_deliveries(self.call(request)).await.unwrap().into_inner().deliveries
    }

    /// Waits until an endpoint has so many deliveries in this state, and gives them.
    #[track_caller]
    pub fn until<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        state: &'a str,
        count: usize,
    ) -> impl Future<Output = Vec<Delivery>> + 'a {
        testkit::eventually_some(PATIENCE, move || async move {
            let found =
                self.deliveries(endpoint).await.into_iter().filter(|delivery| delivery.state == state);
            Some(found.collect::<Vec<_>>()).filter(|found| found.len() == count)
        })
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
