//! What is told of each statement: a client span where spans are exported, and always its time.
//!
//! This is on the way of every request: a name is a constant, its histogram is found without a lock, nothing is allocated.

use std::sync::LazyLock;
use std::time::Instant;

use chassis::metrics::{self, Histogram};
use tracing::{Instrument as _, field};

/// Name of the beginning of a transaction.
pub(super) const BEGIN: &str = "begin";
/// Name of the end of a transaction, where its changes are made safe.
pub(super) const COMMIT: &str = "commit";

static SECONDS: LazyLock<Vec<(&'static str, Histogram)>> = LazyLock::new(|| {
    let help = "Time until a statement's rows were here, the wait for a connection included.";
    let seconds = metrics::histogram("eventus_sql_seconds", help, &["statement"], metrics::SECONDS);
    let names = planner::STATEMENT_NAMES.into_iter().chain([BEGIN, COMMIT]);
    names.map(|name| (name, seconds.with_label_values(&[name]))).collect()
});

/// Does the work of the statement `name`. `rows` says how many came back, where that is known.
pub async fn observed<T, E>(
    name: &'static str,
    work: impl Future<Output = Result<T, E>>,
    rows: impl FnOnce(&T) -> Option<usize>,
) -> Result<T, E> {
    let span = tracing::info_span!(
        target: chassis::trace::EXPORTED,
        "db",
        otel.name = name,
        otel.kind = "client",
        otel.status_code = field::Empty,
        db.system.name = "postgresql",
        db.operation.name = name,
        db.response.returned_rows = field::Empty,
    );
    let begun = Instant::now();
    let outcome = work.instrument(span.clone()).await;
    if let Some((_, seconds)) = SECONDS.iter().find(|(known, _)| *known == name) {
        seconds.observe(begun.elapsed().as_secs_f64());
    }
    match &outcome {
        Ok(done) => {
            if let Some(rows) = rows(done) {
                span.record("db.response.returned_rows", rows);
            }
        }
        Err(_) => {
            span.record("otel.status_code", "ERROR");
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    use super::{BEGIN, COMMIT, SECONDS, observed};

    fn now<T>(work: impl Future<Output = T>) -> T {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => unreachable!("nothing to wait for"),
        }
    }

    #[test]
    fn every_statement_has_its_time() {
        let count = |name| SECONDS.iter().find(|(known, _)| *known == name).unwrap().1.get_sample_count();
        for name in planner::STATEMENT_NAMES.into_iter().chain([BEGIN, COMMIT]) {
            let before = count(name);
            now(observed(name, async { Ok::<_, ()>(7_usize) }, |rows| Some(*rows))).unwrap();
            now(observed(name, async { Err::<usize, _>(()) }, |rows| Some(*rows))).unwrap_err();
            assert_eq!(count(name), before + 2);
        }
    }

    #[test]
    fn a_statement_pays_next_to_nothing() {
        let rounds = 10_000;
        let best = (0..5).map(|_| {
            let begun = Instant::now();
            for _ in 0..rounds {
                let done = observed("items.read", async { Ok::<_, ()>(1_usize) }, |rows| Some(*rows));
                black_box(now(done)).unwrap();
            }
            begun.elapsed() / rounds
        });
        let best = best.min().unwrap();
        println!("{best:?} per statement");
        // Unoptimised and on a busy machine; the figure that matters is that of a release build.
        assert!(best.as_micros() < 50, "{best:?}");
    }
}
