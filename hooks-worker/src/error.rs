//! What can go wrong in here, and what of it the caller is told.

/// Error of the hooks worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's fault, or a hook's refusal; told as it is.
    #[error(transparent)]
    Refused(#[from] model::Error),
    /// The set of hooks can't work.
    #[error("hooks: {}", .0.join("; "))]
    Registry(Vec<String>),
    /// PostgreSQL.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL, through the crate `db`.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The gRPC face.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// What the hooks left can't be written as JSON.
    #[error("payload: {0}")]
    Json(#[source] serde_json::Error),
    /// A time that has no RFC 3339 form.
    #[error("time: {0}")]
    Time(#[source] time::error::Format),
}

impl Error {
    /// What the caller is told; anything that is not his business is logged here, once.
    pub(crate) fn public(self) -> model::Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => db::public(&error),
            other => {
                tracing::error!(error = %other, "hooks failed");
                model::Error::internal()
            }
        }
    }
}
