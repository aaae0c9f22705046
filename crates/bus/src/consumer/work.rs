//! One batch through the handler: whole, and after a failure one by one, down to the dead letter.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use model::{DeadLetter, Event, Ledger};
use tracing::Instrument as _;

use super::lanes::{Batch, Item, Worked, item};
use super::metrics::Metrics;
use super::{ConsumerConfig, Failure, Handler, spans};

/// What every batch needs.
pub(super) struct Work<L, H> {
    pub config: Arc<ConsumerConfig>,
    pub ledger: L,
    pub handler: H,
    pub metrics: Metrics,
}

/// What came of one event.
enum Verdict {
    Finished,
    /// Try it again, after this many attempts.
    Troubled(u32),
    /// Could not be tried.
    Left,
}

impl<L: Ledger, H: Handler> Work<L, H> {
    /// Handles a batch; never fails, never panics.
    pub(super) async fn run(self: Arc<Self>, mut batch: Batch) -> Worked {
        let mut worked =
            Worked { slot: batch.slot, finished: Vec::new(), troubled: Vec::new(), left: Vec::new() };
        if let Err(error) = self.fetch_bodies(&mut batch.events).await {
            tracing::warn!(consumer = self.config.name, %error, "bodies can't be read");
            worked.left = batch.events;
            return worked;
        }
        if faults::is_on(faults::Mutant::MarkBeforeEffect) {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        match self.call(&batch.events).await {
            Ok(()) => worked.finished = batch.events.iter().map(|event| event.position).collect(),
            Err(Failure::Unavailable(error)) => {
                tracing::warn!(consumer = self.config.name, %error, "unavailable, trying again later");
                worked.left = batch.events;
            }
            Err(failure) if batch.events.len() == 1 => {
                for event in batch.events {
                    let verdict = self.judge(&event, failure_text(&failure), &failure, batch.attempts).await;
                    worked.put(event, verdict);
                }
            }
            Err(failure) => {
                tracing::debug!(consumer = self.config.name, %failure, "a batch failed, one by one now");
                self.singly(batch.events, &mut worked).await;
            }
        }
        worked
    }

    /// Only the event in trouble waits, and those of the same item behind it.
    async fn singly(&self, events: Vec<Event>, worked: &mut Worked) {
        let mut waiting: HashSet<Item> = HashSet::new();
        for event in events {
            if waiting.contains(&item(&event)) {
                worked.troubled.push((event, 0));
                continue;
            }
            if !worked.left.is_empty() {
                worked.left.push(event);
                continue;
            }
            let verdict = match self.call(std::slice::from_ref(&event)).await {
                Ok(()) => Verdict::Finished,
                Err(failure) => self.judge(&event, failure_text(&failure), &failure, 0).await,
            };
            if matches!(verdict, Verdict::Troubled(_)) {
                waiting.insert(item(&event));
            }
            worked.put(event, verdict);
        }
    }

    /// What a failed attempt means.
    async fn judge(&self, event: &Event, reason: String, failure: &Failure, before: u32) -> Verdict {
        let attempts = before + 1;
        let (consumer, position) = (&self.config.name, event.position);
        match failure {
            Failure::Unavailable(_) => {
                tracing::warn!(consumer, position, reason, "unavailable, trying again later");
                return Verdict::Left;
            }
            Failure::Retry(_) if attempts < self.config.max_attempts => {
                tracing::warn!(consumer, position, attempts, reason, "failed, trying again later");
                self.metrics.retried.inc();
                return Verdict::Troubled(attempts);
            }
            Failure::Retry(_) | Failure::Fail(_) => {}
        }
        let letter = DeadLetter {
            event_id: event.id,
            position,
            reason: reason.clone(),
            attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
            trace_id: event.traceparent.as_ref().map(|parent| parent.trace_id().to_owned()),
        };
        match self.ledger.bury(letter).await {
            Ok(()) => {
                tracing::error!(consumer, position, id = %event.id, attempts, reason, "given up: dead letter");
                self.metrics.buried.inc();
                Verdict::Finished
            }
            // Then it is handled again before it is buried: perhaps it was the same outage.
            Err(error) => {
                tracing::warn!(consumer, position, %error, "no dead letter can be written");
                Verdict::Left
            }
        }
    }

    /// One call of the handler, in the trace of the write.
    async fn call(&self, events: &[Event]) -> Result<(), Failure> {
        let spans = spans::Spans::open(&self.config.name, events);
        let begun = Instant::now();
        faults::point(faults::Point::BeforeEffect);
        let result =
            AssertUnwindSafe(self.handler.handle(events)).catch_unwind().instrument(spans.around()).await;
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        let result = result.unwrap_or_else(|_| Err(Failure::Retry("the handler panicked".into())));
        if result.is_ok() {
            faults::point(faults::Point::AfterEffect);
            self.metrics.done.inc_by(events.len() as u64);
        } else {
            spans.failed();
        }
        result
    }

    /// Events that travelled without their bodies get them back.
    async fn fetch_bodies(&self, events: &mut [Event]) -> Result<(), model::LedgerError> {
        for event in events.iter_mut().filter(|event| event.oversized) {
            match self.ledger.read_event(event.position).await? {
                Some(full) => *event = full,
                None => {
                    tracing::warn!(position = event.position, "the log no longer holds the event's bodies")
                }
            }
        }
        Ok(())
    }
}

impl Worked {
    fn put(&mut self, event: Event, verdict: Verdict) {
        match verdict {
            Verdict::Finished => self.finished.push(event.position),
            Verdict::Troubled(attempts) => self.troubled.push((event, attempts)),
            Verdict::Left => self.left.push(event),
        }
    }
}

/// An error with its causes on one line: what a dead letter keeps.
fn failure_text(failure: &Failure) -> String {
    let (Failure::Retry(error) | Failure::Fail(error) | Failure::Unavailable(error)) = failure;
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
