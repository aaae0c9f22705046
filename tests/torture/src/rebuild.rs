//! I19: the stream's store and the counts are thrown away; both must come back from the log.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::ground::Ground;
use crate::observe::{Facts, daily, stream};
use crate::quiet;

/// What a consumer of read models remembers and what it has made.
const FORGET: &str = "TRUNCATE eventus.analytics_daily; DELETE FROM eventus.inbox WHERE consumer = 'analytics'; \
     DELETE FROM eventus.consumers WHERE name = 'analytics'";

/// Does it; gives how much was compared, and what differs.
///
/// # Panics
/// When the database does not answer.
pub async fn run(ground: &Ground, facts: &Facts, bound: Duration) -> (usize, Vec<String>) {
    let fleet = &ground.fleet;
    let (first, second) = (fleet.find("analytics", 0), fleet.find("analytics", 1));
    {
        let (mut one, mut two) = (fleet.hold(first).await, fleet.hold(second).await);
        fleet.kill(&mut one);
        fleet.kill(&mut two);
        sqlx::raw_sql(FORGET).execute(&ground.pool).await.expect("the database is there");
        let mut nats = ground.nats.lock().await;
        nats.kill9().await;
        nats.wipe_store();
        nats.restart().await;
        fleet.start(first, &mut one);
        fleet.start(second, &mut two);
    }
    if let Err(owed) = quiet::wait(ground, bound).await {
        return (0, vec![owed]);
    }
    let mut differences = Vec::new();
    let counts = daily(ground).await;
    if counts != facts.daily {
        differences.push(format!("counts: {counts:?}, were {:?}", facts.daily));
    }
    // The counts may have come from the log, before the relay has seen that its stream is gone.
    let end = Instant::now() + bound;
    let mut streamed = stream(ground).await;
    while !missing(facts, &streamed).is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        streamed = stream(ground).await;
    }
    let missing = missing(facts, &streamed);
    differences
        .extend(missing.into_iter().map(|position| format!("event {position} is not in the stream again")));
    if !streamed.is_sorted_by(|one, next| one.1 < next.1) {
        differences.push("the stream is not in order".to_owned());
    }
    (facts.events.len() + counts.len(), differences)
}

/// Positions of the events that are not in the stream.
fn missing(facts: &Facts, streamed: &[(String, i64)]) -> Vec<i64> {
    let ids: BTreeSet<&str> = streamed.iter().map(|(id, _)| id.as_str()).collect();
    let missing = facts.events.iter().filter(|event| !ids.contains(event.id.as_str()));
    missing.map(|event| event.position).collect()
}
