//! Makes known which filter hooks there are: rows in `eventus.filter_registrations`.
//!
//! Whoever writes items keeps these rows in memory and asks only for them; the control topic `filters` tells him
//! that they have changed.

use db::Db;
use model::EventName;
use sqlx::{PgConnection, Row as _};

use crate::registry::Row;

/// Control topic of the registrations.
pub(crate) const TOPIC: &str = "filters";

// One writer at a time; readers go on.
const LOCK: &str = "LOCK TABLE eventus.filter_registrations IN SHARE ROW EXCLUSIVE MODE";

// In the order of `Row`, byte by byte.
const READ: &str = r#"
SELECT hook, event, collection, priority FROM eventus.filter_registrations
ORDER BY hook COLLATE "C", event COLLATE "C", collection COLLATE "C""#;

const CLEAR: &str = "DELETE FROM eventus.filter_registrations";

const WRITE: &str = "
INSERT INTO eventus.filter_registrations (hook, event, collection, priority)
SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::int[])";

/// Makes the table hold these rows and no others; says whether it had to be changed. The set and the control
/// topic change in one transaction.
pub(crate) async fn replace(db: &Db, rows: &[Row]) -> Result<bool, crate::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    if read(&mut transaction).await? == rows {
        return Ok(false);
    }
    sqlx::query(CLEAR).execute(&mut *transaction).await?;
    sqlx::query(WRITE)
        .bind(column(rows, |row| row.hook.clone()))
        .bind(column(rows, |row| row.event.clone()))
        .bind(column(rows, |row| row.collection.clone()))
        .bind(column(rows, |row| row.priority))
        .execute(&mut *transaction)
        .await?;
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    Ok(true)
}

const NAMED: &str = "
SELECT DISTINCT hook FROM eventus.filter_registrations
WHERE event = $1 AND (collection = $2 OR (collection = '*' AND NOT starts_with($2, 'directus_')))";

/// Names of the hooks that are registered for an event of a collection, by whichever process.
pub(crate) async fn named(db: &Db, event: &EventName, collection: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(NAMED).bind(event.as_str()).bind(collection).fetch_all(db).await
}

async fn read(conn: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
    let row = |row: &sqlx::postgres::PgRow| {
        Ok(Row {
            hook: row.try_get(0)?,
            event: row.try_get(1)?,
            collection: row.try_get(2)?,
            priority: row.try_get(3)?,
        })
    };
    sqlx::query(READ).fetch_all(conn).await?.iter().map(row).collect()
}

fn column<T>(rows: &[Row], of: impl FnMut(&Row) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
