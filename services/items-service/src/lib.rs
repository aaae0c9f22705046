//! Items, schema, the event log and its relay.
//!
//! `items` reads and writes, `schema` defines, `relay` publishes what was committed, `events` streams it. All of them
//! work on the `State`: database, bus and the snapshot in memory.

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use model::{Clock, Ids};
use proto::events::v1::events_service_server::EventsServiceServer;
use proto::history::v1::history_service_server::HistoryServiceServer;
use proto::imports::v1::imports_service_server::ImportsServiceServer;
use proto::items::v1::items_service_server::ItemsServiceServer;
use proto::schema::v1::schema_service_server::SchemaServiceServer;
use proto::upkeep::v1::upkeep_service_server::UpkeepServiceServer;
use rpc::{Channel, Guard, Signer};

mod catalog;
mod config;
mod error;
mod events;
mod execute;
mod failure;
mod filter;
mod history;
mod imports;
mod items;
mod permissions;
mod plans;
pub mod relay;
pub mod schema;
mod snapshot;
mod state;
mod system;
pub mod system_data;
pub mod upkeep;
mod watch;

pub use config::Config;
pub use error::Error;
pub use rpc::Face;
use state::{Inner, State, Wake};

/// What the process works with.
pub struct Links {
    /// PostgreSQL.
    pub db: db::Db,
    /// JetStream.
    pub bus: bus::Bus,
    /// Signs our calls and checks others'.
    pub signer: Signer,
    /// The auth service, for callers from outside the fleet.
    pub auth: Channel,
    /// The hooks worker, for filter hooks.
    pub hooks: Channel,
    /// Encrypts values at rest.
    pub sealer: secrets::Sealer,
    /// Signs the cursors that clients carry from page to page.
    pub cursors: secrets::Signet,
    /// Seals the places of the log that clients carry from stream to stream.
    pub places: secrets::Sealer,
    /// Tells requests apart that came under one key of a client's.
    pub requests: secrets::Signet,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
}

/// Serves until the soft stop.
///
/// # Errors
/// The gRPC server could not run, or the schema could not be loaded before the stop.
pub async fn run(config: Config, links: Links, face: Face, runtime: Runtime) -> Result<(), Error> {
    let guard =
        rpc::AuthClient::new(links.auth.clone(), links.signer.clone(), Arc::clone(&links.clock), "items");
    let auth: Arc<dyn rpc::Authenticator> = Arc::new(guard);
    let guard = Guard::new(links.signer.clone(), Arc::clone(&links.clock), Some(Arc::clone(&auth)));
    let state = state(&config, links, &runtime)?;
    if !load_first(&state, &runtime).await {
        return Ok(());
    }
    start(&state, &config, &runtime);
    let live = events::Live::start(&state, &runtime);
    let imports = imports::Imports::start(&state, &config.imports, &runtime);
    let direct = state.clone();
    let tasks = runtime.tasks.clone();
    let streams = items::Streams::new(&state.db, tasks, config.stream_timeout, config.stream_patience);
    let max = rpc::MAX_MESSAGE;
    let server = rpc::Server::new(guard)
        .service(
            ItemsServiceServer::new(items::Items(state.clone(), streams))
                .max_decoding_message_size(max)
                .max_encoding_message_size(max),
        )
        .service(
            SchemaServiceServer::new(schema::Schema(state.clone()))
                .max_decoding_message_size(max)
                .max_encoding_message_size(max),
        )
        .service(
            HistoryServiceServer::new(history::History(state.clone()))
                .max_decoding_message_size(max)
                .max_encoding_message_size(max),
        )
        .service(
            ImportsServiceServer::new(imports).max_decoding_message_size(max).max_encoding_message_size(max),
        )
        .service(UpkeepServiceServer::new(upkeep::Service(state.clone())))
        .service(EventsServiceServer::new(events::Events::new(state, live, auth)))
        .face(face);
    let server = items::directly(server, &direct);
    rpc::serve(server, &runtime).await?;
    Ok(())
}

/// What every call works with.
fn state(config: &Config, links: Links, runtime: &Runtime) -> Result<State, Error> {
    let wake = Wake::default();
    let versions = watch::versions(&links.db, runtime, &wake.control);
    Ok(State::new(Inner {
        rights: permissions::Rights::new(links.db.clone(), versions),
        filters: filter::Filters::new(
            links.hooks,
            links.signer,
            Arc::clone(&links.clock),
            config.filter_deadline,
        ),
        snapshots: snapshot::Snapshots::new(links.db.clone()),
        hasher: secrets::Hasher::try_new(config.hash_cost)?,
        sealer: links.sealer,
        limits: config.limits,
        cursors: links.cursors,
        places: links.places,
        making: tokio::sync::Mutex::default(),
        idempotency: items::once::Idempotency::new(links.requests, config.idempotency_ttl),
        together: items::together::Together::new(runtime.tasks.clone()),
        conditional: config.conditional.iter().cloned().collect(),
        wake,
        reading: state::Reading::new(&links.db, config),
        db: links.db,
        bus: links.bus,
        clock: links.clock,
        ids: links.ids,
    }))
}

/// What works beside the calls.
fn start(state: &State, config: &Config, runtime: &Runtime) {
    watch::start(state, runtime);
    relay::start(state, config, runtime);
    schema::indexes::start(state, runtime);
    items::once::forget(state, runtime);
    history::redact::start(state, runtime);
    upkeep::retention::start(state, config, runtime);
}

/// The schema in this database as TypeScript types for the official SDK.
///
/// # Errors
/// PostgreSQL is away, or the database was never migrated.
pub async fn typescript(db: &db::Db) -> Result<String, Error> {
    let snapshot = snapshot::Snapshots::new(db.clone()).refresh().await?;
    Ok(catalog::typescript::types(&snapshot.catalog))
}

/// The first snapshot: without it nothing can be planned, so the process is not ready.
async fn load_first(state: &State, runtime: &Runtime) -> bool {
    let component = runtime.health.component("schema");
    loop {
        match state.snapshots.refresh().await {
            Ok(_) => {
                component.up();
                warn_of_flows(state).await;
                return true;
            }
            Err(error) => {
                tracing::warn!(%error, "the schema could not be loaded");
                component.down(error.to_string());
            }
        }
        tokio::select! {
            () = runtime.shutdown.soft().cancelled() => return false,
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
    }
}

/// Flows of a database that was taken over don't run yet: whoever relies on them has to know.
async fn warn_of_flows(state: &State) {
    let active = "SELECT coalesce(string_agg(name, ', ' ORDER BY name), '') FROM directus_flows WHERE status = 'active'";
    match sqlx::query_scalar::<_, String>(active).fetch_one(&state.db).await {
        Ok(names) if !names.is_empty() => {
            tracing::warn!(flows = names, "ACTIVE FLOWS DO NOT RUN: this version does not run flows yet");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "flows could not be looked at"),
    }
}
