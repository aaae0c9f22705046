//! The proof that what is remembered is still true: the control versions, and when they were asked for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bus::{Bus, Pings};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a proof is good.
pub const PROOF: Duration = Duration::from_secs(1);
/// Between two questions when nobody pings.
const PAUSE: Duration = Duration::from_millis(500);
/// Topics whose change changes what a token means.
const TOPICS: [&str; 2] = ["access", "sessions"];

/// Which generation of tokens is the present one.
#[derive(Debug)]
pub struct Freshness {
    proof: Mutex<Proof>,
    generation: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Proof {
    versions: Option<[i64; 2]>,
    /// When the question was sent that brought them.
    asked: Option<Instant>,
    generation: u64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { proof: Mutex::default(), generation: watch::Sender::new(0) }
    }
}

impl Freshness {
    /// The present generation; `None` when that can't be proven now.
    pub fn generation(&self) -> Option<u64> {
        if faults::is_on(faults::Mutant::StaleSessions) {
            return Some(0);
        }
        self.generation_at(Instant::now())
    }

    fn generation_at(&self, now: Instant) -> Option<u64> {
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = proof.asked?;
        (now.saturating_duration_since(asked) < PROOF).then_some(proof.generation)
    }

    /// Hears of every new generation.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Versions that were true at some time after `asked`.
    fn note(&self, versions: &HashMap<String, i64>, asked: Instant) {
        let versions = TOPICS.map(|topic| versions.get(topic).copied().unwrap_or(0));
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.asked = Some(asked);
        if proof.versions != Some(versions) {
            proof.versions = Some(versions);
            proof.generation += 1;
            self.generation.send_replace(proof.generation);
        }
    }

    /// Asks for the versions, every 500 ms and at every ping, for ever.
    pub async fn keep<F>(&self, bus: &Bus, ask: impl Fn() -> F + Send) -> Infallible
    where
        F: Future<Output = Result<HashMap<String, i64>, tonic::Status>> + Send,
    {
        let mut pings = None;
        loop {
            let asked = Instant::now();
            match tokio::time::timeout(PROOF, ask()).await {
                Ok(Ok(versions)) => self.note(&versions, asked),
                Ok(Err(status)) => tracing::debug!(%status, "control versions are not known"),
                Err(_) => tracing::debug!("control versions are not known in time"),
            }
            if pings.is_none() {
                pings = bus.pings("control").await.ok();
            }
            wait(&mut pings).await;
        }
    }
}

/// The pause, or a ping. Pings that came meanwhile count as one.
async fn wait(pings: &mut Option<Pings>) {
    let Some(stream) = pings else { return tokio::time::sleep(PAUSE).await };
    let next = tokio::time::timeout(PAUSE, stream.next()).await;
    if matches!(next, Ok(None)) {
        *pings = None;
        return tokio::time::sleep(PAUSE).await;
    }
    while let Some(Some(())) = stream.next().now_or_never() {}
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Freshness, PROOF};

    fn versions(access: i64, sessions: i64, schema: i64) -> HashMap<String, i64> {
        let pairs = [("access", access), ("sessions", sessions), ("schema", schema)];
        pairs.into_iter().map(|(topic, version)| (topic.to_owned(), version)).collect()
    }

    #[test]
    fn a_generation_needs_a_proof_that_is_fresh() {
        let freshness = Freshness::default();
        let start = Instant::now();
        assert_eq!(freshness.generation_at(start), None);
        freshness.note(&versions(1, 1, 1), start);
        assert_eq!(freshness.generation_at(start), Some(1));
        assert_eq!(freshness.generation_at(start + PROOF - Duration::from_millis(1)), Some(1));
        assert_eq!(freshness.generation_at(start + PROOF), None);
        freshness.note(&versions(1, 1, 2), start + PROOF);
        assert_eq!(freshness.generation_at(start + PROOF), Some(1));
    }

    #[test]
    fn changed_sessions_or_access_are_another_generation() {
        let freshness = Freshness::default();
        let start = Instant::now();
        let mut changes = freshness.subscribe();
        freshness.note(&versions(1, 1, 1), start);
        freshness.note(&versions(1, 2, 1), start);
        assert_eq!(freshness.generation_at(start), Some(2));
        freshness.note(&versions(2, 2, 1), start);
        assert_eq!(freshness.generation_at(start), Some(3));
        assert_eq!(*changes.borrow_and_update(), 3);
        freshness.note(&versions(2, 2, 9), start);
        assert!(!changes.has_changed().unwrap());
    }
}
