//! A request that was not done: refused by us, or by PostgreSQL.

use model::{Error, Errors};

use crate::state::State;

/// Why nothing was changed.
#[derive(Debug)]
pub enum Failure {
    /// Refused by a plan or check of ours.
    Refused(Errors),
    /// PostgreSQL refused it or is away.
    Sql(sqlx::Error),
}

impl Failure {
    /// What the client is told of it.
    pub fn told(self, state: &State, collection: &str) -> Errors {
        match self {
            Self::Refused(errors) => errors,
            Self::Sql(error) => state.failure(&error, collection),
        }
    }

    /// The same, of items that stand in this field of others.
    #[must_use]
    pub fn nested_in(self, field: &str) -> Self {
        match self {
            Self::Refused(Errors(errors)) => {
                Self::Refused(Errors(errors.into_iter().map(|error| error.nested_in(field)).collect()))
            }
            sql @ Self::Sql(_) => sql,
        }
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self::Refused(errors)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<db::Error> for Failure {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Sqlx(error) => Self::Sql(error),
            other => {
                tracing::error!(error = %other, "the database can't be used");
                Error::unavailable("database").into()
            }
        }
    }
}
