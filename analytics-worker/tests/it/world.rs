//! A database, a nats-server, a relay, and analytics workers on top of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use analytics_worker::{Config, Face, Links, run};
use chassis::{Runtime, Shutdown};
use event_store::NewEvent;
use model::{Accountability, SystemClock};
use proto::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use proto::analytics::v1::{Metric, MetricsRequest};
use rpc::{Caller, Channel, LocalSlot, Signer};
use testkit::{PATIENCE, eventually, process};

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
    client: AnalyticsServiceClient<Channel>,
    runtime: Runtime,
    signer: Signer,
}

impl World {
    pub async fn start() -> Self {
        Self(testkit::World::start("analytics-test").await)
    }

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self) -> Worker {
        let runtime = Runtime::new(Shutdown::new());
        let local = LocalSlot::new();
        let client = AnalyticsServiceClient::new(Channel::local(&local));
        let links = Links {
            db: self.db.clone(),
            bus: self.bus.clone(),
            signer: self.signer.clone(),
            auth: Channel::local(&LocalSlot::new()),
            clock: Arc::new(SystemClock),
        };
        let face = Face { grpc: None, local };
        runtime.tasks.spawn("analytics", run(Config::default(), links, face, runtime.child()));
        let worker = Worker { client, runtime, signer: self.signer.clone() };
        process::ready(&worker.runtime).await;
        worker
    }

    /// Appends so many events of this name and collection.
    pub async fn append(&self, name: &str, collection: &str, count: usize, silent: bool) {
        let event =
            |key: usize| NewEvent { silent, ..testkit::new_event(name, collection, &key.to_string()) };
        let events: Vec<NewEvent> = (0..count).map(event).collect();
        self.commit(&events).await;
    }

    /// Waits until all counts together are this.
    pub async fn until_counted(&self, expected: i64) {
        eventually(PATIENCE, || async { self.number(TOTAL).await >= expected }).await;
        assert_eq!(self.number(TOTAL).await, expected);
    }
}

/// All counts together.
pub const TOTAL: &str = "SELECT coalesce(sum(count), 0)::bigint FROM eventus.analytics_daily";

impl Worker {
    /// The metrics as somebody sees them.
    pub async fn metrics(
        &self,
        who: Accountability,
        query: MetricsRequest,
    ) -> Result<Vec<Metric>, tonic::Status> {
        let caller = Caller { accountability: who, ..Caller::default() };
        let request = rpc::outgoing(&self.signer, &SystemClock, &caller, query);
        Ok(self.client.clone().metrics(request).await?.into_inner().metrics)
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
