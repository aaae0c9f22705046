//! Questions to ledger and broker that the loop does not wait for, and what it makes of the answers.

use std::time::{Duration, Instant};

use model::{Event, Ledger, LedgerError};
use time::OffsetDateTime;

use super::Handler;
use super::active::Loop;
use super::attach::{self, Sight};
use super::feed::CHUNK;
use super::source::Source;
use crate::{Error, topology};

/// Between two writes of the mark.
const RAISE: Duration = Duration::from_millis(200);

/// Between two looks at stream and consumer.
const LOOK: Duration = Duration::from_secs(1);

/// An answer.
pub(super) enum Errand {
    Attached(Result<(OffsetDateTime, Box<Source>), Error>),
    /// With the feed's epoch at the time of the question.
    Mark(u64, Result<i64, LedgerError>),
    Log(u64, Result<Vec<Event>, LedgerError>),
    Raised(Result<i64, LedgerError>),
    Looked(Result<Option<Sight>, Error>),
}

impl<L: Ledger, H: Handler> Loop<L, H> {
    pub(super) fn ask_mark(&mut self) {
        let (work, epoch) = (self.work.clone(), self.feed.epoch);
        self.errands.spawn(async move { Errand::Mark(epoch, work.ledger.low_water().await) });
    }

    pub(super) fn ask_log(&mut self) {
        let (work, epoch, after) = (self.work.clone(), self.feed.epoch, self.hand.frontier());
        let pending = self.feed.pending();
        self.errands.spawn(async move { Errand::Log(epoch, read_log(&work.ledger, after, pending).await) });
    }

    /// Looks after everything that time brings.
    pub(super) fn beat(&mut self) {
        let now = Instant::now();
        if !(self.active && now.duration_since(self.clock.last) > self.config.takeover) {
            self.clock.last = now;
        }
        let generation = self.bus.generation();
        if generation != self.clock.generation {
            self.clock.generation = generation;
            self.feed.doubt();
            if let Some(source) = &mut self.source {
                source.again();
            }
        }
        if self.source.is_none() && !self.clock.attaching && now >= self.clock.attach_at {
            self.attach();
        }
        if now.duration_since(self.clock.progress) >= self.config.ack_wait / 3 {
            self.clock.progress = now;
            self.tell_progress(now);
        }
        if now.duration_since(self.clock.raised_at) >= RAISE && !self.clock.raising {
            self.raise(now);
        }
        if now.duration_since(self.clock.looked_at) >= LOOK && !self.clock.looking && self.source.is_some() {
            self.clock.looked_at = now;
            self.clock.looking = true;
            let (bus, config, before) = (self.bus.clone(), self.config.clone(), self.sight.clone());
            self.errands.spawn(async move { Errand::Looked(attach::look(&bus, &config, before).await) });
        }
    }

    fn attach(&mut self) {
        self.clock.attaching = true;
        let (bus, config, work) = (self.bus.clone(), self.config.clone(), self.work.clone());
        self.errands.spawn(async move {
            let attached = async {
                let low_water = work.ledger.low_water().await;
                let low_water = low_water.map_err(|error| Error::Unavailable(error.to_string()))?;
                let created = attach::attach(&bus, &config, low_water).await?;
                let stream = topology::stream_name(&bus.config().prefix);
                let expires = config.takeover / 3;
                let batch = config.max_in_flight.clamp(1, 200);
                let source = Source::open(&bus, &stream, &config.name, batch, expires).await?;
                Ok((created, Box::new(source)))
            };
            Errand::Attached(attached.await)
        });
    }

    fn raise(&mut self, now: Instant) {
        let low_water = self.hand.low_water();
        if !self.feed.is_marked() || low_water <= self.clock.raised {
            return;
        }
        self.clock.raised_at = now;
        self.clock.raising = true;
        let work = self.work.clone();
        let raise = async move { work.ledger.raise(low_water).await.map(|()| low_water) };
        self.errands.spawn(async move { Errand::Raised(raise.await) });
    }

    /// The last word on the mark, at the stop.
    pub(super) async fn raise_at_last(&mut self) {
        let low_water = self.hand.low_water();
        if self.feed.is_marked()
            && low_water > self.clock.raised
            && let Err(error) = self.work.ledger.raise(low_water).await
        {
            tracing::warn!(consumer = self.config.name, %error, "the mark can't be written");
        }
    }

