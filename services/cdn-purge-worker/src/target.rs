//! Which events make the CDN forget something, and what: the item's or file's key.

use std::borrow::Cow;
use std::collections::HashSet;

use model::Event;
use serde::Deserialize;

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

    /// The keys that the CDN has to forget. An erasure names many.
    pub fn of<'a>(&self, event: &'a Event) -> Vec<Cow<'a, str>> {
        let concerns = match (event.name.scope(), event.name.action()) {
            ("files", _) => true,
            ("items", "create" | "update" | "delete" | "erase") => {
                self.all || self.collections.contains(&event.collection)
            }
            _ => false,
        };
        if concerns && event.name.action() == "erase" {
            return erased(event).into_iter().map(Cow::Owned).collect();
        }
        if concerns && event.key.is_empty() {
            // `DELETE /purge/` may mean everything.
            tracing::warn!(event = %event.name, position = event.position, "an event without a key purges nothing");
            return Vec::new();
        }
        if concerns { vec![Cow::Borrowed(event.key.as_str())] } else { Vec::new() }
    }
}

/// The items that an erasure names.
fn erased(event: &Event) -> Vec<String> {
    #[derive(Deserialize)]
    struct Erased {
        keys: Vec<String>,
    }
    let payload = event.payload.as_ref().map_or("", |payload| payload.get());
    let erased = serde_json::from_str(payload).map(|Erased { keys }| keys);
    let keys = erased.unwrap_or_default().into_iter();
    keys.filter(|key| !key.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use model::{Event, EventName};
    use serde_json::value::RawValue;

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
            |targets: &Targets| [&files, &article, &page, &login].map(|event| !targets.of(event).is_empty());
        assert_eq!(found(&targets(&["directus_files"])), [true, false, false, false]);
        assert_eq!(found(&targets(&["articles"])), [true, true, false, false]);
        assert_eq!(found(&targets(&["*"])), [true, true, true, false]);
        assert_eq!(targets(&["directus_files"]).subjects(), ["files.>"]);
        assert_eq!(targets(&["articles"]).subjects(), ["files.>", "items.>"]);
        assert_eq!(targets(&["*"]).of(&article), ["7"]);
        assert!(targets(&["*"]).of(&event("items.delete", "articles", "")).is_empty());
        let payload =
            RawValue::from_string(r#"{"keys": ["7", "", "9"], "fields": null}"#.to_owned()).unwrap();
        let erased = Event { payload: Some(payload), ..event("items.erase", "articles", "") };
        assert_eq!(targets(&["articles"]).of(&erased), ["7", "9"]);
        assert!(targets(&["pages"]).of(&erased).is_empty());
        assert!(Targets::new(&["directus_users".to_owned()]).is_none());
    }
}
