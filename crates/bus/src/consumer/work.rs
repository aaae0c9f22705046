//! One batch through the handler: whole, and after a failure one by one, down to the dead letter.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use model::{DeadLetter, EVENT_SCHEMA, Event, Ledger, Replay};
use tracing::Instrument as _;

use super::lanes::{Batch, Item, Slot, Worked, item};
use super::metrics::Metrics;
use super::{ConsumerConfig, Failure, Handler, spans};

/// What every batch needs.
pub(super) struct Work<L, H> {
    pub config: Arc<ConsumerConfig>,
    pub ledger: L,
    pub handler: H,
    pub metrics: Metrics,
}

/// What was tried before.
#[derive(Clone, Copy)]
struct Tries<'a> {
    before: u32,
    replay: Option<&'a Replay>,
}

/// What came of one event.
enum Verdict {
    Finished,
    /// It is a dead letter now.
    Buried,
    /// Try it again, after this many attempts.
    Troubled(u32),
    /// Could not be tried.
    Left,
}

impl<L: Ledger, H: Handler> Work<L, H> {
    /// Handles a batch; never fails, never panics.
    pub(super) async fn run(self: Arc<Self>, mut batch: Batch) -> Worked {
        let mut worked = Worked::nothing(batch.slot);
        let replay = batch.replay.as_deref();
        self.park(&mut batch.events, replay, &mut worked).await;
        if batch.events.is_empty() {
            return worked;
        }
        if let Err(error) = self.fetch_bodies(&mut batch.events).await {
            tracing::warn!(consumer = self.config.name, %error, "bodies can't be read");
            worked.left = batch.events;
            return worked;
        }
        if faults::is_on(faults::Mutant::MarkBeforeEffect) {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        match self.call(&batch.events, replay).await {
            Ok(()) => worked.finished.extend(batch.events.iter().map(|event| event.position)),
            Err(Failure::Unavailable(error)) => {
                tracing::warn!(consumer = self.config.name, %error, "unavailable, trying again later");
                worked.left = batch.events;
            }
            Err(failure) if batch.events.len() == 1 => {
                for event in batch.events {
                    let verdict =
                        self.judge(&event, &failure, Tries { before: batch.attempts, replay }).await;
                    worked.put(event, verdict);
                }
            }
            Err(failure) => {
                tracing::debug!(consumer = self.config.name, %failure, "a batch failed, one by one now");
                self.singly(batch.events, replay, &mut worked).await;
            }
        }
        worked
    }

    /// Events that a newer program has written are not guessed at: they become dead letters, to be requeued when this one
    /// is replaced.
    async fn park(&self, events: &mut Vec<Event>, replay: Option<&Replay>, worked: &mut Worked) {
        if !events.iter().any(Event::is_newer) {
            return;
        }
        let (newer, known) = std::mem::take(events).into_iter().partition(Event::is_newer);
        *events = known;
        let newer: Vec<Event> = newer;
        for event in newer {
            let schema = event.schema;
            let failure = Failure::Fail(
                format!("parked: its schema is version {schema}, this program knows {EVENT_SCHEMA}; requeue it after the upgrade")
                    .into(),
            );
            let verdict = self.judge(&event, &failure, Tries { before: 0, replay }).await;
            worked.put(event, verdict);
        }
    }

    /// Only the event in trouble waits, and those of the same item behind it.
    async fn singly(&self, events: Vec<Event>, replay: Option<&Replay>, worked: &mut Worked) {
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
            let verdict = match self.call(std::slice::from_ref(&event), replay).await {
                Ok(()) => Verdict::Finished,
                Err(failure) => self.judge(&event, &failure, Tries { before: 0, replay }).await,
            };
            if matches!(verdict, Verdict::Troubled(_)) {
                waiting.insert(item(&event));
            }
            worked.put(event, verdict);
        }
    }

    /// What a failed attempt means.
    async fn judge(&self, event: &Event, failure: &Failure, Tries { before, replay }: Tries<'_>) -> Verdict {
        let (attempts, reason) = (before + 1, failure_text(failure));
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
            replay: replay.map(|replay| replay.id),
        };
        match self.ledger.bury(letter).await {
            Ok(()) => {
                tracing::error!(consumer, position, id = %event.id, attempts, reason, "given up: dead letter");
                self.metrics.buried.inc();
                Verdict::Buried
            }
            // Then it is handled again before it is buried: perhaps it was the same outage.
            Err(error) => {
                tracing::warn!(consumer, position, %error, "no dead letter can be written");
                Verdict::Left
            }
        }
    }

    /// One call of the handler, in the trace of the write.
    async fn call(&self, events: &[Event], replay: Option<&Replay>) -> Result<(), Failure> {
        let spans = spans::Spans::open(&self.config.name, events);
        let begun = Instant::now();
        faults::point(faults::Point::BeforeEffect);
        let handled = async {
            match replay {
                None => self.handler.handle(events).await,
                Some(replay) => self.handler.replay(replay, events).await,
            }
        };
        let result = AssertUnwindSafe(handled).catch_unwind().instrument(spans.around()).await;
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        let result = result.unwrap_or_else(|_| Err(Failure::Retry("the handler panicked".into())));
        if result.is_ok() {
            faults::point(faults::Point::AfterEffect);
            self.metrics.done.inc_by(events.len() as u64);
            if replay.is_none() {
                self.metrics.applied(events);
            }
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
    fn nothing(slot: Slot) -> Self {
        let (finished, buried, troubled, left) = Default::default();
        Self { slot, finished, buried, troubled, left }
    }

    fn put(&mut self, event: Event, verdict: Verdict) {
        match verdict {
            Verdict::Finished => self.finished.push(event.position),
            Verdict::Buried => {
                self.finished.push(event.position);
                self.buried.push(event.position);
            }
            Verdict::Troubled(attempts) => self.troubled.push((event, attempts)),
            Verdict::Left => self.left.push(event),
        }
    }
}

/// An error with its causes on one line: what a dead letter keeps.
pub(super) fn failure_text(failure: &Failure) -> String {
    let (Failure::Retry(error) | Failure::Fail(error) | Failure::Unavailable(error)) = failure;
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
