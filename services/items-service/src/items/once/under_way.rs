//! Requests of this process that are under way under a key.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use planner::Once;

/// All of them: owner and key.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashSet<(String, String)>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Entry<'a> {
    all: &'a UnderWay,
    name: (String, String),
}

impl UnderWay {
    /// The only request under this key; nothing while there is one.
    pub fn enter(&self, once: &Once) -> Option<Entry<'_>> {
        let name = (once.owner.clone(), once.key.clone());
        self.names(|names| names.insert(name.clone())).then(|| Entry { all: self, name })
    }

    fn names<T>(&self, act: impl FnOnce(&mut HashSet<(String, String)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.all.names(|names| names.remove(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use planner::Once;

    use super::UnderWay;

    #[test]
    fn one_at_a_time() {
        let once =
            |key: &str| Once { owner: "o".into(), key: key.into(), fingerprint: String::new(), lock: 0 };
        let all = UnderWay::default();
        let first = all.enter(&once("a"));
        assert!(first.is_some() && all.enter(&once("a")).is_none() && all.enter(&once("b")).is_some());
        drop(first);
        assert!(all.enter(&once("a")).is_some());
    }
}
