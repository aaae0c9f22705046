//! Partitions of the log: made ahead of need, dropped whole when their time is over.

use crate::Error;

/// How many partitions (4,194,304 positions each) stand ready beyond the one in use.
pub const AHEAD: i32 = 2;

/// Makes the missing partitions ahead of the log; returns how many it made. Idempotent, safe side by side, and
/// it stops neither writers nor readers. The relay's holder calls it at its start and each minute.
///
/// # Errors
/// When the database is away.
pub async fn ensure(db: &db::Db) -> Result<u32, Error> {
    let made: i32 =
        sqlx::query_scalar("SELECT eventus.ensure_event_partitions($1)").bind(AHEAD).fetch_one(db).await?;
    Ok(made.unsigned_abs())
}
