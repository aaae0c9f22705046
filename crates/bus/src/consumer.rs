//! The one consumer loop that every worker uses.

mod config;

use std::future::Future;

use chassis::BoxError;
use model::{Event, Ledger};

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

/// Runs a durable consumer until the soft stop.
///
/// # Errors
/// Only what waiting does not mend: a server that is too old, a configuration that the server refuses.
pub async fn run<L: Ledger, H: Handler>(
    _bus: Bus,
    _config: ConsumerConfig,
    _ledger: L,
    _handler: H,
    _shutdown: chassis::Shutdown,
    _component: chassis::Component,
) -> Result<(), Error> {
    std::future::pending().await
}
