//! What can go wrong in here, and what of it the caller is told.

/// Error of the analytics worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's fault; told as it is.
    #[error(transparent)]
    Refused(#[from] model::Error),
    /// PostgreSQL.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL, through the crate `db`.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The gRPC face.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// A day that has no text.
    #[error("day: {0}")]
    Day(#[source] time::error::Format),
}

impl Error {
    /// What the caller is told; anything that is not his business is logged here, once.
    pub(crate) fn public(self) -> model::Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => db::public(&error),
            other => {
                tracing::error!(error = %other, "analytics failed");
                model::Error::internal()
            }
        }
    }
}
