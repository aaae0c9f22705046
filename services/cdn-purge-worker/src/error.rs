//! What can go wrong in here.

/// Error of the purge worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL, through the crate `db`.
    #[error(transparent)]
    Db(#[from] db::Error),
}
