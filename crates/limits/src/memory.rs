//! Buckets in memory, of one process: two generations of maps; when the young one is half of the size, the old one is
//! forgotten. Bounded, and what is used stays.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::key::Key;
use crate::rate::{Mode, Rate};

/// Most buckets that are kept.
const MOST: usize = 100_000;

/// Buckets by name; each is the microsecond since `begun` at which it will be full.
#[derive(Debug)]
pub(crate) struct Memory {
    begun: Instant,
    half: usize,
    maps: Mutex<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    young: HashMap<Key, i64>,
    old: HashMap<Key, i64>,
}

/// Whether all buckets had a token, and their backlogs now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) allowed: bool,
    pub(crate) backlogs: Vec<i64>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self::of_size(MOST)
    }

    fn of_size(size: usize) -> Self {
        Self { begun: Instant::now(), half: size.div_ceil(2), maps: Mutex::default() }
    }

    /// Asks these buckets as one: of none is taken when one of them refuses.
    pub(crate) fn decide(&self, mode: Mode, buckets: &[(Key, Rate)]) -> Outcome {
        let now = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX / 2);
        self.decide_at(mode, buckets, now)
    }

    fn decide_at(&self, mode: Mode, buckets: &[(Key, Rate)], now: i64) -> Outcome {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let backlog = |(key, _): &(Key, Rate)| {
            let full = maps.young.get(key).or_else(|| maps.old.get(key));
            full.map_or(0, |full| (full - now).max(0))
        };
        let mut backlogs: Vec<i64> = buckets.iter().map(backlog).collect();
        let allowed = buckets.iter().zip(&backlogs).all(|((_, rate), backlog)| rate.has_token(*backlog));
        if mode == Mode::Charge || (mode == Mode::Take && allowed) {
            for ((key, rate), backlog) in buckets.iter().zip(&mut backlogs) {
                *backlog = rate.taken(*backlog);
                maps.insert(self.half, *key, now + *backlog, now);
            }
        }
        Outcome { allowed: allowed || mode == Mode::Charge, backlogs }
    }
}

impl Maps {
    fn insert(&mut self, half: usize, key: Key, full: i64, now: i64) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.young.retain(|_, full| *full > now);
            if self.young.len() >= half {
                self.old = std::mem::take(&mut self.young);
            }
        }
        self.young.insert(key, full);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Memory, Outcome};
    use crate::key::Key;
    use crate::rate::{Mode, Rate};

    const TWO: Rate = Rate { points: 2, duration: Duration::from_secs(2) };
    const SECOND: i64 = 1_000_000;

    #[test]
    fn of_several_buckets_all_or_none_is_taken() {
        let memory = Memory::of_size(10);
        let (a, b) = (Key::new("t", "a"), Key::new("t", "b"));
        let one = Rate { points: 1, ..TWO };
        let both = [(a, TWO), (b, one)];
        assert!(memory.decide_at(Mode::Take, &both, 0).allowed);
        let refused = memory.decide_at(Mode::Take, &both, 0);
        assert_eq!(refused, Outcome { allowed: false, backlogs: vec![SECOND, 2 * SECOND] });
        assert!(memory.decide_at(Mode::Look, &both[..1], 0).allowed);
        assert!(memory.decide_at(Mode::Take, &both[..1], 0).allowed);
        assert!(!memory.decide_at(Mode::Look, &both[..1], 0).allowed);
        assert!(memory.decide_at(Mode::Charge, &both[..1], 0).allowed);
        assert!(!memory.decide_at(Mode::Look, &both[..1], SECOND).allowed);
        assert!(memory.decide_at(Mode::Take, &both, 2 * SECOND).allowed);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let memory = Memory::of_size(10);
        let used = Key::new("t", "used");
        let long = Rate { points: 1_000, duration: Duration::from_secs(3_600) };
        for number in 0..500 {
            memory.decide_at(Mode::Take, &[(used, long)], 0);
            memory.decide_at(Mode::Take, &[(Key::new("t", &number.to_string()), long)], 0);
            let maps = memory.maps.lock().unwrap();
            assert!(maps.young.len() + maps.old.len() <= 11);
        }
        let outcome = memory.decide_at(Mode::Look, &[(used, long)], 0);
        assert_eq!(long.remaining(outcome.backlogs[0]), 500);
    }
}
