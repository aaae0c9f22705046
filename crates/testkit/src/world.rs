//! What a process of the fleet stands on: a migrated database, a nats-server, the bus, a signer, a relay.

use std::time::Duration;

use bus::{Bus, Publisher};
use chassis::{Runtime, Shutdown};
use db::Db;
use event_store::{Mark, NewEvent, Tail};
use rpc::Signer;

use crate::{Nats, TestDatabase, database, eventually, subscribed};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks of the relay at the log.
const PAUSE: Duration = Duration::from_millis(50);

/// The servers of one test, and its way to them. Everything stops with it.
pub struct World {
    /// Sessions on the database.
    pub db: Db,
    /// A connection to the nats-server, on which the streams are there.
    pub bus: Bus,
    /// The nats-server.
    pub nats: Nats,
    /// Of the fleet that the process belongs to.
    pub signer: Signer,
    /// Stops the relay.
    pub runtime: Runtime,
    _database: TestDatabase,
}

impl World {
    /// Starts the servers; `name` is how the connections call themselves.
    pub async fn start(name: &str) -> Self {
        let (database, nats) = tokio::join!(database(db::migrate_url), Nats::start());
        let db = db::connect(&db::Config::new(&database.url).expect("an address"), name);
        let bus = Bus::connect(&bus::Config::new(nats.url()), name).await.expect("an address");
        let ready = tokio::time::timeout(PATIENCE, bus.ready()).await;
        ready.expect("the nats-server answers").expect("the nats-server is new enough");
        bus::topology::ensure(&bus).await.expect("streams");
        let (signer, runtime) = (Signer::new("a secret of the fleet"), Runtime::new(Shutdown::new()));
        Self { db, bus, nats, signer, runtime, _database: database }
    }

    /// Takes everything from the log to the bus, from its beginning: what is there already comes again if the
    /// stream does not have it. Ends when the nats-server goes away.
    pub async fn relay(&self) {
        let epoch = Mark::load(&self.db).await.expect("a mark").epoch;
        let mut publisher = Publisher::new(self.bus.clone(), epoch);
        publisher.resume(bus::Marks::default()).await.expect("a stream");
        let mut tail = Tail::new(self.db.clone(), 0);
        self.runtime.tasks.detach(async move {
            loop {
                let events = match tail.next(1_000, PAUSE).await {
                    Ok(events) => events,
                    // The test broke its connection.
                    Err(error) if error.is_unavailable() => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => panic!("the log: {error}"),
                };
                if publisher.publish(&events).await.error.is_some() {
                    // The broker is gone: a test that wants more starts another relay.
                    return;
                }
            }
        });
    }

    /// Appends events in one transaction.
    pub async fn commit(&self, events: &[NewEvent]) {
        let mut transaction = self.db.begin().await.expect("a transaction");
        event_store::append(&mut transaction, events).await.expect("events are appended");
        transaction.commit().await.expect("a commit");
    }

    /// What a query gives.
    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.db).await.expect("a number")
    }

    /// Waits until a query gives this number.
    #[track_caller]
    pub fn until(&self, query: &'static str, expected: i64) -> impl Future<Output = ()> {
        eventually(PATIENCE, move || async move { self.number(query).await == expected })
    }

    /// Waits until the consumer of this name has done with all events of the log.
    #[track_caller]
    pub fn caught_up(&self, consumer: &'static str) -> impl Future<Output = ()> {
        let done = "SELECT EXISTS (SELECT FROM eventus.consumers
            WHERE name = $1 AND low_water >= (SELECT max(position) FROM eventus.events))";
        eventually(PATIENCE, move || async move {
            sqlx::query_scalar(done).bind(consumer).fetch_one(&self.db).await.expect("an answer")
        })
    }

    /// Listens to pings of a topic: every ping that is sent after this returns is heard.
    pub async fn pings(&self, topic: &str) -> bus::Pings {
        let pings = self.bus.pings(topic).await.expect("a subscription");
        subscribed(self.bus.client()).await;
        pings
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}
