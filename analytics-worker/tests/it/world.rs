//! A database, a nats-server, a relay, and analytics workers on top of them.

use std::sync::Arc;
use std::time::Duration;

use analytics_worker::{Config, Face, Links, run};
use bus::{Bus, Publisher};
use chassis::{Runtime, Shutdown};
use db::Db;
use event_store::{Mark, NewEvent, Tail, append};
use model::{Accountability, EventName, Ids as _, RandomIds, SystemClock};
use proto::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use proto::analytics::v1::{Metric, MetricsRequest};
use rpc::{Caller, Channel, LocalSlot, Signer};
use testkit::{Nats, TestDatabase, eventually};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub db: Db,
    pub bus: Bus,
    pub nats: Nats,
    /// Stops the relay.
    pub runtime: Runtime,
    signer: Signer,
    _database: TestDatabase,
}

/// A worker under way.
pub struct Worker {
    client: AnalyticsServiceClient<Channel>,
    runtime: Runtime,
    signer: Signer,
}

impl World {
    pub async fn start() -> Self {
        let (database, nats) = tokio::join!(testkit::database(db::migrate_url), Nats::start());
        let db = db::connect(&db::Config::new(&database.url).unwrap(), "analytics-test");
        let bus = Bus::connect(&bus::Config::new(nats.url()), "analytics-test").await.unwrap();
        tokio::time::timeout(PATIENCE, bus.ready()).await.expect("nats-server answers").unwrap();
        bus::topology::ensure(&bus).await.unwrap();
        let (signer, runtime) = (Signer::new("a secret of the fleet"), Runtime::new(Shutdown::new()));
        Self { db, bus, nats, runtime, signer, _database: database }
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
                let events = tail.next(1_000, Duration::from_millis(50)).await?;
                let published = publisher.publish(&events).await;
                if let Some(error) = published.error {
                    return Err(chassis::BoxError::from(error));
                }
            }
        });
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
        let health = &worker.runtime.health;
        // It has reported something, and nothing bad.
        eventually(PATIENCE, || async { health.ready() && !health.report().is_empty() }).await;
        worker
    }

    /// Appends so many events of this name and collection.
    pub async fn append(&self, name: &str, collection: &str, count: usize, silent: bool) {
        let name = EventName::parse(name).unwrap();
        let event = |key: usize| {
            let event = NewEvent::new(RandomIds.ordered(), name.clone(), collection, &key.to_string(), 1);
            NewEvent { silent, ..event }
        };
        let events: Vec<NewEvent> = (0..count).map(event).collect();
        let mut transaction = self.db.begin().await.unwrap();
        append(&mut transaction, &events).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.db).await.unwrap()
    }

    /// Waits until all counts together are this.
    pub async fn until_counted(&self, expected: i64) {
        eventually(PATIENCE, || async { self.number(TOTAL).await >= expected }).await;
        assert_eq!(self.number(TOTAL).await, expected);
    }
}

/// All counts together.
pub const TOTAL: &str = "SELECT coalesce(sum(count), 0)::bigint FROM eventus.analytics_daily";

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}

impl Worker {
    /// The metrics as somebody sees them.
    pub async fn metrics(
        &self,
        who: Accountability,
        query: MetricsRequest,
    ) -> Result<Vec<Metric>, tonic::Status> {
        let caller = Caller { request_id: None, accountability: who };
        let request = rpc::outgoing(&self.signer, &SystemClock, &caller, query);
        Ok(self.client.clone().metrics(request).await?.into_inner().metrics)
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
