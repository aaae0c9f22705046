//! What a consumer counts.

use chassis::metrics::{self, Histogram, IntCounter, IntGauge};
use model::{Clock as _, Event, SystemClock};

/// Counters of one consumer.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    /// Events that the broker has and we have not acknowledged.
    pub lag: IntGauge,
    /// Position up to which everything is done.
    pub low_water: IntGauge,
    pub done: IntCounter,
    pub retried: IntCounter,
    pub buried: IntCounter,
    pub silent: IntCounter,
    pub duplicate: IntCounter,
    pub garbage: IntCounter,
    /// Given once more, by an operator's wish.
    pub replayed: IntCounter,
    /// Seconds that a call of the handler took.
    pub seconds: Histogram,
    /// Seconds from an event's append to the log until its effects are durable.
    delay: Histogram,
}

impl Metrics {
    pub(super) fn new(consumer: &str) -> Self {
        let help = "Events by what came of them";
        let events = metrics::counter("eventus_consumer_events_total", help, &["consumer", "outcome"]);
        let outcome = |outcome| events.with_label_values(&[consumer, outcome]);
        let help = "Events on the bus that the consumer has not acknowledged";
        let lag = metrics::gauge("eventus_consumer_lag", help, &["consumer"]);
        let help = "Log position up to which the consumer has done everything";
        let low_water = metrics::gauge("eventus_consumer_low_water", help, &["consumer"]);
        let help = "Seconds that one call of the consumer's handler took";
        let seconds = metrics::histogram("eventus_consumer_seconds", help, &["consumer"], metrics::SECONDS);
        let help = "Seconds from an event's append to the log until the consumer has done it";
        let delay =
            metrics::histogram("eventus_consumer_delay_seconds", help, &["consumer"], metrics::DELAYS);
        Self {
            delay: delay.with_label_values(&[consumer]),
            lag: lag.with_label_values(&[consumer]),
            low_water: low_water.with_label_values(&[consumer]),
            done: outcome("done"),
            retried: outcome("retried"),
            buried: outcome("buried"),
            silent: outcome("silent"),
            duplicate: outcome("duplicate"),
            garbage: outcome("garbage"),
            replayed: outcome("replayed"),
            seconds: seconds.with_label_values(&[consumer]),
        }
    }

    /// The effects of these events are durable now.
    pub(super) fn applied(&self, events: &[Event]) {
        let now = SystemClock.now();
        for event in events {
            self.delay.observe((now - event.time).as_seconds_f64().max(0.0));
        }
    }
}
