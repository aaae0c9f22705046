//! What is kept, in two generations: what is asked for goes from the old one to the young one; when that is full, the
//! old one is dropped. So the room is bounded, and nothing has to be sorted by age.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use access::Access;
use bytes::Bytes;
use planner::Variables;

use super::{Asked, Kept};

/// Plans of a generation.
pub(super) const ENTRIES: usize = 2_048;
/// Bytes of a generation's plans, about.
pub(super) const BYTES: usize = 8 * 1024 * 1024;
/// Plans of one query for different callers.
pub(super) const CALLERS: usize = 8;
/// Texts of a generation.
const TEXTS: usize = 4_096;

/// A plan and what it answers.
#[derive(Debug)]
pub(super) struct Entry {
    one: bool,
    collection: String,
    query: Bytes,
    access: Access,
    /// Who asked, where the plan holds something of him.
    caller: Option<Variables>,
    weight: usize,
    kept: Arc<Kept>,
}

impl Entry {
    /// The plan for what is asked; `caller` where it holds something of him.
    pub(super) fn new(asked: &Asked<'_>, caller: Option<Variables>, weight: usize, kept: Arc<Kept>) -> Self {
        Self {
            one: asked.one,
            collection: asked.collection.to_owned(),
            // A copy: the bytes may be a part of something larger.
            query: Bytes::copy_from_slice(asked.query),
            access: asked.access.clone(),
            caller,
            weight,
            kept,
        }
    }

    fn answers(&self, asked: &Asked<'_>) -> bool {
        self.one == asked.one
            && self.collection == asked.collection
            && self.query == *asked.query
            && self.caller.as_ref().is_none_or(|caller| is_same(caller, asked.variables))
            && self.access == *asked.access
    }
}

/// The same caller, whatever the time.
fn is_same(a: &Variables, b: &Variables) -> bool {
    (a.user, a.role, &a.roles, &a.policies) == (b.user, b.role, &b.roles, &b.policies)
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<u64, Vec<Entry>>,
    count: usize,
    weight: usize,
}

impl Generation {
    fn take(&mut self, hash: u64, at: impl FnOnce(&[Entry]) -> Option<usize>) -> Option<Entry> {
        let bucket = self.entries.get_mut(&hash)?;
        let entry = bucket.remove(at(bucket)?);
        self.count -= 1;
        self.weight -= entry.weight;
        Some(entry)
    }

    fn put(&mut self, hash: u64, entry: Entry) {
        self.take(hash, |bucket| (bucket.len() >= CALLERS).then_some(0));
        self.count += 1;
        self.weight += entry.weight;
        self.entries.entry(hash).or_default().push(entry);
    }
}

/// Both generations.
#[derive(Debug, Default)]
pub(super) struct Generations {
    young: Generation,
    old: Generation,
    /// Texts that were planned.
    pub(super) texts: Texts,
}

impl Generations {
    /// The plan for what is asked.
    pub(super) fn find(&mut self, hash: u64, asked: &Asked<'_>) -> Option<Arc<Kept>> {
        let young = self.young.entries.get(&hash).into_iter().flatten();
        if let Some(entry) = young.into_iter().find(|entry| entry.answers(asked)) {
            return Some(Arc::clone(&entry.kept));
        }
        let entry = self.old.take(hash, |bucket| bucket.iter().position(|entry| entry.answers(asked)))?;
        let kept = Arc::clone(&entry.kept);
        self.put(hash, entry);
        Some(kept)
    }

    /// Keeps a plan.
    pub(super) fn put(&mut self, hash: u64, entry: Entry) {
        if self.young.count >= ENTRIES || self.young.weight + entry.weight > BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.put(hash, entry);
    }

    /// How many plans are kept, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.young.count + self.old.count, self.young.weight + self.old.weight)
    }
}

/// Texts that were seen, by their hashes: a wrong yes costs a prepared statement, nothing else.
#[derive(Debug, Default)]
pub(super) struct Texts {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Texts {
    /// Whether the text was seen before; from now on it was.
    pub(super) fn seen(&mut self, text: u64) -> bool {
        if self.young.len() >= TEXTS {
            self.old = std::mem::take(&mut self.young);
        }
        !self.young.insert(text) || self.old.contains(&text)
    }
}
