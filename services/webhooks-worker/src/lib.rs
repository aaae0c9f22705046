//! Durable webhook deliveries.
//!
//! `queueing` makes a delivery of every event that an endpoint wants, once; `sending` signs and posts what is due and
//! tries again by schedule. The rows are in PostgreSQL, so all processes of this kind work on them side by side.

mod config;
mod create_endpoint;
mod delete_endpoint;
mod endpoints;
mod error;
mod get_endpoint;
mod grpc;
mod list_deliveries;
mod list_endpoints;
mod message;
mod metrics;
mod pattern;
mod queueing;
mod sending;
mod state;
mod update_endpoint;

use std::sync::Arc;
use std::time::Duration;

use bus::ConsumerConfig;
use chassis::Runtime;
use model::{Clock, Ids};
use proto::webhooks::v1::webhooks_service_server::WebhooksServiceServer;

pub use config::Config;
pub use error::Error;
pub use rpc::Face;
use state::State;

/// What the webhooks worker works with.
#[derive(Clone)]
pub struct Links {
    /// PostgreSQL.
    pub db: db::Db,
    /// Events and pings.
    pub bus: bus::Bus,
    /// Verifies accountability between processes.
    pub signer: rpc::Signer,
    /// The auth service, for callers from outside the fleet.
    pub auth: rpc::Channel,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
}

/// Runs the worker until the soft stop and what runs then is done.
///
/// # Errors
/// The gRPC face broke.
pub async fn run(config: Config, links: Links, face: Face, runtime: Runtime) -> Result<(), Error> {
    let database = runtime.health.component("webhooks-database");
    let state = Arc::new(State::new(&config, &links));
    start_queueing(&state, &runtime);
    match db::wait_migrated(&links.db, &runtime.shutdown).await {
        Err(db::Error::Stopped) => {
            runtime.tasks.drain().await;
            return Ok(());
        }
        result => result?,
    }
    database.up();
    start_sending(&state, config.retention, &runtime);
    let auth = rpc::AuthClient::new(links.auth, links.signer.clone(), links.clock.clone(), "webhooks");
    let guard = rpc::Guard::new(links.signer, links.clock, Some(Arc::new(auth)));
    let service = WebhooksServiceServer::new(grpc::Service(state));
    rpc::serve(rpc::Server::new(guard).service(service).face(face), &runtime).await?;
    runtime.tasks.drain().await;
    Ok(())
}

/// Starts the consumer of all events that are not silent.
fn start_queueing(state: &Arc<State>, runtime: &Runtime) {
    let all = ConsumerConfig::new(queueing::CONSUMER, bus::topology::SUBJECTS.iter().copied());
    // One lane: queueing is one statement per batch, and what comes while one commits shares the next.
    let config = ConsumerConfig { process_silent: false, lanes: 1, ..all };
    let component = runtime.health.component("webhooks-consumer");
    let ledger = event_store::PgLedger::new(state.db.clone(), queueing::CONSUMER);
    let (bus, handler, shutdown) =
        (state.bus.clone(), queueing::Queueing(state.clone()), runtime.shutdown.clone());
    runtime.tasks.spawn("webhooks-consumer", async move {
        bus::consumer::run(bus, config, ledger, handler, shutdown, component).await
    });
}

/// Starts what sends, and what forgets.
fn start_sending(state: &Arc<State>, retention: Duration, runtime: &Runtime) {
    let sending = sending::Sending(state.clone());
    runtime.tasks.spawn("webhooks-sender", due::run(sending.clone(), runtime.clone()));
    runtime.tasks.spawn("webhooks-pruning", due::forget(sending, retention, runtime.clone()));
}
