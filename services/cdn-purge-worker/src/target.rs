//! Which events make the CDN forget something, and what: the item's or file's key.

use std::collections::HashSet;

use model::Event;

/// Collection of files: their events are `files.*`.
const FILES: &str = "directus_files";

/// Collections whose changes are purged.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    all: bool,
    collections: HashSet<String>,
}

impl Targets {
    /// Of these collections; `None` if one is a system collection other than files, whose items have no URL.
    pub fn new(collections: &[String]) -> Option<Self> {
        let fits = collections.iter().all(|name| name == FILES || !name.starts_with("directus_"));
        fits.then(|| Self {
            all: collections.iter().any(|name| name == "*"),
            collections: collections.iter().filter(|name| *name != FILES && *name != "*").cloned().collect(),
        })
    }

    /// What the consumer has to hear of.
    pub fn subjects(&self) -> Vec<&'static str> {
        if self.all || !self.collections.is_empty() { vec!["files.>", "items.>"] } else { vec!["files.>"] }
    }

    /// The key that the CDN has to forget.
    pub fn of<'a>(&self, event: &'a Event) -> Option<&'a str> {
        let concerns = match (event.name.scope(), event.name.action()) {
            ("files", _) => true,
            ("items", "create" | "update" | "delete") => {
                self.all || self.collections.contains(&event.collection)
            }
            _ => false,
        };
        if concerns && event.key.is_empty() {
            // `DELETE /purge/` may mean everything.
            tracing::warn!(event = %event.name, position = event.position, "an event without a key purges nothing");
            return None;
        }
        concerns.then_some(event.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use model::{Event, EventName};

    use super::Targets;

    fn event(name: &str, collection: &str, key: &str) -> Event {
        let name = EventName::parse(name).unwrap();
        Event { name, collection: collection.to_owned(), key: key.to_owned(), ..testkit::event(1) }
    }

    fn targets(collections: &[&str]) -> Targets {
        Targets::new(&collections.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn files_and_items_of_the_collections_are_purged() {
        let files = event("files.update", "directus_files", "f");
        let article = event("items.delete", "articles", "7");
        let page = event("items.create", "pages", "7");
        let login = event("auth.login", "directus_users", "u");
        let found =
            |targets: &Targets| [&files, &article, &page, &login].map(|event| targets.of(event).is_some());
        assert_eq!(found(&targets(&["directus_files"])), [true, false, false, false]);
        assert_eq!(found(&targets(&["articles"])), [true, true, false, false]);
        assert_eq!(found(&targets(&["*"])), [true, true, true, false]);
        assert_eq!(targets(&["directus_files"]).subjects(), ["files.>"]);
        assert_eq!(targets(&["articles"]).subjects(), ["files.>", "items.>"]);
        assert_eq!(targets(&["*"]).of(&article), Some("7"));
        assert_eq!(targets(&["*"]).of(&event("items.delete", "articles", "")), None);
        assert!(Targets::new(&["directus_users".to_owned()]).is_none());
    }
}
