//! What the relay counts, and what operators see of its backlog.

use chassis::metrics::{self, Histogram, IntCounter, IntGauge};
use db::Db;
use model::Event;
use time::OffsetDateTime;

/// Counters of the process that relays.
pub(super) struct Counted {
    events: IntCounter,
    seconds: Histogram,
}

impl Counted {
    pub(super) fn new() -> Self {
        let events = metrics::counter("eventus_relay_events_total", "Events acknowledged by the bus.", &[]);
        let help = "Seconds from an event's append to the log until the bus has acknowledged it.";
        let seconds = metrics::histogram("eventus_relay_seconds", help, &[], metrics::DELAYS);
        Self {
            events: events.with_label_values::<&str>(&[]),
            seconds: seconds.with_label_values::<&str>(&[]),
        }
    }

    /// The bus has these events now.
    pub(super) fn acknowledged(&self, events: &[Event], now: OffsetDateTime) {
        self.events.inc_by(events.len() as u64);
        for event in events {
            self.seconds.observe((now - event.time).as_seconds_f64().max(0.0));
        }
    }
}

/// How far log and relay are, told by whoever looks after the log, also while no relay runs.
pub(crate) struct Backlog {
    head: IntGauge,
    position: IntGauge,
    waiting: IntGauge,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        let gauge = |name: &str, help: &str| metrics::gauge(name, help, &[]).with_label_values::<&str>(&[]);
        let waiting =
            "Age of the oldest event that is not known to be on the bus, in seconds; 0: there is none.";
        Self {
            head: gauge("eventus_log_head", "Greatest position in the log."),
            position: gauge(
                "eventus_relay_position",
                "Position up to which the bus has acknowledged events.",
            ),
            waiting: gauge("eventus_relay_waiting_seconds", waiting),
        }
    }

    /// Looks.
    pub(crate) async fn tell(&self, db: &Db) -> Result<(), sqlx::Error> {
        let (head, position, waiting): (i64, i64, i64) = sqlx::query_as(
            "SELECT coalesce((SELECT max(position) FROM eventus.events), 0), r.position, coalesce((
                 SELECT extract(epoch FROM clock_timestamp() - e.time)::bigint FROM eventus.events e
                 WHERE e.position > r.position ORDER BY e.position LIMIT 1
             ), 0)
             FROM eventus.relay r",
        )
        .fetch_one(db)
        .await?;
        self.head.set(head);
        self.position.set(position);
        self.waiting.set(waiting);
        Ok(())
    }
}
