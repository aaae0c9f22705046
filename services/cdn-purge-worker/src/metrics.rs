//! What operators see of purges: requests by outcome, how long they took, how many wait.

use std::time::Duration;

use chassis::metrics::{Histogram, IntCounterVec, IntGauge, SECONDS, counter, gauge, histogram};

/// Counters of this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    purges: IntCounterVec,
    seconds: Histogram,
    pending: IntGauge,
}

impl Metrics {
    pub fn new() -> Self {
        let purges = "Purge requests; succeeded, status (an answer that is no success), or no answer.";
        let (seconds, pending) =
            ("Time that purge requests took.", "Purges that the CDN still has to be asked for.");
        let none: &[&str] = &[];
        Self {
            purges: counter("eventus_purges_total", purges, &["outcome"]),
            seconds: histogram("eventus_purge_seconds", seconds, none, SECONDS).with_label_values(none),
            pending: gauge("eventus_purges_pending", pending, none).with_label_values(none),
        }
    }

    /// A request is over.
    pub fn attempted(&self, outcome: &str, took: Duration) {
        self.purges.with_label_values(&[outcome]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// So many wait.
    pub fn pending(&self, count: i64) {
        self.pending.set(count);
    }
}
