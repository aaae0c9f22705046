//! What operators see of webhooks: attempts by outcome, how long they took, how many deliveries wait.

use std::time::Duration;

use chassis::metrics::{Histogram, IntCounter, IntCounterVec, IntGauge, SECONDS, counter, gauge, histogram};

/// Counters of this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    attempts: IntCounterVec,
    seconds: Histogram,
    pending: IntGauge,
    disabled: IntCounter,
}

impl Metrics {
    pub fn new() -> Self {
        let attempts =
            "Attempts at webhook deliveries; succeeded, status (an answer that is no success), or no answer.";
        let pending = "Webhook deliveries that are neither made nor given up, in the whole fleet.";
        let disabled = "Endpoints that were disabled because they answered 410.";
        let none: &[&str] = &[];
        let seconds = "Time that attempts at webhook deliveries took.";
        Self {
            attempts: counter("eventus_webhook_attempts_total", attempts, &["outcome"]),
            seconds: histogram("eventus_webhook_seconds", seconds, none, SECONDS).with_label_values(none),
            pending: gauge("eventus_webhook_pending", pending, none).with_label_values(none),
            disabled: counter("eventus_webhook_disabled_total", disabled, none).with_label_values(none),
        }
    }

    /// An attempt is over.
    pub fn attempted(&self, outcome: &str, took: Duration) {
        self.attempts.with_label_values(&[outcome]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// So many deliveries wait.
    pub fn pending(&self, count: i64) {
        self.pending.set(count);
    }

    /// An endpoint was disabled.
    pub fn disabled(&self) {
        self.disabled.inc();
    }
}
