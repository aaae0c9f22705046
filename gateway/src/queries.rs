//! Query strings that were read before: the same text means the same query, whoever sends it.
//!
//! Two generations: what is asked for goes from the old one to the young one; when that is full, the old one is dropped.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::Error;
use query::{Export, Query};

use crate::read_query::Wanted;
use crate::token;

/// Texts of a generation.
const ENTRIES: usize = 1_024;
/// Bytes of a text that is kept.
const LONGEST: usize = 2_048;

/// What texts stand for, in canonical form.
#[derive(Debug, Default)]
pub struct Queries {
    both: Mutex<Both>,
}

#[derive(Debug, Default)]
struct Both {
    young: HashMap<Box<str>, Wanted>,
    old: HashMap<Box<str>, Wanted>,
}

impl Both {
    fn find(&mut self, text: &str) -> Option<Wanted> {
        if let Some(found) = self.young.get(text) {
            return Some(found.clone());
        }
        let (text, found) = self.old.remove_entry(text)?;
        self.put(text, found.clone());
        Some(found)
    }

    fn put(&mut self, text: Box<str>, wanted: Wanted) {
        if self.young.len() >= ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, wanted);
    }
}

impl Queries {
    /// What a query string asks for.
    ///
    /// # Errors
    /// `INVALID_QUERY`.
    pub fn read(&self, text: &str) -> Result<Wanted, Error> {
        if text.is_empty() {
            return Ok(Wanted::default());
        }
        // Tokens are not kept.
        let is_token = |pair: &str| token::is_parameter(pair.split('=').next().unwrap_or_default());
        let kept = text.len() <= LONGEST && !text.split('&').any(is_token);
        if kept && let Some(found) = self.both(|both| both.find(text)) {
            return Ok(found);
        }
        let wanted = Wanted::new(&Query::from_query_string(text)?, Export::from_query_string(text)?);
        if kept {
            self.both(|both| both.put(text.into(), wanted.clone()));
        }
        Ok(wanted)
    }

    fn both<T>(&self, act: impl FnOnce(&mut Both) -> T) -> T {
        act(&mut self.both.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, LONGEST, Queries};

    #[test]
    fn the_same_text_is_read_once() {
        let queries = Queries::default();
        let size = || queries.both(|both| (both.young.len(), both.old.len()));
        let first = queries.read("fields=id&limit=5").unwrap().query;
        assert_eq!(first, r#"{"fields":["id"],"limit":5}"#);
        assert_eq!(queries.read("fields=id&limit=5").unwrap().query.as_ptr(), first.as_ptr());
        assert!(queries.read("limit=x").is_err() && queries.read("limit=x").is_err());
        assert_eq!(queries.read("").unwrap().query, "");
        for hidden in
            ["fields=id&access_token=secret", "access%5Ftoken=secret", &format!("x={}", "1".repeat(LONGEST))]
        {
            queries.read(hidden).unwrap();
        }
        assert_eq!(size(), (1, 0));
        for number in 0..ENTRIES * 4 {
            queries.read(&format!("limit={number}")).unwrap();
            assert_eq!(queries.read("fields=id&limit=5").unwrap().query.as_ptr(), first.as_ptr());
        }
        assert!(size().0 <= ENTRIES && size().1 <= ENTRIES);
    }
}
