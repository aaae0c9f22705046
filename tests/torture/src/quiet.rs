//! Waiting until nothing is owed any more: the relay is at the end of the log, every consumer has done everything,
//! every delivery and purge has ended, every process is ready.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;

use crate::ground::Ground;
use crate::plan::WORKERS;

const OWED: &str = "SELECT (SELECT coalesce(max(position), 0) FROM eventus.events) AS last, \
     (SELECT position FROM eventus.relay) AS relayed, \
     (SELECT coalesce(min(low_water), 0) FROM eventus.consumers) AS applied, \
     (SELECT count(*) FROM eventus.consumers) AS consumers, \
     (SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'pending') AS deliveries, \
     (SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')) AS purges";

/// Waits; gives how long it took, or what was still owed at the bound.
///
/// # Errors
/// What was not well at the bound.
pub async fn wait(ground: &Ground, bound: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        let owed = owed(ground).await;
        if owed.is_empty() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > bound {
            return Err(format!("not quiet after {bound:?}: {owed}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is owed; empty when nothing is.
async fn owed(ground: &Ground) -> String {
    let row: Result<(i64, i64, i64, i64, i64, i64), _> = sqlx::query_as(OWED).fetch_one(&ground.pool).await;
    let (last, relayed, applied, consumers, deliveries, purges) = match row {
        Ok(row) => row,
        Err(error) => return format!("the database does not answer: {error}"),
    };
    let all = i64::try_from(WORKERS.len()).unwrap_or(0);
    if relayed < last || applied < last || consumers < all || deliveries + purges > 0 {
        return format!(
            "log at {last}, relayed {relayed}, applied {applied} by {consumers}, {deliveries} deliveries, {purges} purges"
        );
    }
    let unready = ground.fleet.unready().await;
    if !unready.is_empty() {
        return format!("not ready: {}", unready.join(", "));
    }
    let pending = tokio::time::timeout(Duration::from_secs(10), pending(ground)).await;
    match pending {
        Ok(Some(0)) => String::new(),
        Ok(Some(count)) => format!("{count} messages are not acknowledged"),
        Ok(None) | Err(_) => "a consumer is missing".to_owned(),
    }
}

/// Messages that a consumer of the fleet has not acknowledged.
async fn pending(ground: &Ground) -> Option<u64> {
    let client = ground.nats.lock().await.client().await;
    let stream = jetstream::new(client).get_stream("EVENTS").await.ok()?;
    let mut count = 0;
    for name in WORKERS {
        let mut consumer: jetstream::consumer::Consumer<pull::Config> =
            stream.get_consumer(name).await.ok()?;
        let info = consumer.info().await.ok()?;
        count += info.num_pending + info.num_ack_pending as u64;
    }
    Some(count)
}
