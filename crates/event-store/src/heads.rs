//! Versions of items, for appends that are no part of a planner's statement.
//!
//! Both take the head's row lock before the caller appends, which is what keeps the order within an item.

use sqlx::PgConnection;

use crate::Error;

/// The version of an item that is made now with a given key: 1, or one more than it had before it was deleted.
///
/// # Errors
/// When the database is away.
pub async fn created(connection: &mut PgConnection, collection: &str, key: &str) -> Result<i64, Error> {
    next(connection, collection, key, 1).await
}

/// The version of an item after the change that is made now. An item without a head had version 1.
///
/// # Errors
/// When the database is away.
pub async fn changed(connection: &mut PgConnection, collection: &str, key: &str) -> Result<i64, Error> {
    next(connection, collection, key, 2).await
}

async fn next(
    connection: &mut PgConnection,
    collection: &str,
    key: &str,
    without_head: i64,
) -> Result<i64, Error> {
    let version = sqlx::query_scalar(
        "INSERT INTO eventus.heads AS head (collection, key, version) VALUES ($1, $2, $3)
         ON CONFLICT (collection, key) DO UPDATE SET version = head.version + 1
         RETURNING version",
    )
    .bind(collection)
    .bind(key)
    .bind(without_head)
    .fetch_one(connection)
    .await?;
    Ok(version)
}
