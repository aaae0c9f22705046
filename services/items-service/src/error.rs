//! What ends the process or one of its tasks.

/// A failure of the items service that no caller can be told of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The event log.
    #[error(transparent)]
    Log(#[from] event_store::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// The configured hash cost.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// Serving gRPC.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The stream holds as its last message an event that the log does not know: one of the two was replaced.
    #[error(
        "the stream's last event {id} is not in the log at position {position}: run `eventus relay reset`"
    )]
    StreamAhead {
        /// Position that the message names.
        position: i64,
        /// Event id that the message names.
        id: uuid::Uuid,
    },
    /// `relay reset` needs the stream for itself.
    #[error("a relay is running: stop all processes with the role `items` first")]
    RelayRunning,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}
