//! Who waits for whom: events of one item in order, items side by side in lanes, an item in trouble by itself.
//!
//! No clock, no task, no broker in here: the loop asks what may start and tells what came of it.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Event, Replay};

/// How long a lane rests when what its effects need is away: doubles from the first to the last.
const REST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// An item: collection and key.
pub(super) type Item = (String, String);

/// The item of an event.
pub(super) fn item(event: &Event) -> Item {
    (event.collection.clone(), event.key.clone())
}

/// Where a batch came from and reports back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Lane(usize),
    /// One item in trouble.
    Item(Item),
}

/// Events to be handled now, in order.
#[derive(Debug)]
pub(super) struct Batch {
    pub slot: Slot,
    pub events: Vec<Event>,
    /// Attempts so far (of its only event).
    pub attempts: u32,
    /// They are given once more.
    pub replay: Option<Arc<Replay>>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Worked {
    pub slot: Slot,
    /// Positions of events that are done with.
    pub finished: Vec<i64>,
    /// Of these the dead letters.
    pub buried: Vec<i64>,
    /// Events that have to be tried again after a pause, with the attempts so far; behind each the events of
    /// the same item that wait for it.
    pub troubled: Vec<(Event, u32)>,
    /// Events that could not be tried, in order: what their effects need is away.
    pub left: Vec<Event>,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Event>,
    busy: bool,
    rest: Duration,
    due: Option<Instant>,
}

/// An item in trouble, with all its events.
#[derive(Debug)]
struct Trouble {
    queue: VecDeque<Event>,
    attempts: u32,
    rest: Duration,
    due: Instant,
    busy: bool,
}

/// All events that are taken up and not yet done.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    troubles: HashMap<Item, Trouble>,
    /// Lanes that may have something to start.
    stirred: Vec<usize>,
    batch: usize,
}

impl Lanes {
    pub(super) fn new(lanes: usize, batch: usize) -> Self {
        let lanes = (0..lanes.max(1)).map(|_| Lane::default()).collect();
        Self { lanes, troubles: HashMap::new(), stirred: Vec::new(), batch: batch.max(1) }
    }

    /// Queues an event behind all others of its item.
    pub(super) fn add(&mut self, event: Event) {
        if !self.troubles.is_empty()
            && let Some(trouble) = self.troubles.get_mut(&item(&event))
        {
            trouble.queue.push_back(event);
            return;
        }
        let index = if faults::is_on(faults::Mutant::NoOrder) {
            event.position.unsigned_abs() as usize % self.lanes.len()
        } else {
            self.index(&event.collection, &event.key)
        };
        self.lanes[index].queue.push_back(event);
        self.stir(index);
    }

    /// Everything that may start now.
    pub(super) fn start(&mut self, now: Instant) -> Vec<Batch> {
        let mut batches = Vec::new();
        for index in std::mem::take(&mut self.stirred) {
            let lane = &mut self.lanes[index];
            if lane.busy || lane.queue.is_empty() || lane.due.is_some_and(|due| due > now) {
                continue;
            }
            lane.busy = true;
            lane.due = None;
            let count = lane.queue.len().min(self.batch);
            let events = lane.queue.drain(..count).collect();
            batches.push(Batch { slot: Slot::Lane(index), events, attempts: 0, replay: None });
        }
        for (item, trouble) in &mut self.troubles {
            if !trouble.busy
                && trouble.due <= now
                && let Some(event) = trouble.queue.pop_front()
            {
                trouble.busy = true;
                let slot = Slot::Item(item.clone());
                batches.push(Batch { slot, events: vec![event], attempts: trouble.attempts, replay: None });
            }
        }
        batches
    }

    /// When to look again although nothing happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().filter(|lane| !lane.busy).filter_map(|lane| lane.due);
        let troubles = self.troubles.values().filter(|trouble| !trouble.busy).map(|trouble| trouble.due);
        lanes.chain(troubles).min()
    }

    /// Lanes whose rest is over have to be looked at again.
    pub(super) fn stir_due(&mut self, now: Instant) {
        for index in 0..self.lanes.len() {
            if self.lanes[index].due.is_some_and(|due| due <= now) {
                self.stir(index);
            }
        }
    }

    /// Takes back a batch. `pause` says how long to wait after that many attempts.
    pub(super) fn done(&mut self, worked: Worked, now: Instant, pause: impl Fn(u32) -> Duration) {
        match worked.slot {
            Slot::Lane(index) => {
                self.set_aside(index, worked.troubled, now, pause);
                let lane = &mut self.lanes[index];
                lane.busy = false;
                if worked.left.is_empty() {
                    lane.rest = Duration::ZERO;
                } else {
                    lane.rest = longer(lane.rest);
                    lane.due = Some(now + lane.rest);
                    for event in worked.left.into_iter().rev() {
                        lane.queue.push_front(event);
                    }
                }
                self.stir(index);
            }
            Slot::Item(item) => {
                let Entry::Occupied(mut entry) = self.troubles.entry(item) else { return };
                let trouble = entry.get_mut();
                trouble.busy = false;
                if let Some((event, attempts)) = worked.troubled.into_iter().next() {
                    trouble.attempts = attempts;
                    trouble.due = now + pause(attempts);
                    trouble.queue.push_front(event);
                } else if let Some(event) = worked.left.into_iter().next() {
                    trouble.rest = longer(trouble.rest);
                    trouble.due = now + trouble.rest;
                    trouble.queue.push_front(event);
                } else {
                    let (item, trouble) = entry.remove_entry();
                    let index = self.index(&item.0, &item.1);
                    self.lanes[index].queue.extend(trouble.queue);
                    self.stir(index);
                }
            }
        }
    }

    /// Moves events in trouble out of their lane, with everything that waits for them there.
    fn set_aside(
        &mut self,
        index: usize,
        troubled: Vec<(Event, u32)>,
        now: Instant,
        pause: impl Fn(u32) -> Duration,
    ) {
        for (event, attempts) in troubled {
            let item = item(&event);
            if let Some(trouble) = self.troubles.get_mut(&item) {
                trouble.queue.push_back(event);
                continue;
            }
            let trouble = Trouble {
                queue: VecDeque::from([event]),
                attempts,
                rest: Duration::ZERO,
                due: now + pause(attempts),
                busy: false,
            };
            self.troubles.insert(item, trouble);
        }
        if self.troubles.is_empty() {
            return;
        }
        let lane = &mut self.lanes[index].queue;
        for event in std::mem::take(lane) {
            match self.troubles.get_mut(&item(&event)) {
                Some(trouble) => trouble.queue.push_back(event),
                None => lane.push_back(event),
            }
        }
    }

    /// Drops everything that is not running; gives the positions.
    pub(super) fn drop_waiting(&mut self) -> Vec<i64> {
        let mut dropped = Vec::new();
        for lane in &mut self.lanes {
            dropped.extend(lane.queue.drain(..).map(|event| event.position));
            lane.due = None;
        }
        self.troubles.retain(|_, trouble| {
            dropped.extend(trouble.queue.drain(..).map(|event| event.position));
            trouble.busy
        });
        dropped
    }

    fn index(&self, collection: &str, key: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        (collection, key).hash(&mut hasher);
        (hasher.finish() % self.lanes.len() as u64) as usize
    }

    fn stir(&mut self, index: usize) {
        if !self.stirred.contains(&index) {
            self.stirred.push(index);
        }
    }
}

fn longer(rest: Duration) -> Duration {
    (rest * 2).clamp(REST.0, REST.1)
}

#[cfg(test)]
pub(super) mod tests;
