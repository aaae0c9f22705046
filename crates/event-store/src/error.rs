//! What can go wrong with the log.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or the way to it.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// An entry of the log cannot be read. Nothing is skipped: a person has to look at it.
    #[error("the log holds an unreadable event at position {position}: {reason}")]
    Corrupt {
        /// Where it is.
        position: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The lease under which this was to be written belongs to another now.
    #[error("the lease {0} is lost")]
    LeaseLost(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Error {
    /// Whether trying again later may help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_unavailable())
    }
}

impl From<Error> for model::LedgerError {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}
