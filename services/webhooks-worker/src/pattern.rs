//! Which events an endpoint wants: `*`, `items.*`, `items.create`, `items.create.articles`, `items.*.articles`,
//! `custom.article.created`, `custom.article.*`.

use model::{Event, EventName};

/// The scope whose events are called as one likes.
const CUSTOM: &str = "custom";

/// One pattern. `None` stands for `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    scope: Option<String>,
    action: Option<String>,
    collection: Option<String>,
    /// The action is only how the name goes on behind the scope.
    open: bool,
}

impl Pattern {
    /// Reads a pattern; `None` if it is none, or its scope is one that no event has.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { scope: None, action: None, collection: None, open: false });
        }
        if let Some(name) = text.strip_prefix("custom.") {
            return Self::custom(name);
        }
        let mut parts = text.splitn(3, '.');
        let (scope, action, collection) = (parts.next()?, parts.next()?, parts.next());
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        let name = |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
        let known = bus::topology::SUBJECTS.iter().any(|subject| subject.strip_suffix(".>") == Some(scope));
        // Only items belong to a collection that the name of the event does not tell.
        let collection_fits = collection.is_none_or(|text| scope == "items" && name(text));
        if !known || !(action == "*" || word(action)) || !collection_fits {
            return None;
        }
        let owned = |text: &str| (text != "*").then(|| text.to_owned());
        let (scope, action) = (owned(scope), owned(action));
        Some(Self { scope, action, collection: collection.and_then(owned), open: false })
    }

    /// Of custom events: a name of any length, or how it begins.
    fn custom(name: &str) -> Option<Self> {
        let (start, open) = match name.strip_suffix("*") {
            Some("") => (None, true),
            Some(start) => (Some(start.strip_suffix('.')?), true),
            None => (Some(name), false),
        };
        if let Some(start) = start {
            EventName::parse(&format!("{CUSTOM}.{start}"))?;
        }
        let (scope, action) = (Some(CUSTOM.to_owned()), start.map(str::to_owned));
        Some(Self { scope, action, collection: None, open })
    }

    /// Whether the event is meant.
    pub fn matches(&self, event: &Event) -> bool {
        let fits =
            |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        let action = event.name.action();
        let goes_on = |start: &str| action.strip_prefix(start).is_some_and(|rest| rest.starts_with('.'));
        let acts = match (&self.action, self.open) {
            (Some(start), true) => goes_on(start),
            (wanted, _) => fits(wanted, action),
        };
        acts && fits(&self.scope, event.name.scope()) && fits(&self.collection, &event.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use crate::message::tests::event;

    #[test]
    fn patterns_match_scope_action_and_collection() {
        let event = event("items.create", "articles");
        for yes in
            ["*", "items.*", "items.create", "items.create.articles", "items.*.articles", "items.create.*"]
        {
            assert!(Pattern::parse(yes).unwrap().matches(&event), "{yes}");
        }
        for no in
            ["items.update", "items.create.pages", "items.*.article", "users.*", "users.create", "auth.login"]
        {
            assert!(!Pattern::parse(no).unwrap().matches(&event), "{no}");
        }
        let event = crate::message::tests::event("items.delete", "a.b ü");
        assert!(Pattern::parse("items.delete.a.b ü").unwrap().matches(&event));
        assert!(
            Pattern::parse("auth.login").unwrap().matches(&crate::message::tests::event("auth.login", "x"))
        );
    }

    #[test]
    fn custom_events_have_names_of_any_length() {
        let event = event("custom.article.created", "articles");
        for yes in ["*", "custom.*", "custom.article.*", "custom.article.created"] {
            assert!(Pattern::parse(yes).unwrap().matches(&event), "{yes}");
        }
        for no in ["custom.article", "custom.art.*", "custom.created", "custom.article.created.*", "items.*"]
        {
            assert!(!Pattern::parse(no).unwrap().matches(&event), "{no}");
        }
        for bad in
            ["custom", "custom.", "custom.a*", "custom.*.created", "custom.a..b", "custom.A", "custom..*"]
        {
            assert_eq!(Pattern::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_no_event_is_called_is_refused() {
        for bad in [
            "",
            ".",
            "items",
            "items.",
            ".create",
            "*.create",
            "**",
            "items.>",
            "items.Create",
            "things.create",
            "users.create.directus_users",
            "items.create.",
            "items.create.a\nb",
            "items create",
        ] {
            assert_eq!(Pattern::parse(bad), None, "{bad:?}");
        }
    }
}
