//! A database, a nats-server, a relay, and webhooks workers on top of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use chassis::{Runtime, Shutdown};
use event_store::NewEvent;
use model::{Accountability, RandomIds, SystemClock};
use outbound::Schedule;
use proto::webhooks::v1::webhooks_service_client::WebhooksServiceClient;
use proto::webhooks::v1::{CreateEndpointRequest, Delivery, Endpoint, ListDeliveriesRequest};
use rpc::{Caller, Channel, LocalSlot, Signer};
use serde_json::value::RawValue;
use testkit::{PATIENCE, eventually, process};
use tonic::Request;
use uuid::Uuid;
use webhooks_worker::{Config, Face, Links};

pub struct World(testkit::World);

impl Deref for World {
    type Target = testkit::World;

    fn deref(&self) -> &testkit::World {
        &self.0
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut testkit::World {
        &mut self.0
    }
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
        let world = testkit::World::start("webhooks-test").await;
        world.relay().await;
        Self(world)
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
        process::ready(&runtime).await;
        eventually(PATIENCE, || async { local.is_bound() }).await;
        Worker { client, runtime, signer: self.signer.clone() }
    }

    /// Appends events of this name, one per key, each in the same trace, and gives their ids.
    pub async fn append(&self, name: &str, keys: std::ops::Range<usize>) -> Vec<Uuid> {
        let events: Vec<NewEvent> = keys.map(|key| event(name, &key.to_string())).collect();
        self.commit(&events).await;
        events.iter().map(|event| event.id).collect()
    }
}

pub fn event(name: &str, key: &str) -> NewEvent {
    let payload = RawValue::from_string(format!("{{\"id\":{key},\"title\":\"é\",\"price\":1.50}}")).unwrap();
    NewEvent { payload: Some(payload), ..testkit::new_event(name, "articles", key) }
}

impl Worker {
    /// A call as an admin.
    pub fn call<T>(&self, message: T) -> Request<T> {
        self.call_as(Accountability { admin: true, ..Accountability::default() }, message)
    }

    /// A call as somebody.
    pub fn call_as<T>(&self, accountability: Accountability, message: T) -> Request<T> {
        rpc::outgoing(&self.signer, &SystemClock, &Caller { accountability, ..Caller::default() }, message)
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
        process::stop(&self.runtime).await;
    }

    /// Everything is dropped at once, as far as that is possible within a process.
    pub async fn kill(self) {
        process::kill(&self.runtime).await;
    }
}
