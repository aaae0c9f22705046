//! The one place where planned statements are run, and where PostgreSQL's refusals become the client's errors.

use std::sync::Arc;

use faults::Point;
use futures_util::stream::BoxStream;
use model::{Error, ErrorCode};
use planner::{Binding, Statement};
use sqlx::postgres::{PgArguments, PgDatabaseError, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

mod observed;

pub use observed::observed;

/// Begins a transaction.
pub async fn begin(db: &db::Db) -> Result<db::Transaction, db::Error> {
    observed(observed::BEGIN, db.begin(), |_| None).await
}

/// Ends a transaction: what was done is there.
pub async fn commit(transaction: db::Transaction) -> Result<(), sqlx::Error> {
    faults::point(Point::BeforeCommit);
    let committed = observed(observed::COMMIT, transaction.commit(), |()| None).await;
    faults::point(Point::AfterCommit);
    committed
}

/// Runs a statement and gives its rows.
pub async fn rows(conn: &mut PgConnection, statement: &Statement) -> Result<Vec<PgRow>, sqlx::Error> {
    observed(statement.name, prepared(statement).fetch_all(conn), |rows| Some(rows.len())).await
}

/// As [`rows`]; the text is not kept as a prepared statement.
pub async fn rows_passing(conn: &mut PgConnection, statement: &Statement) -> Result<Vec<PgRow>, sqlx::Error> {
    let query = prepared(statement).persistent(false);
    observed(statement.name, query.fetch_all(conn), |rows| Some(rows.len())).await
}

/// Runs a statement on any free connection, as a transaction of its own, and gives its rows.
pub async fn rows_alone(db: &db::Db, statement: &Statement) -> Result<Vec<PgRow>, sqlx::Error> {
    let rows = observed(statement.name, prepared(statement).fetch_all(db), |rows| Some(rows.len())).await;
    faults::point(Point::AfterStatement);
    rows
}

/// As [`rows_alone`], of a statement that gives one row at most. The connection keeps its text as a prepared statement
/// where that pays.
pub async fn row_alone(db: &db::Db, statement: &Statement, pays: bool) -> Result<Option<PgRow>, sqlx::Error> {
    let query = prepared(statement).persistent(pays);
    observed(statement.name, query.fetch_optional(db), |row| Some(row.iter().len())).await
}

/// Runs a statement and gives its rows one by one; PostgreSQL waits while none is taken.
pub fn row_by_row<'a>(
    conn: &'a mut PgConnection,
    statement: &'a Statement,
) -> BoxStream<'a, Result<PgRow, sqlx::Error>> {
    prepared(statement).fetch(conn)
}

/// Plan texts come from `planner` alone, which writes no value into them.
fn prepared(statement: &Statement) -> Query<'_, Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&statement.sql)));
    for binding in &statement.bindings {
        query = match binding {
            Binding::Text(value) => query.bind(value),
            Binding::Texts(value) => query.bind(value),
            Binding::Uuid(value) => query.bind(value),
            Binding::Uuids(value) => query.bind(value),
            Binding::Bools(value) => query.bind(value),
            Binding::BigInt(value) => query.bind(value),
            Binding::SmallInt(value) => query.bind(value),
            Binding::Bool(value) => query.bind(value),
        };
    }
    query
}

/// What a refused write means to the client. `None` when it is not the client's doing.
pub fn refusal(error: &sqlx::Error, collection: &str) -> Option<Error> {
    let refused = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    if refused.schema() == Some("eventus") {
        // Our own tables: no client can have done this, and none needs to know them.
        return None;
    }
    let table = refused.table().unwrap_or(collection);
    let (field, value) = match refused.detail().and_then(key_of) {
        Some((field, value)) => (field, Some(value)),
        None => (String::new(), None),
    };
    let field = refused.column().map_or(field, str::to_owned);
    let named = value.as_deref().filter(|value| !value.is_empty());
    let shown = named.map_or_else(String::new, |value| format!(" \"{value}\""));
    let of = |code: ErrorCode, message: String| {
        let mut error = Error::new(code).with_message(message).with("collection", table);
        if !field.is_empty() {
            error = error.with("field", field.as_str());
        }
        match &value {
            Some(value) => error.with("value", value.as_str()),
            None => error,
        }
    };
    Some(match refused.code() {
        "23505" => of(
            ErrorCode::RecordNotUnique,
            format!("Value{shown} for field \"{field}\" in collection \"{table}\" has to be unique."),
        ),
        "23503" => of(
            ErrorCode::InvalidForeignKey,
            format!("Invalid foreign key{shown} for field \"{field}\" in collection \"{table}\"."),
        ),
        "23502" => of(
            ErrorCode::NotNullViolation,
            format!("Value for field \"{field}\" in collection \"{table}\" can't be null."),
        ),
        "22001" => of(ErrorCode::ValueTooLong, format!("A value in collection \"{table}\" is too long.")),
        "54000" => of(
            ErrorCode::ValueTooLong,
            format!("A value in collection \"{table}\" is too long for its index."),
        ),
        "2200H" => Error::invalid_payload(format!("The keys of \"{table}\" have come to their end")),
        "22003" => {
            of(ErrorCode::ValueOutOfRange, format!("A value in collection \"{table}\" is out of range."))
        }
        "22P02" | "22007" | "22008" | "22009" | "22P05" => {
            Error::invalid_payload(format!("A value does not fit the type of its field in \"{table}\""))
        }
        _ if is_postgis(refused) => {
            Error::invalid_payload(format!("A value is no geometry that its field in \"{table}\" can hold"))
        }
        "23514" | "23P01" => {
            Error::invalid_payload(format!("A value breaks a rule of the table \"{table}\""))
        }
        _ => return None,
    })
}

/// PostGIS refused a value. Its errors have no codes of their own; the files of its source are.
pub fn is_postgis(error: &PgDatabaseError) -> bool {
    matches!(error.code(), "XX000" | "22023")
        && error.file().is_some_and(|file| file.starts_with("lwgeom") || file.starts_with("gserialized"))
}

/// `Key (slug)=(article-1) already exists.` -> `("slug", "article-1")`.
fn key_of(detail: &str) -> Option<(String, String)> {
    let rest = detail.strip_prefix("Key (")?;
    let (field, rest) = rest.split_once(")=(")?;
    let end = rest.rfind(") ").or_else(|| rest.rfind(')'))?;
    Some((field.trim_matches('"').to_owned(), rest[..end].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn details_name_field_and_value() {
        let key = |detail| key_of(detail).unwrap();
        assert_eq!(key("Key (slug)=(a-1) already exists."), ("slug".into(), "a-1".into()));
        assert_eq!(key("Key (\"odd name\")=(a) b) already exists."), ("odd name".into(), "a) b".into()));
        assert_eq!(
            key("Key (author)=(9) is not present in table \"authors\"."),
            ("author".into(), "9".into())
        );
        assert!(key_of("Failing row contains (1).").is_none());
    }
}
