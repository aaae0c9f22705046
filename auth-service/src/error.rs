//! What can go wrong in here, and what of it the caller is told.

/// Error of the auth service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's fault, or a refusal; told as it is.
    #[error(transparent)]
    Refused(#[from] model::Error),
    /// PostgreSQL.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL, through the crate `db`.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The event log did not take an event.
    #[error(transparent)]
    Log(#[from] event_store::Error),
    /// An event's body is no JSON.
    #[error("event: {0}")]
    Payload(serde_json::Error),
    /// The gRPC face.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// Passwords and randomness.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// The keys of access tokens can't be read.
    #[error("EVENTUS_ACCESS_TOKEN_KEYS holds no keys that can be used")]
    AccessKeys,
    /// What the items service says of a write of a user; told as it is.
    #[error(transparent)]
    Users(#[from] model::Errors),
    /// The mail server's settings don't fit.
    #[error("mail: {0}")]
    Smtp(String),
    /// The first admin can't be made.
    #[error("the e-mail address of the first admin belongs to a user who is no admin")]
    EmailTaken,
}

impl Error {
    /// PostgreSQL is away, or has no connection to give: worth trying again.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(error) => db::Error::classify(error) == db::Class::Unavailable,
            Self::Db(error) | Self::Log(event_store::Error::Db(error)) => error.is_unavailable(),
            _ => false,
        }
    }

    /// All that the caller is told.
    pub fn told(self) -> model::Errors {
        match self {
            Self::Users(errors) => errors,
            other => other.public().into(),
        }
    }

    /// What the caller is told; anything that is not his business is logged here, once.
    pub fn public(self) -> model::Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error)
            | Self::Db(db::Error::Sqlx(error))
            | Self::Log(event_store::Error::Db(db::Error::Sqlx(error))) => db::public(&error),
            Self::Secrets(error) => error.refusal("auth").unwrap_or_else(|| failed(&error)),
            other => failed(&other),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> model::Error {
    tracing::error!(%error, "auth failed");
    model::Error::internal()
}
