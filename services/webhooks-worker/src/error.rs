//! What can go wrong in here, and what of it the caller is told.

/// Error of the webhooks worker.
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
    /// A secret can't be made.
    #[error("secret: {0}")]
    Secret(#[source] outbound::sign::SignError),
    /// A time that has no RFC 3339 form.
    #[error("time: {0}")]
    Time(#[source] time::error::Format),
}

impl Error {
    /// What the caller is told; anything that is not his business is logged here, once.
    pub(crate) fn public(self) -> model::Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) | Self::Db(db::Error::Sqlx(error)) => db::public(&error),
            other => {
                tracing::error!(error = %other, "webhooks failed");
                model::Error::internal()
            }
        }
    }
}
