//! What this process has in hand: which events it has taken up, which of them are unfinished, and hence how far
//! everything is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::Subject;
use model::Event;

/// Events taken up. Every event of the consumer at or below `frontier` is either finished or held here.
#[derive(Debug, Default)]
pub(super) struct Hand {
    frontier: i64,
    held: BTreeMap<i64, Held>,
    /// Bytes of the held events' bodies.
    bytes: usize,
}

/// An unfinished event.
#[derive(Debug)]
struct Held {
    /// Where to acknowledge it; none while it is known from the log only.
    reply: Option<Subject>,
    /// When the broker last heard of it.
    touched: Instant,
    bytes: usize,
}

impl Hand {
    /// Position up to which nothing is unknown to us.
    pub(super) fn frontier(&self) -> i64 {
        self.frontier
    }

    /// Position up to which everything is finished.
    pub(super) fn low_water(&self) -> i64 {
        if faults::is_on(faults::Mutant::MarkBeforeEffect) {
            return self.frontier;
        }
        self.held.first_key_value().map_or(self.frontier, |(first, _)| first - 1)
    }

    /// How many are unfinished.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Nothing is unfinished.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How much memory their bodies take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing at or below this position is unknown.
    pub(super) fn advance(&mut self, position: i64) {
        self.frontier = self.frontier.max(position);
    }

    /// Takes up an event. False when it is in hand already.
    pub(super) fn take(&mut self, event: &Event, reply: Option<Subject>, now: Instant) -> bool {
        let position = event.position;
        self.advance(position);
        if self.hold_again(position, reply.as_ref(), now) {
            return false;
        }
        let bodies = [&event.payload, &event.previous].into_iter().flatten();
        let bytes = bodies.map(|body| body.get().len()).sum();
        self.bytes += bytes;
        self.held.insert(position, Held { reply, touched: now, bytes });
        true
    }

    /// Notes another delivery of an event that is in hand. False when it is not (so it is finished, if it stands
    /// at or below the frontier).
    pub(super) fn hold_again(&mut self, position: i64, reply: Option<&Subject>, now: Instant) -> bool {
        let Some(held) = self.held.get_mut(&position) else { return false };
        if let Some(reply) = reply {
            held.reply = Some(reply.clone());
            held.touched = now;
        }
        true
    }

    /// An event is finished; gives where to acknowledge it.
    pub(super) fn finish(&mut self, position: i64) -> Option<Subject> {
        let held = self.held.remove(&position)?;
        self.bytes -= held.bytes;
        held.reply
    }

    /// Where to answer for each unfinished event.
    pub(super) fn replies(&self) -> impl Iterator<Item = Subject> {
        self.held.values().filter_map(|held| held.reply.clone())
    }

    /// The broker is another one: answers to it would hit other messages.
    pub(super) fn forget_replies(&mut self) {
        for held in self.held.values_mut() {
            held.reply = None;
        }
    }

    /// Events were let go without being finished: nothing is known any more. What is running stays in hand.
    pub(super) fn forget_frontier(&mut self) {
        self.frontier = 0;
    }

    /// Unfinished events of which the broker has not heard for this long; they count as touched now.
    pub(super) fn neglected(&mut self, patience: Duration, now: Instant) -> Vec<Subject> {
        let mut replies = Vec::new();
        for held in self.held.values_mut() {
            if let Some(reply) = &held.reply
                && now.duration_since(held.touched) >= patience
            {
                held.touched = now;
                replies.push(reply.clone());
            }
        }
        replies
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::event;
    use super::*;

    #[test]
    fn the_low_water_stands_below_the_oldest_unfinished() {
        let now = Instant::now();
        let mut hand = Hand::default();
        hand.advance(3);
        assert_eq!(hand.low_water(), 3);
        for position in [5, 6, 9] {
            assert!(hand.take(&event(position, "k"), Some("a".into()), now));
        }
        assert_eq!((hand.low_water(), hand.frontier()), (4, 9));
        hand.finish(6);
        assert_eq!(hand.low_water(), 4);
        assert_eq!(hand.finish(5), Some("a".into()));
        assert_eq!(hand.low_water(), 8);
        hand.advance(20);
        assert_eq!(hand.low_water(), 8);
        hand.finish(9);
        assert_eq!((hand.low_water(), hand.is_empty()), (20, true));
    }

    #[test]
    fn a_second_delivery_is_held_once_and_answered_at_its_newest_place() {
        let now = Instant::now();
        let mut hand = Hand::default();
        assert!(hand.take(&event(1, "k"), None, now));
        assert!(!hand.take(&event(1, "k"), Some("b".into()), now));
        assert!(hand.hold_again(1, Some(&"c".into()), now));
        assert!(!hand.hold_again(2, Some(&"c".into()), now));
        assert_eq!(hand.len(), 1);
        assert_eq!(hand.finish(1), Some("c".into()));
        assert_eq!(hand.finish(1), None);
    }

    #[test]
    fn neglected_events_are_named_once() {
        let now = Instant::now();
        let mut hand = Hand::default();
        hand.take(&event(1, "k"), Some("a".into()), now);
        hand.take(&event(2, "k"), None, now);
        let later = now + Duration::from_secs(3);
        assert_eq!(hand.neglected(Duration::from_secs(5), later), Vec::<Subject>::new());
        assert_eq!(hand.neglected(Duration::from_secs(3), later), vec![Subject::from("a")]);
        assert_eq!(hand.neglected(Duration::from_secs(3), later), Vec::<Subject>::new());
    }
}
