//! What a listener wants to see.

use model::Event;

/// Patterns of names, and collections; empty ones are all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    events: Vec<String>,
    collections: Vec<String>,
}

impl Wanted {
    /// Who wants the same has an equal one, in whatever order he named it.
    pub fn new(mut events: Vec<String>, mut collections: Vec<String>) -> Self {
        for names in [&mut events, &mut collections] {
            names.sort_unstable();
            names.dedup();
        }
        Self { events, collections }
    }

    /// The collections that are named.
    pub fn collections(&self) -> &[String] {
        &self.collections
    }

    /// He wants events of this collection.
    pub fn has(&self, collection: &str) -> bool {
        self.collections.is_empty() || self.collections.iter().any(|name| name == collection)
    }

    /// He wants this event.
    pub fn holds(&self, event: &Event) -> bool {
        let name = event.name.as_str();
        let named = |pattern: &String| match pattern.strip_suffix(".*") {
            Some(start) => name.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
            None => pattern == "*" || pattern == name,
        };
        (self.events.is_empty() || self.events.iter().any(named)) && self.has(&event.collection)
    }
}
