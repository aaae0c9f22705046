//! Takes due deliveries from the table. Whoever has taken one is the only one who attempts it, for a while.

use std::time::Duration;

use db::Db;
use model::TraceParent;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sending::slots::Room;

/// A delivery that this process may attempt.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub id: Uuid,
    pub endpoint: Uuid,
    pub position: i64,
    pub event: String,
    pub traceparent: Option<TraceParent>,
    /// Attempts before this one, since it was queued or replayed.
    pub attempts: i32,
    /// Ours until then; also says that it is still ours.
    pub locked_until: OffsetDateTime,
    pub url: String,
    pub secret: String,
}

// A few of each endpoint by its own index, then the first of each before the second of any.
const TAKE: &str = "
WITH due AS MATERIALIZED (
    SELECT found.id, found.next_attempt,
        row_number() OVER (PARTITION BY endpoint.id ORDER BY found.next_attempt) AS turn
    FROM eventus.webhook_endpoints endpoint
    LEFT JOIN UNNEST($1::uuid[], $2::bigint[]) AS busy (endpoint, room) ON busy.endpoint = endpoint.id
    CROSS JOIN LATERAL (
        SELECT id, next_attempt FROM eventus.webhook_deliveries delivery
        WHERE delivery.endpoint = endpoint.id AND state = 'pending' AND next_attempt <= now()
            AND (locked_until IS NULL OR locked_until <= now())
        ORDER BY next_attempt
        LIMIT COALESCE(busy.room, $3::bigint)
        FOR UPDATE SKIP LOCKED
    ) found
    WHERE endpoint.enabled
), taken AS (
    SELECT id FROM due ORDER BY turn, next_attempt LIMIT $4::bigint
)
UPDATE eventus.webhook_deliveries delivery
SET locked_until = now() + $5::bigint * interval '1 millisecond'
FROM taken, eventus.webhook_endpoints endpoint
WHERE delivery.id = taken.id AND endpoint.id = delivery.endpoint
RETURNING delivery.id, delivery.endpoint, delivery.position, delivery.event, delivery.traceparent,
    delivery.attempts - delivery.attempts_before, delivery.locked_until, endpoint.url, endpoint.secret";

/// Takes what is due, as far as there is room.
pub(crate) async fn take(db: &Db, room: &Room, lock: Duration) -> Result<Vec<Delivery>, sqlx::Error> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (busy, rooms): (Vec<Uuid>, Vec<i64>) =
        room.endpoints.iter().map(|(id, room)| (*id, number(*room))).unzip();
    let rows = sqlx::query(TAKE)
        .bind(busy)
        .bind(rooms)
        .bind(number(room.each))
        .bind(number(room.total))
        .bind(model::milliseconds(lock))
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Delivery, sqlx::Error> {
    Ok(Delivery {
        id: row.try_get(0)?,
        endpoint: row.try_get(1)?,
        position: row.try_get(2)?,
        event: row.try_get(3)?,
        traceparent: row.try_get::<Option<&str>, _>(4)?.and_then(TraceParent::parse),
        attempts: row.try_get(5)?,
        locked_until: row.try_get(6)?,
        url: row.try_get(7)?,
        secret: row.try_get(8)?,
    })
}

/// Milliseconds until the next delivery becomes due, if that is within `$1`.
pub(super) const NEXT: &str = "
SELECT (extract(epoch FROM min(next_attempt) - now()) * 1000)::bigint FROM eventus.webhook_deliveries
WHERE state = 'pending' AND next_attempt > now() AND next_attempt < now() + $1::bigint * interval '1 millisecond'";
