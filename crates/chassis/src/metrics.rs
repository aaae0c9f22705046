//! The process's Prometheus registry. Names are `eventus_*`, units seconds and bytes, counters end in `_total`.
//!
//! The makers may be called anywhere and often; they give the same metric each time. They take a lock: on a hot
//! path keep what they gave.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use prometheus::core::Collector;
pub use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use prometheus::{HistogramOpts, Opts, Registry, TextEncoder};

/// Buckets for waits and work, in seconds: 0.5 ms to 10 s.
pub const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets for short waits whose quantiles matter, in seconds: 0.25 ms to 60 s, close together up to 100 ms.
pub const DELAYS: &[f64] = &[
    0.000_25, 0.000_5, 0.000_75, 0.001, 0.001_5, 0.002, 0.002_5, 0.003, 0.004, 0.005, 0.007, 0.01, 0.015,
    0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// Buckets for sizes, in bytes: 256 B to 64 MiB.
pub const BYTES: &[f64] = &[
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

struct Known {
    registry: Registry,
    by_name: HashMap<String, Box<dyn Any + Send>>,
}

static KNOWN: LazyLock<Mutex<Known>> =
    LazyLock::new(|| Mutex::new(Known { registry: Registry::new(), by_name: HashMap::new() }));

/// A counter.
///
/// # Panics
/// If the name or a label is no Prometheus name, or the name is taken by another kind: a mistake in the code.
pub fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    once(name, || IntCounterVec::new(Opts::new(name, help), labels))
}

/// A gauge. Panics as `counter`.
pub fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    once(name, || IntGaugeVec::new(Opts::new(name, help), labels))
}

/// A histogram with these upper bounds (`SECONDS`, `BYTES` or your own). Panics as `counter`.
pub fn histogram(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    once(name, || HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

/// All metrics in Prometheus's text form.
pub fn render() -> String {
    let families = {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.registry.gather()
    };
    let mut text = String::with_capacity(16 * 1024);
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
        tracing::error!(%error, "metrics can't be written");
    }
    text
}

fn once<V: Collector + Clone + 'static>(name: &str, make: impl FnOnce() -> prometheus::Result<V>) -> V {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metric) = known.by_name.get(name) {
        let metric = metric.downcast_ref::<V>().cloned();
        drop(known);
        return metric.unwrap_or_else(|| panic!("metric {name} is of another kind"));
    }
    let made = make().and_then(|metric| known.registry.register(Box::new(metric.clone())).map(|()| metric));
    match made {
        Ok(metric) => {
            known.by_name.insert(name.to_owned(), Box::new(metric.clone()));
            metric
        }
        Err(error) => {
            drop(known);
            panic!("metric {name}: {error}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SECONDS, counter, gauge, histogram, render};

    #[test]
    fn a_name_is_one_metric() {
        counter("eventus_test_calls_total", "Calls.", &["code"]).with_label_values(&["ok"]).inc();
        counter("eventus_test_calls_total", "Calls.", &["code"]).with_label_values(&["ok"]).inc();
        gauge("eventus_test_lag", "Lag.", &[]).with_label_values::<&str>(&[]).set(7);
        histogram("eventus_test_seconds", "Time.", &[], SECONDS)
            .with_label_values::<&str>(&[])
            .observe(0.003);
        let text = render();
        assert!(text.contains("eventus_test_calls_total{code=\"ok\"} 2"), "{text}");
        assert!(text.contains("eventus_test_lag 7"));
        assert!(text.contains("eventus_test_seconds_bucket{le=\"0.005\"} 1"));
    }
}
