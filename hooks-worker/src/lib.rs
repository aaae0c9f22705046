//! Filter, action and schedule hooks.
//!
//! `hook` says what a hook is, `registry` names all there are. Filter hooks run in a client's request (`filter`,
//! `filtering`), action hooks for events of the bus (`acting`), schedule hooks by the clock (`scheduling`).

mod acting;
mod actions;
mod config;
mod error;
mod filter;
mod filtering;
mod filters;
mod grpc;
pub mod hook;
mod list_runs;
mod metrics;
mod registrations;
mod registry;
mod runs;
mod schedules;
mod scheduling;
mod state;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use bus::ConsumerConfig;
use chassis::Runtime;
use model::{Clock, Ids};
use proto::hooks::v1::hooks_service_server::HooksServiceServer;

pub use config::Config;
pub use error::Error;
pub use registry::Registry;
pub use rpc::Face;
use state::State;

/// What the hooks worker works with.
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

/// Pause after the registrations could not be written.
const PAUSE: Duration = Duration::from_millis(500);

/// Batches of action hooks side by side.
const LANES: usize = 4;

/// Runs the bundled hooks until the soft stop and what runs then is done.
///
/// # Errors
/// The configuration does not fit or the gRPC face broke.
pub async fn run(config: Config, links: Links, face: Face, runtime: Runtime) -> Result<(), Error> {
    run_with(Registry::bundled(&config), config, links, face, runtime).await
}

/// As [`run`], with these hooks. Ready once all know which filter hooks there are and events come in.
///
/// # Errors
/// The hooks or the configuration do not fit, or the gRPC face broke.
pub async fn run_with(
    registry: Registry,
    config: Config,
    links: Links,
    face: Face,
    runtime: Runtime,
) -> Result<(), Error> {
    registry.check()?;
    let registered = runtime.health.component("hooks-registrations");
    let state = Arc::new(State::new(registry, &config, &links));
    start_acting(&state, &runtime);
    match db::wait_migrated(&links.db, &runtime.shutdown).await {
        Err(db::Error::Stopped) => return Ok(()),
        result => result?,
    }
    start_scheduling(&state, &runtime, format!("hooks-{}", links.ids.ordered()));
    if !register(&state, &runtime).await {
        runtime.tasks.drain().await;
        return Ok(());
    }
    registered.up();
    let auth = rpc::AuthClient::new(links.auth, links.signer.clone(), links.clock.clone(), "hooks");
    let service = HooksServiceServer::new(grpc::Service(state))
        .max_decoding_message_size(rpc::MAX_MESSAGE)
        .max_encoding_message_size(rpc::MAX_MESSAGE);
    let guard = rpc::Guard::new(links.signer, links.clock, Some(Arc::new(auth)));
    let server = rpc::Server::new(guard).service(service).face(face);
    rpc::serve(server, &runtime).await?;
    runtime.tasks.drain().await;
    Ok(())
}

/// Writes the registrations of the filter hooks, as often as it takes; `false` when the soft stop came first.
async fn register(state: &State, runtime: &Runtime) -> bool {
    let rows = state.registry.rows();
    loop {
        match registrations::replace(&state.db, &rows).await {
            Ok(changed) => {
                tracing::info!(filters = rows.len(), changed, "filter hooks are registered");
                if changed {
                    state.bus.ping("control").await;
                }
                return true;
            }
            Err(error) => tracing::warn!(%error, "filter hooks are not yet registered"),
        }
        if tokio::time::timeout(PAUSE, runtime.shutdown.soft().cancelled()).await.is_ok() {
            return false;
        }
    }
}

/// Starts the consumer of the action hooks, if there are any.
fn start_acting(state: &Arc<State>, runtime: &Runtime) {
    let subjects = state.registry.subjects();
    if subjects.is_empty() {
        return;
    }
    // Few lanes: each batch is a transaction, and what comes while one commits shares the next.
    let all = ConsumerConfig::new(acting::CONSUMER, subjects);
    let config = ConsumerConfig { process_silent: false, lanes: LANES, ..all };
    // The harness does not wait minutes for a dead letter.
    #[cfg(feature = "mutants")]
    let config = ConsumerConfig { max_attempts: 4, ..config };
    let component = runtime.health.component("hooks-consumer");
    let ledger = event_store::PgLedger::new(state.db.clone(), acting::CONSUMER);
    let (bus, handler, shutdown) = (state.bus.clone(), state.acting.clone(), runtime.shutdown.clone());
    runtime.tasks.spawn("hooks-consumer", async move {
        bus::consumer::run(bus, config, ledger, handler, shutdown, component).await
    });
}

/// Starts what runs schedule hooks wherever the lease is held.
fn start_scheduling(state: &Arc<State>, runtime: &Runtime, holder: String) {
    let (state, shutdown) = (state.clone(), runtime.shutdown.clone());
    runtime.tasks.spawn("hooks-schedule", async move {
        let lead = |lease: db::Lease| {
            let (state, soft) = (state.clone(), shutdown.soft().clone());
            async move {
                state.scheduling.lead(lease.fence(), &soft).await;
                Ok::<(), Error>(())
            }
        };
        db::leases::hold(&state.db, scheduling::LEASE, &holder, scheduling::LEASE_TTL, &shutdown, lead).await
    });
}
