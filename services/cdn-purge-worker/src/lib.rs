//! Purges CDNs after changes.
//!
//! `queueing` notes for every changed item or file what the CDN has to forget, once for many changes; `sending` asks
//! the CDN and tries again by schedule. The rows are in PostgreSQL, so all processes of this kind work on them.

mod config;
mod error;
mod metrics;
mod queueing;
mod sending;
mod state;
mod target;

use std::sync::Arc;

use bus::ConsumerConfig;
use chassis::Runtime;
use model::{Clock, Ids};

pub use config::{Cdn, Config, Token};
pub use error::Error;
use state::State;

/// What the purge worker works with.
#[derive(Clone)]
pub struct Links {
    /// PostgreSQL.
    pub db: db::Db,
    /// Events.
    pub bus: bus::Bus,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub ids: Arc<dyn Ids>,
}

/// Runs the worker until the soft stop and what runs then is done. Without a CDN it has nothing to do and is healthy.
///
/// # Errors
/// The bus is one that the consumer can't work with.
pub async fn run(config: Config, links: Links, runtime: Runtime) -> Result<(), Error> {
    let database = runtime.health.component("cdn-purge-database");
    let Some(cdn) = config.cdn.clone() else {
        database.up();
        tracing::info!("CDN_URL is not set: nothing is purged");
        runtime.shutdown.soft().cancelled().await;
        return Ok(());
    };
    let state = Arc::new(State::new(&config, cdn, &links));
    start_queueing(&state, &runtime);
    match db::wait_migrated(&links.db, &runtime.shutdown).await {
        Err(db::Error::Stopped) => {
            runtime.tasks.drain().await;
            return Ok(());
        }
        result => result?,
    }
    database.up();
    let sending = sending::Sending(state);
    runtime.tasks.spawn("cdn-purge-sender", due::run(sending.clone(), runtime.clone()));
    runtime.tasks.spawn("cdn-purge-pruning", due::forget(sending, config.retention, runtime.clone()));
    runtime.shutdown.soft().cancelled().await;
    runtime.tasks.drain().await;
    Ok(())
}

/// Starts the consumer. Silent events purge too: a cache does not care why something changed.
fn start_queueing(state: &Arc<State>, runtime: &Runtime) {
    // One lane: queueing is one statement per batch, and what comes while one commits shares the next.
    let all = ConsumerConfig::new(queueing::CONSUMER, state.targets.subjects());
    let config = ConsumerConfig { lanes: 1, ..all };
    let component = runtime.health.component("cdn-purge-consumer");
    let ledger = event_store::PgLedger::new(state.db.clone(), queueing::CONSUMER);
    let (bus, handler, shutdown) =
        (state.bus.clone(), queueing::Queueing(state.clone()), runtime.shutdown.clone());
    runtime.tasks.spawn("cdn-purge-consumer", async move {
        bus::consumer::run(bus, config, ledger, handler, shutdown, component).await
    });
}
