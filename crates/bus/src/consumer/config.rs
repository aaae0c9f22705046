//! How a consumer is to run.

use std::time::Duration;

use model::Event;

use crate::subject;

/// Settings of a consumer. `new` gives all but name and subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Durable name; also its name in the ledger and in metrics: `[a-z0-9-]`.
    pub name: String,
    /// Which events, without the installation's prefix: `items.>`, `users.create`.
    pub filter_subjects: Vec<String>,
    /// Events delivered and not yet done, at most: bounds memory.
    pub max_in_flight: usize,
    /// Handlers that run side by side.
    pub lanes: usize,
    /// Events handed to the handler at once, at most.
    pub batch: usize,
    /// How long the broker waits before it delivers again what a dead process held.
    pub ack_wait: Duration,
    /// Attempts at an event before it becomes a dead letter. Unavailability does not count.
    pub max_attempts: u32,
    /// Waits between attempts; the last one repeats.
    pub backoff: Vec<Duration>,
    /// False: events marked silent are passed over.
    pub process_silent: bool,
    /// How long the active process may be mute before a stand-by takes over.
    pub takeover: Duration,
}

impl ConsumerConfig {
    /// Default settings.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        filter_subjects: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            filter_subjects: filter_subjects.into_iter().map(Into::into).collect(),
            max_in_flight: 2048,
            lanes: 16,
            batch: 256,
            ack_wait: Duration::from_secs(10),
            max_attempts: 10,
            backoff: [100, 500, 2_000, 10_000, 30_000].map(Duration::from_millis).to_vec(),
            process_silent: true,
            takeover: Duration::from_secs(4),
        }
    }

    /// Whether an event is this consumer's business: whether the broker would deliver it, and it would be handled.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.concerns(event) && (self.process_silent || !event.silent)
    }

    /// Whether the broker would deliver an event to this consumer.
    pub(super) fn concerns(&self, event: &Event) -> bool {
        let subject = subject("", event);
        self.filter_subjects.is_empty()
            || self.filter_subjects.iter().any(|pattern| subject::matches(pattern, &subject))
    }

    /// How long to wait after this many attempts.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let index = (attempts.max(1) as usize - 1).min(self.backoff.len().saturating_sub(1));
        self.backoff.get(index).copied().unwrap_or(Duration::from_secs(1))
    }
}
