//! Places for attempts: so many in all, so many for one endpoint, fewer for one that does not answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// The places of this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: usize,
    each: usize,
    state: Mutex<Running>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Running {
    count: usize,
    endpoints: HashMap<Uuid, Turn>,
}

/// One endpoint's part.
#[derive(Debug)]
struct Turn {
    running: usize,
    limit: usize,
}

/// How much may be started now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// In all.
    pub total: usize,
    /// For an endpoint that is not listed.
    pub each: usize,
    /// For these endpoints.
    pub endpoints: Vec<(Uuid, usize)>,
}

/// One place that is taken. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Slot {
    inner: Arc<Inner>,
    endpoint: Uuid,
}

impl Slots {
    /// `total` places, at most `each` of them for one endpoint.
    pub fn new(total: usize, each: usize) -> Self {
        let inner = Inner { total, each, state: Mutex::default(), freed: Notify::new() };
        Self { inner: Arc::new(inner) }
    }

    /// What is free now.
    pub fn room(&self) -> Room {
        let running = self.inner.lock();
        let room = |turn: &Turn| turn.limit.saturating_sub(turn.running);
        Room {
            total: self.inner.total.saturating_sub(running.count),
            each: self.inner.each,
            endpoints: running.endpoints.iter().map(|(id, turn)| (*id, room(turn))).collect(),
        }
    }

    /// Takes a place, whether or not it is free: ask `room` before.
    pub fn take(&self, endpoint: Uuid) -> Slot {
        let mut running = self.inner.lock();
        running.count += 1;
        let limit = self.inner.each;
        running.endpoints.entry(endpoint).or_insert(Turn { running: 0, limit }).running += 1;
        Slot { inner: self.inner.clone(), endpoint }
    }

    /// Resolves when a place was freed since the last time.
    pub async fn freed(&self) {
        self.inner.freed.notified().await;
    }
}

impl Slot {
    /// The endpoint answered: it may be given more again.
    pub fn answered(&self) {
        let each = self.inner.each;
        self.inner.turn(self.endpoint, |turn| turn.limit = (turn.limit * 2).min(each));
    }

    /// It did not answer, or can't keep up. An endpoint that is down soon holds one place only, so that many of them
    /// leave room for the others.
    pub fn unanswered(&self) {
        self.inner.turn(self.endpoint, |turn| turn.limit = (turn.limit / 2).max(1));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut running = self.inner.lock();
        running.count -= 1;
        if let Some(turn) = running.endpoints.get_mut(&self.endpoint) {
            turn.running -= 1;
            if turn.running == 0 && turn.limit == self.inner.each {
                running.endpoints.remove(&self.endpoint);
            }
        }
        drop(running);
        self.inner.freed.notify_one();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, endpoint: Uuid, change: impl FnOnce(&mut Turn)) {
        if let Some(turn) = self.lock().endpoints.get_mut(&endpoint) {
            change(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Slots;

    fn room(slots: &Slots, endpoint: Uuid) -> (usize, usize) {
        let room = slots.room();
        let own = room.endpoints.iter().find(|(id, _)| *id == endpoint);
        (room.total, own.map_or(room.each, |(_, room)| *room))
    }

    #[test]
    fn places_are_counted_in_all_and_for_each() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let slots = Slots::new(5, 3);
        let taken: Vec<_> = (0..3).map(|_| slots.take(a)).collect();
        assert_eq!((room(&slots, a), room(&slots, b)), ((2, 0), (2, 3)));
        drop(taken);
        assert_eq!(room(&slots, a), (5, 3));
        assert!(slots.room().endpoints.is_empty());
    }

    #[test]
    fn an_endpoint_that_does_not_answer_gets_one_place() {
        let dead = Uuid::from_u128(1);
        let slots = Slots::new(64, 16);
        let taken: Vec<_> = (0..16).map(|_| slots.take(dead)).collect();
        for slot in taken {
            slot.unanswered();
        }
        assert_eq!(room(&slots, dead), (64, 1));
        let slot = slots.take(dead);
        assert_eq!(room(&slots, dead), (63, 0));
        slot.answered();
        assert_eq!(room(&slots, dead), (63, 1));
        for _ in 0..3 {
            slot.answered();
        }
        drop(slot);
        assert_eq!(room(&slots, dead), (64, 16));
    }
}
