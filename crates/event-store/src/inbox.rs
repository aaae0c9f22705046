//! The inbox: which events a consumer has applied, written in the transaction of the effect.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// Enters events (id, position) into a consumer's inbox in the caller's transaction, and returns the ids of those
/// that are new, in the order given. The others have been applied already: their effect must not happen again.
///
/// Waits for a transaction that is entering the same events. Call `PgLedger::low_water` once before the first use
/// of a consumer's name, as the consumer loop does.
///
/// # Errors
/// When the database is away.
pub async fn claim(
    connection: &mut PgConnection,
    consumer: &str,
    events: &[(Uuid, i64)],
) -> Result<Vec<Uuid>, Error> {
    let (ids, positions): (Vec<Uuid>, Vec<i64>) = events.iter().copied().unzip();
    // Sorted, so that two transactions with the same events wait for each other instead of locking up.
    let entered: Vec<(Uuid, i64)> = sqlx::query_as(
        "INSERT INTO eventus.inbox (consumer, event_id, position)
         SELECT $1, id, position FROM unnest($2::uuid[], $3::bigint[]) event (id, position) ORDER BY id
         ON CONFLICT DO NOTHING
         RETURNING event_id, position",
    )
    .bind(consumer)
    .bind(&ids)
    .bind(&positions)
    .fetch_all(&mut *connection)
    .await?;
    faults::point(faults::Point::AfterClaim);
    if entered.is_empty() {
        return Ok(Vec::new());
    }
    // The mark is read after the rows were entered, by a statement of its own: an entry that was missing because
    // it had been pruned is at or below the mark that pruned it.
    let low_water: Option<i64> =
        sqlx::query_scalar("SELECT low_water FROM eventus.consumers WHERE name = $1")
            .bind(consumer)
            .fetch_optional(connection)
            .await?;
    let low_water = low_water.unwrap_or(0);
    let mut new: std::collections::HashSet<Uuid> =
        entered.into_iter().filter(|(_, position)| *position > low_water).map(|(id, _)| id).collect();
    Ok(ids.into_iter().filter(|id| new.remove(id)).collect())
}
