//! The one consumer loop that every worker uses.

mod active;
mod attach;
mod config;
mod delivery;
mod errands;
mod feed;
mod hand;
mod lanes;
mod metrics;
mod replaying;
mod source;
mod spans;
mod stop;
mod work;

use std::future::Future;
use std::sync::Arc;

use chassis::BoxError;
use model::{Event, Ledger, Replay};
use tokio::task::JoinSet;

pub use config::ConsumerConfig;

use crate::{Bus, Error};

/// What a worker does with events.
///
/// It may see an event twice, so its effects must be idempotent by event id. Of one item it sees versions in
/// order. Events of different items come side by side, several calls at once.
pub trait Handler: Send + Sync + 'static {
    /// Handles events of one lane, in order; `Ok` means that the effects of all of them are durable.
    /// After a failure of several, each is handed in again by itself.
    fn handle(&self, events: &[Event]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Handles events once more, because an operator says so: what of them was applied before is in another inbox than
    /// the replay's, and may be had again where [`Replay::again`] says so. Of one replay each event has its effect once.
    fn replay(
        &self,
        _replay: &Replay,
        _events: &[Event],
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Err(Failure::Fail("events can't be given to this consumer once more".into())) }
    }

    /// Makes the read model that it keeps from the beginning, beside the live one, and puts it in its place, all or
    /// nothing; gives what there is to say of it, as JSON.
    fn rebuild(&self, _replay: &Replay) -> impl Future<Output = Result<String, Failure>> + Send {
        async { Err(Failure::Fail("this consumer keeps no read model".into())) }
    }
}

/// Why a handler did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Try again later; after the last attempt the event becomes a dead letter.
    #[error("{0}")]
    Retry(#[source] BoxError),
    /// Hopeless: the event becomes a dead letter at once.
    #[error("{0}")]
    Fail(#[source] BoxError),
    /// What the effect needs is away (the database): try again until it is back, without counting attempts.
    #[error("{0}")]
    Unavailable(#[source] BoxError),
}

/// Runs a durable consumer until the soft stop. Of several processes with the same name one is active, the others
/// stand by.
///
/// The component is up while the consumer is attached, active or not.
///
/// # Errors
/// Only what waiting does not mend: a server that is too old.
pub async fn run<L: Ledger, H: Handler>(
    bus: Bus,
    config: ConsumerConfig,
    ledger: L,
    handler: H,
    shutdown: chassis::Shutdown,
    component: chassis::Component,
) -> Result<(), Error> {
    let metrics = metrics::Metrics::new(&config.name);
    let max_attempts = bus.config().attempts.unwrap_or(config.max_attempts);
    let config = ConsumerConfig { max_attempts, ..config };
    let work = Arc::new(work::Work { config: Arc::new(config), ledger, handler, metrics });
    // Aborted with the loop: what a replay has not written down is done again.
    let mut replays = JoinSet::new();
    replays.spawn(replaying::run(Arc::clone(&work), shutdown.clone()));
    active::Loop::new(bus, work, component).run(shutdown).await
}
