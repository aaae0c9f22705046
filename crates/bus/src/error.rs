//! What can go wrong between us and the broker.

use chassis::BoxError;

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address or the prefix does not fit. Nothing will work until it is changed.
    #[error("bus: {0}")]
    Config(String),
    /// The broker can't be reached or does not answer. Try again later.
    #[error("bus: the broker is unavailable: {0}")]
    Unavailable(String),
    /// The server is too old: it would silently ignore what we rely on.
    #[error("bus: nats-server {found} is too old: at least {needed} is needed")]
    ServerTooOld {
        /// Version that the server reports.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// The broker answered with an error.
    #[error("bus: {action} was refused")]
    Refused {
        /// What we asked for.
        action: &'static str,
        /// Its answer.
        #[source]
        source: BoxError,
    },
    /// A message did not follow the one before it: somebody else wrote, or the stream is another one.
    /// Call [`crate::Publisher::resume`].
    #[error("bus: the chain is broken at stream sequence {expected}: {reason}")]
    ChainBroken {
        /// Stream sequence that the refused message was to follow.
        expected: u64,
        /// What the broker said.
        reason: String,
    },
    /// Nobody can say where the stream ends in the log. Needs an operator (`eventus relay reset`).
    #[error("bus: it is not known where the stream ends in the log: {0}")]
    ChainLost(String),
    /// A message is not an event of ours.
    #[error("bus: not an event: {0}")]
    Envelope(String),
}

impl Error {
    /// An answer with an error to a request.
    pub(crate) fn refused(action: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Refused { action, source: source.into() }
    }
}
