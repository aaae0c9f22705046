//! Tokens by hash, in two generations of maps: when the young one is half of the size, the old one is forgotten.
//! Bounded, and what is used stays.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rpc::Identity;

/// What is known of a token.
#[derive(Debug, Clone)]
pub struct Entry {
    pub identity: Identity,
    /// Milliseconds since the Unix epoch; 0 = no end.
    pub valid_until: i64,
    /// The generation it was asked under.
    pub generation: u64,
}

impl Entry {
    fn holds(&self, generation: u64, now: i64) -> bool {
        self.generation == generation && (self.valid_until == 0 || now < self.valid_until)
    }
}

/// Entries by the SHA-256 of their token.
#[derive(Debug)]
pub struct Cache {
    half: usize,
    maps: Mutex<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    young: HashMap<[u8; 32], Entry>,
    old: HashMap<[u8; 32], Entry>,
}

impl Cache {
    /// Holds up to `size` entries.
    pub fn new(size: usize) -> Self {
        Self { half: size.div_ceil(2), maps: Mutex::default() }
    }

    /// What is known, if it still holds.
    pub fn get(&self, key: &[u8; 32], generation: u64, now: i64) -> Option<Identity> {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = maps.young.get(key) {
            return entry.holds(generation, now).then(|| entry.identity.clone());
        }
        let entry = maps.old.remove(key).filter(|entry| entry.holds(generation, now))?;
        let identity = entry.identity.clone();
        self.insert(&mut maps, *key, entry);
        Some(identity)
    }

    /// Remembers.
    pub fn put(&self, key: [u8; 32], entry: Entry) {
        self.insert(&mut self.maps.lock().unwrap_or_else(PoisonError::into_inner), key, entry);
    }

    fn insert(&self, maps: &mut Maps, key: [u8; 32], entry: Entry) {
        if maps.young.len() >= self.half && !maps.young.contains_key(&key) {
            maps.old = std::mem::take(&mut maps.young);
        }
        maps.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use rpc::Identity;

    use super::{Cache, Entry};

    fn entry(valid_until: i64, generation: u64) -> Entry {
        Entry { identity: Identity::default(), valid_until, generation }
    }

    #[test]
    fn holds_for_its_time_and_generation() {
        let cache = Cache::new(10);
        cache.put([1; 32], entry(100, 7));
        cache.put([2; 32], entry(0, 7));
        assert!(cache.get(&[1; 32], 7, 99).is_some());
        assert!(cache.get(&[1; 32], 7, 100).is_none());
        assert!(cache.get(&[1; 32], 8, 99).is_none());
        assert!(cache.get(&[2; 32], 7, i64::MAX).is_some());
        assert!(cache.get(&[3; 32], 7, 0).is_none());
    }

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(10);
        cache.put([0; 32], entry(0, 1));
        for i in 1..=200 {
            cache.put([i; 32], entry(0, 1));
            assert!(cache.get(&[0; 32], 1, 0).is_some());
            let maps = cache.maps.lock().unwrap();
            assert!(maps.young.len() + maps.old.len() <= 10);
        }
        assert!(cache.get(&[1; 32], 1, 0).is_none());
    }
}
