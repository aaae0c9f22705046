//! What is counted of live streams.

use std::sync::LazyLock;

use chassis::metrics::{self, Histogram, IntCounter, IntCounterVec, IntGauge};
use planner::Telling;

/// Counters of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// See [`METRICS`].
pub struct Metrics {
    /// Streams that are open.
    pub listeners: IntGauge,
    /// Groups of listeners who are told the same.
    pub groups: IntGauge,
    /// Statements that asked which items are seen.
    pub reads: IntCounter,
    /// Messages that were handed to listeners.
    pub messages: IntCounter,
    /// Listeners that fell behind and read the log by themselves.
    pub behind: IntCounter,
    /// Changes that PostgreSQL could not judge.
    pub doubtful: IntCounter,
    /// Streams that could not go on where they were asked to.
    pub resets: IntCounterVec,
    /// From the event's append to its hand-over.
    pub seconds: Histogram,
    events: IntCounterVec,
}

impl Metrics {
    fn new() -> Self {
        let one = |name: &str, help: &str| metrics::counter(name, help, &[]).with_label_values::<&str>(&[]);
        let gauge = |name: &str, help: &str| metrics::gauge(name, help, &[]).with_label_values::<&str>(&[]);
        let seconds = metrics::histogram(
            "eventus_live_seconds",
            "Time from an event's append to its hand-over to a group of listeners.",
            &[],
            metrics::SECONDS,
        );
        Self {
            listeners: gauge("eventus_live_listeners", "Open streams of events."),
            groups: gauge("eventus_live_groups", "Groups of listeners who are told the same."),
            reads: one("eventus_live_reads_total", "Statements that asked which items listeners see."),
            messages: one("eventus_live_messages_total", "Events handed to listeners."),
            behind: one(
                "eventus_live_behind_total",
                "Listeners that fell behind and read the log themselves.",
            ),
            doubtful: one("eventus_live_doubtful_total", "Changes nobody was told of: they can't be judged."),
            resets: metrics::counter(
                "eventus_live_resets_total",
                "Streams that could not go on where they were asked to.",
                &["reason"],
            ),
            events: metrics::counter(
                "eventus_live_judged_total",
                "Events judged for groups of listeners, by what was looked at.",
                &["by"],
            ),
            seconds: seconds.with_label_values::<&str>(&[]),
        }
    }

    /// So many events were judged.
    pub fn judged(&self, count: usize, telling: &Telling) {
        let by = match telling {
            Telling::ByItem => "items",
            Telling::Nothing | Telling::Fields(_) => "rules",
        };
        self.events.with_label_values(&[by]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
