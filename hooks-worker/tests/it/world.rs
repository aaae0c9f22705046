//! A database, a nats-server, a relay, and hooks workers on top of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use chassis::{Runtime, Shutdown};
use event_store::NewEvent;
use hooks_worker::{Config, Face, Links, Registry, run_with};
use model::{Accountability, RandomIds, SystemClock};
use proto::hooks::v1::hooks_service_client::HooksServiceClient;
use rpc::{Caller, Channel, LocalSlot};
use testkit::process;
use tonic::Request;
use uuid::Uuid;

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
    pub client: HooksServiceClient<Channel>,
    pub runtime: Runtime,
}

impl World {
    pub async fn start() -> Self {
        Self(testkit::World::start("hooks-test").await)
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
        rpc::outgoing(&self.signer, &SystemClock, &Caller { accountability, ..Caller::default() }, message)
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
}

fn event(name: &str, key: &str) -> NewEvent {
    testkit::new_event(name, "articles", key)
}

impl Worker {
    /// Waits until it is ready.
    pub async fn ready(&self) {
        process::ready(&self.runtime).await;
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
