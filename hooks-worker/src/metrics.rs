//! What operators see of hooks: how often each ran, how it ended, how long it took.

use std::time::Duration;

use chassis::metrics::{HistogramVec, IntCounterVec, SECONDS, counter, histogram};

/// Counters of all hooks. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    runs: IntCounterVec,
    seconds: HistogramVec,
}

/// What kind of hook ran.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Filter,
    Action,
    Schedule,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Ok,
    /// A filter hook did not want the write.
    Refused,
    Failed,
    Panicked,
    /// Took longer than it may.
    TimedOut,
}

impl Metrics {
    pub fn new() -> Self {
        let labels = ["kind", "hook"];
        Self {
            runs: counter("eventus_hook_runs_total", "Runs of hooks.", &["kind", "hook", "outcome"]),
            seconds: histogram("eventus_hook_seconds", "Time that runs of hooks took.", &labels, SECONDS),
        }
    }

    /// A run ended; an action hook's run is one batch of events.
    pub fn ran(&self, kind: Kind, hook: &str, outcome: Outcome, took: Duration) {
        let kind = match kind {
            Kind::Filter => "filter",
            Kind::Action => "action",
            Kind::Schedule => "schedule",
        };
        let outcome = match outcome {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Panicked => "panicked",
            Outcome::TimedOut => "timed_out",
        };
        self.runs.with_label_values(&[kind, hook, outcome]).inc();
        self.seconds.with_label_values(&[kind, hook]).observe(took.as_secs_f64());
    }
}
