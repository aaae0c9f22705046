//! In which order events are taken up: from the broker as long as nothing can be missing, else from the log.
//!
//! The broker numbers its deliveries without gaps. When a number is missing, something was delivered to another
//! process or into a dead connection and would come late; then the log says what stands before the message in
//! hand. The same rule covers the start, a takeover, a reconnect, a wiped store and an expired message.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::delivery::Delivery;

/// Events that one look into the log gives.
pub(super) const CHUNK: usize = 1000;

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Wait for news.
    Wait,
    /// Ask the ledger for the low-water mark.
    AskMark,
    /// Read the log behind the frontier.
    AskLog,
    /// This delivery is next; everything before it is known.
    Take(Box<Delivery>),
}

/// Deliveries on their way in, and what has to be found out before.
#[derive(Debug, Default)]
pub(super) struct Feed {
    intake: VecDeque<Delivery>,
    /// A delivery that waits for the log.
    pending: Option<Delivery>,
    /// Consumer sequence and stream sequence of the last delivery.
    last: Option<(u64, u64)>,
    /// Every delivery since the one that the frontier stands at has come to us.
    synced: bool,
    /// The frontier can be relied upon.
    marked: bool,
    mark_wanted: bool,
    /// Read the log up to here.
    goal: i64,
    asking: bool,
    not_before: Option<Instant>,
    /// Messages may expire before we get them: every gap is looked up.
    pub(super) near_edge: bool,
    /// Grows when everything is forgotten; answers to earlier questions don't count.
    pub(super) epoch: u64,
}

impl Feed {
    /// A delivery has come.
    pub(super) fn push(&mut self, delivery: Delivery) {
        self.intake.push_back(delivery);
    }

    /// Deliveries that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Delivery> {
        self.pending.iter().chain(&self.intake)
    }

    /// Nothing waits and nothing is being asked.
    pub(super) fn is_quiet(&self) -> bool {
        self.pending.is_none() && self.intake.is_empty() && !self.asking && self.goal == 0
    }

    /// Something may have been delivered elsewhere.
    pub(super) fn doubt(&mut self) {
        self.synced = false;
    }

    /// Position of the delivery that waits for the log.
    pub(super) fn pending(&self) -> Option<i64> {
        self.pending.as_ref().map(|delivery| delivery.event.position)
    }

    /// Stream sequence of the last delivery.
    pub(super) fn last_stream_sequence(&self) -> u64 {
        self.last.map_or(0, |(_, stream)| stream)
    }

    /// Read the log at least up to this position.
    pub(super) fn aim(&mut self, goal: i64) {
        self.goal = self.goal.max(goal);
    }

    /// The mark has to be read before anything else: others may have gone on.
    pub(super) fn distrust(&mut self) {
        self.marked = false;
        self.synced = false;
    }

    /// Read the mark even if there is nothing to do.
    pub(super) fn want_mark(&mut self) {
        self.mark_wanted = true;
    }

    /// Whether the mark has been read.
    pub(super) fn is_marked(&self) -> bool {
        self.marked
    }

    /// Forgets everything: another process is the active one, or the broker is another one.
    pub(super) fn forget(&mut self) {
        *self = Self { epoch: self.epoch + 1, near_edge: self.near_edge, ..Self::default() };
    }

    /// When to call `step` again although nothing happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.not_before
    }

    /// What to do next, with everything at or below `frontier` known.
    pub(super) fn step(&mut self, frontier: i64, now: Instant) -> Step {
        if self.asking || self.not_before.is_some_and(|due| due > now) {
            return Step::Wait;
        }
        self.not_before = None;
        if !self.marked {
            // Nobody needs the mark before there is something to do.
            if !self.mark_wanted && self.goal == 0 && self.waiting().next().is_none() {
                return Step::Wait;
            }
            self.asking = true;
            return Step::AskMark;
        }
        if self.goal > frontier {
            self.asking = true;
            return Step::AskLog;
        }
        self.goal = 0;
        if let Some(delivery) = self.pending.take() {
            return self.settled(delivery);
        }
        let Some(delivery) = self.intake.pop_front() else { return Step::Wait };
        let token = &delivery.token;
        let follows = self.last.is_some_and(|(consumer, stream)| {
            token.consumer_sequence == consumer + 1
                && (!self.near_edge || token.stream_sequence <= stream + 1)
        });
        self.last = Some((token.consumer_sequence, token.stream_sequence));
        self.synced &= follows;
        let position = delivery.event.position;
        if self.synced || position <= frontier {
            return self.settled(delivery);
        }
        self.goal = position;
        self.pending = Some(delivery);
        self.asking = true;
        Step::AskLog
    }

    /// Everything before this delivery is known. First deliveries come in the order of the stream, so behind a
    /// first one nothing can be missing; behind a redelivery other redeliveries can.
    fn settled(&mut self, delivery: Delivery) -> Step {
        self.synced |= delivery.token.deliveries == 1;
        Step::Take(Box::new(delivery))
    }

    /// The mark has been read.
    pub(super) fn marked(&mut self) {
        self.asking = false;
        self.marked = true;
        self.mark_wanted = false;
    }

    /// A part of the log has been read; `end` when there was nothing more.
    pub(super) fn read(&mut self, end: bool) {
        self.asking = false;
        if end {
            self.goal = 0;
        }
    }

    /// The ledger did not answer.
    pub(super) fn failed(&mut self, now: Instant, pause: Duration) {
        self.asking = false;
        self.not_before = Some(now + pause);
    }

    /// There is no room for more events now: ask again when some are done.
    pub(super) fn no_room(&mut self) {
        self.asking = false;
    }

    /// The delivery that waits, if it stands before this position but behind the frontier: the log did not hold
    /// it, so it is next.
    pub(super) fn overtaken(&mut self, frontier: i64, position: i64) -> Option<Delivery> {
        let stands = self.pending()?;
        (frontier < stands && stands < position).then(|| self.pending.take()).flatten()
    }
}

#[cfg(test)]
mod tests;
