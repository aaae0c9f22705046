//! Wrong passwords of a share: so many from one address, and so many in all, in a while. Counted in the database, so that
//! they count in every process and over restarts.

use std::time::Duration;

use model::{Error as Told, ErrorCode};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// How long they count together.
const WHILE: Duration = Duration::from_secs(15 * 60);
/// From one address.
const OF_ADDRESS: i64 = 10;
/// From all.
const OF_ALL: i64 = 100;

/// Refuses when too many have failed.
///
/// # Errors
/// `REQUESTS_EXCEEDED`.
pub async fn check(
    executor: impl PgExecutor<'_>,
    share: Uuid,
    address: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    const COUNT: &str = "SELECT coalesce(sum(failed) FILTER (WHERE address = $2), 0)::bigint, coalesce(sum(failed), 0)::bigint
        FROM eventus.share_attempts WHERE share = $1 AND since > $3";
    let counted = sqlx::query_as(COUNT).bind(share).bind(address).bind(now - WHILE);
    let (own, all): (i64, i64) = counted.fetch_one(executor).await?;
    if own < OF_ADDRESS && all < OF_ALL {
        return Ok(());
    }
    let mut told = Told::new(ErrorCode::RequestsExceeded);
    told.retry_after = u32::try_from(WHILE.as_secs()).ok();
    Err(told.into())
}

/// Counts one.
pub async fn failed(
    executor: impl PgExecutor<'_>,
    share: Uuid,
    address: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    const COUNT: &str =
        "INSERT INTO eventus.share_attempts AS a (share, address, since, failed) VALUES ($1, $2, $3, 1)
        ON CONFLICT (share, address) DO UPDATE SET
            failed = CASE WHEN a.since > $4 THEN a.failed + 1 ELSE 1 END,
            since = CASE WHEN a.since > $4 THEN a.since ELSE $3 END";
    sqlx::query(COUNT).bind(share).bind(address).bind(now).bind(now - WHILE).execute(executor).await?;
    Ok(())
}

/// Forgets those that don't count any more.
pub async fn sweep(executor: impl PgExecutor<'_>, now: OffsetDateTime) -> Result<(), Error> {
    let old = "DELETE FROM eventus.share_attempts WHERE since <= $1";
    sqlx::query(old).bind(now - WHILE).execute(executor).await?;
    Ok(())
}
