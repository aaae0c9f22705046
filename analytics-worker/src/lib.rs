//! Item events -> aggregates; reports.
//!
//! `counting` takes every event from the bus into `eventus.analytics_daily`, once; `metrics` answers from there.

mod config;
mod counting;
mod error;
mod grpc;
mod metrics;
mod state;

use std::sync::Arc;

use bus::ConsumerConfig;
use chassis::Runtime;
use model::Clock;
use proto::analytics::v1::analytics_service_server::AnalyticsServiceServer;

pub use config::Config;
pub use error::Error;
pub use rpc::Face;
use state::State;

/// What the analytics worker works with.
#[derive(Clone)]
pub struct Links {
    /// PostgreSQL.
    pub db: db::Db,
    /// Events.
    pub bus: bus::Bus,
    /// Verifies accountability between processes.
    pub signer: rpc::Signer,
    /// The auth service, for callers from outside the fleet.
    pub auth: rpc::Channel,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Batches side by side: they meet at the same few counts, so more than one would only wait for another.
const LANES: usize = 1;

/// Events of one statement at most.
const BATCH: usize = 1_000;

/// Runs the worker until the soft stop and what runs then is done.
///
/// # Errors
/// The gRPC face broke.
pub async fn run(_config: Config, links: Links, face: Face, runtime: Runtime) -> Result<(), Error> {
    let database = runtime.health.component("analytics-database");
    let state = Arc::new(State::new(&links));
    start_counting(&state, &links, &runtime);
    match db::wait_migrated(&links.db, &runtime.shutdown).await {
        Err(db::Error::Stopped) => return Ok(()),
        result => result?,
    }
    database.up();
    let auth = rpc::AuthClient::new(links.auth, links.signer.clone(), links.clock.clone(), "analytics");
    let guard = rpc::Guard::new(links.signer, links.clock, Some(Arc::new(auth)));
    let service = AnalyticsServiceServer::new(grpc::Service(state));
    rpc::serve(rpc::Server::new(guard).service(service).face(face), &runtime).await?;
    runtime.tasks.drain().await;
    Ok(())
}

/// Starts the consumer of all events.
fn start_counting(state: &State, links: &Links, runtime: &Runtime) {
    let all = ConsumerConfig::new(counting::CONSUMER, bus::topology::SUBJECTS.iter().copied());
    let config = ConsumerConfig { lanes: LANES, batch: BATCH, max_in_flight: 4 * BATCH, ..all };
    let component = runtime.health.component("analytics-consumer");
    let ledger = event_store::PgLedger::of_read_model(links.db.clone(), counting::CONSUMER);
    let (bus, handler, shutdown) = (links.bus.clone(), state.counting.clone(), runtime.shutdown.clone());
    runtime.tasks.spawn("analytics-consumer", async move {
        bus::consumer::run(bus, config, ledger, handler, shutdown, component).await
    });
}