    /// An answer has come.
    pub(super) fn returned(&mut self, errand: Option<Errand>) {
        match errand {
            Some(Errand::Attached(result)) => self.attached(result),
            Some(Errand::Mark(epoch, result)) if epoch == self.feed.epoch => match result {
                Ok(low_water) => {
                    self.hand.advance(low_water);
                    self.clock.raised = self.clock.raised.max(low_water);
                    self.feed.marked();
                    self.answered();
                }
                Err(error) => self.ledger_failed(&error),
            },
            Some(Errand::Log(epoch, result)) if epoch == self.feed.epoch => match result {
                Ok(events) => {
                    self.took_log(events);
                    self.answered();
                }
                Err(error) => self.ledger_failed(&error),
            },
            Some(Errand::Raised(result)) => {
                self.clock.raising = false;
                match result {
                    Ok(low_water) => {
                        self.clock.raised = self.clock.raised.max(low_water);
                        self.work.metrics.low_water.set(low_water);
                    }
                    Err(error) => {
                        tracing::warn!(consumer = self.config.name, %error, "the mark can't be written");
                    }
                }
            }
            Some(Errand::Looked(result)) => {
                self.clock.looking = false;
                match result {
                    Ok(Some(sight)) => self.sighted(sight),
                    Ok(None) if self.source.is_some() => self.detach("stream or consumer are missing"),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(consumer = self.config.name, %error, "can't look"),
                }
            }
            // Answers to questions that no longer matter.
            Some(Errand::Mark(..) | Errand::Log(..)) | None => {}
        }
    }

    fn answered(&mut self) {
        self.clock.failures = 0;
        if self.source.is_some() {
            self.component.up();
        }
    }

    fn ledger_failed(&mut self, error: &LedgerError) {
        tracing::warn!(consumer = self.config.name, %error, "the ledger does not answer");
        self.component.down(error.to_string());
        self.clock.failures += 1;
        self.feed.failed(Instant::now(), self.pause());
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(100 * 2_u64.pow(self.clock.failures.min(5)))
    }

    fn attached(&mut self, result: Result<(OffsetDateTime, Box<Source>), Error>) {
        self.clock.attaching = false;
        match result {
            Ok((created, source)) => {
                tracing::info!(consumer = self.config.name, "attached");
                self.clock.failures = 0;
                self.clock.created = Some(created);
                self.clock.combed = false;
                self.clock.generation = self.bus.generation();
                self.source = Some(*source);
                self.component.up();
            }
            Err(error @ Error::ServerTooOld { .. }) => self.fatal = Some(error),
            Err(error) => {
                self.clock.failures += 1;
                self.clock.attach_at = Instant::now() + self.pause();
                tracing::warn!(consumer = self.config.name, %error, "can't attach");
                self.component.down(error.to_string());
            }
        }
    }

    /// Compares how stream and consumer stand with what we know, a second after the last look.
    fn sighted(&mut self, sight: Sight) {
        if self.clock.created.is_some_and(|created| created != sight.created) {
            return self.detach("the consumer is another one");
        }
        self.work.metrics.lag.set(i64::try_from(sight.pending + sight.ack_pending).unwrap_or(i64::MAX));
        let before = self.sight.replace(sight.clone());
        let Some(before) = before else { return };
        let moved = sight.first.sequence.saturating_sub(before.first.sequence);
        let edge = sight.first.sequence + 10 * moved + 1000;
        self.feed.near_edge = moved > 0 && self.feed.last_stream_sequence() < edge;
        if sight.first.position.is_some_and(|first| first - 1 > self.hand.frontier()) {
            self.feed.doubt();
        }
        // As a stand-by we act only where nobody else does.
        let mine = self.source.as_ref().and_then(Source::pin);
        let ours = if self.active {
            mine.is_some() && sight.pinned.as_deref() == mine
        } else {
            sight.pinned.is_none() && before.pinned.is_none()
        };
        if ours {
            self.settle(&before, &sight);
        }
    }

    /// Catches up with what never came, or notes that nothing is missing.
    fn settle(&mut self, before: &Sight, sight: &Sight) {
        if !self.feed.is_marked() {
            return self.feed.want_mark();
        }
        // What is on its way to us for less than a second is not missing.
        let (known, frontier) = (before.known(), self.hand.frontier());
        let empty = sight.last.position.is_none() && !self.clock.combed;
        if known > frontier || empty {
            if !self.active {
                // Others may have gone on since we last read the mark.
                self.feed.distrust();
            }
            self.clock.combed |= empty;
            return self.feed.aim(if empty { i64::MAX } else { known });
        }
        let quiet =
            self.feed.is_quiet() && self.hand.is_empty() && sight.pending == 0 && sight.ack_pending == 0;
        if let Some(last) = before.last.position
            && quiet
            && sight.known() <= frontier
            && before.level
            && sight.level
        {
            self.hand.advance(last);
        }
    }
}

/// Events behind `after`. Nothing means that the log holds nothing more, not even the event that we have in hand;
/// if it does hold that one, the log is only slow to settle what stands before it, and nothing may be skipped.
async fn read_log<L: Ledger>(
    ledger: &L,
    after: i64,
    pending: Option<i64>,
) -> Result<Vec<Event>, LedgerError> {
    let events = ledger.read_log(after, CHUNK).await?;
    if events.is_empty()
        && let Some(position) = pending
        && ledger.read_event(position).await?.is_some()
    {
        return Err(LedgerError("the log is not settled yet".into()));
    }
    Ok(events)
}
