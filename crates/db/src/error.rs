//! PostgreSQL's errors, sorted by what the caller can do about them.

use std::io::ErrorKind;

use sqlx::postgres::PgDatabaseError;

/// What went wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the database cannot be read. Holds nothing of it: it may contain a password.
    #[error("the address of the database is not valid")]
    Url,
    /// PostgreSQL or the way to it.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// A migration failed; nothing of it was kept.
    #[error("migration {version} ({name}): {source}")]
    Migration {
        /// Its number.
        version: i64,
        /// Its name.
        name: &'static str,
        /// PostgreSQL's reason.
        source: sqlx::Error,
    },
    /// The text of a migration differs from the one that was applied. Migrations are never edited: add another.
    #[error("migration {version} ({name}) was changed after it had been applied")]
    MigrationChanged {
        /// Its number.
        version: i64,
        /// Its name.
        name: &'static str,
    },
    /// The soft stop began while we waited.
    #[error("stopped while waiting for the database's migrations")]
    Stopped,
}

/// What an error of sqlx means for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The server is away, starting, full or going down: try later.
    Unavailable,
    /// A value that must be unique exists already.
    Unique {
        /// Name of the constraint or index.
        constraint: String,
        /// Name of the table.
        table: String,
        /// Columns of the constraint, as far as PostgreSQL told.
        columns: Vec<String>,
    },
    /// A reference to nothing, or something is still referred to.
    ForeignKey {
        /// Name of the constraint.
        constraint: String,
        /// Table of the constraint.
        table: String,
        /// Columns of the constraint, as far as PostgreSQL told.
        columns: Vec<String>,
    },
    /// A null where none may be.
    NotNull {
        /// Name of the table.
        table: String,
        /// Name of the column.
        column: String,
    },
    /// A text longer than its column.
    TooLong,
    /// A number or date outside its type's range.
    OutOfRange,
    /// A text that is not of the wanted type.
    InvalidText,
    /// The schema is not what the statement was made for (42703, 42P01, 0A000, 42883): plan again.
    SchemaMoved,
    /// Two transactions were in each other's way: run it again.
    Serialization,
    /// It ran longer than `statement_timeout`, or was cancelled.
    Cancelled,
    /// Anything else; a fault of ours.
    Other,
}

impl Error {
    /// What an error of sqlx means for us.
    pub fn classify(error: &sqlx::Error) -> Class {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => classify(error),
                None => Class::Other,
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Class::Unavailable,
            _ => Class::Other,
        }
    }

    /// Whether trying again later may help.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Sqlx(error) | Self::Migration { source: error, .. } => {
                Self::classify(error) == Class::Unavailable
            }
            Self::Url | Self::MigrationChanged { .. } | Self::Stopped => false,
        }
    }
}

fn classify(error: &PgDatabaseError) -> Class {
    let owned = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let (constraint, table) = (owned(error.constraint()), owned(error.table()));
    match error.code() {
        "23505" => Class::Unique { constraint, table, columns: columns(error.detail()) },
        "23503" => Class::ForeignKey { constraint, table, columns: columns(error.detail()) },
        "23502" => Class::NotNull { table, column: owned(error.column()) },
        "22001" => Class::TooLong,
        "22003" | "22008" | "22015" => Class::OutOfRange,
        // The last: text that the server's encoding cannot hold, NUL among it.
        "22P02" | "22P03" | "22007" | "22018" | "22023" | "22030" | "22032" | "22P05" | "22021" => {
            Class::InvalidText
        }
        "42703" | "42P01" | "42804" | "0A000" | "42883" => Class::SchemaMoved,
        "40001" | "40P01" => Class::Serialization,
        "57014" => Class::Cancelled,
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "53200" | "53100" | "25P03" | "25006" => {
            Class::Unavailable
        }
        code if code.starts_with("08") => Class::Unavailable,
        _ => Class::Other,
    }
}

/// Reads the columns of `Key (a, b)=(1, 2) already exists.`
fn columns(detail: Option<&str>) -> Vec<String> {
    let inner = detail.and_then(|text| text.split_once("Key (")).and_then(|(_, rest)| rest.split_once(")="));
    let Some((list, _)) = inner else { return Vec::new() };
    list.split(", ").map(|name| name.trim_matches('"').replace("\"\"", "\"")).collect()
}

/// What a client may see of an error of the database: 503 when it is away or too many want the same items, 408 when it took too long, else 500. Logs the
/// cause, once.
pub fn public(error: &sqlx::Error) -> model::Error {
    match Error::classify(error) {
        Class::Unavailable => {
            tracing::warn!(%error, "the database is unavailable");
            model::Error::unavailable("database")
        }
        Class::Serialization => {
            tracing::warn!(%error, "transactions kept standing in each other's way");
            model::Error::unavailable("database")
        }
        Class::Cancelled => {
            tracing::warn!(%error, "a statement was cancelled");
            let told = "The request took too long: the database has stopped it.";
            model::Error::new(model::ErrorCode::OutOfTime).with_message(told)
        }
        _ => {
            tracing::error!(%error, "the database refused a statement");
            model::Error::internal()
        }
    }
}

/// The connection was closed by the other side before it took our statement: it was certainly not executed.
///
/// A broken pipe: the peer was gone when we wrote. 57P01 and 57P05: the server's good-bye, which it only sends to
/// a session whose transaction did not commit. An end of the stream alone proves nothing and is not here.
pub(crate) fn gone_before_use(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::BrokenPipe,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P01" || code == "57P05"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_read_from_the_detail() {
        assert_eq!(columns(Some("Key (email)=(a@b) already exists.")), ["email"]);
        assert_eq!(columns(Some("Key (a, \"B c\")=(1, 2) is not present in table \"t\".")), ["a", "B c"]);
        assert!(columns(Some("Key (lower(a))")).is_empty());
        assert!(columns(None).is_empty());
    }
}
