//! Which events an endpoint wants: `*`, `items.*`, `items.create`, `items.create.articles`, `items.*.articles`.

use model::Event;

/// One pattern. `None` stands for `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    scope: Option<String>,
    action: Option<String>,
    collection: Option<String>,
}

impl Pattern {
    /// Reads a pattern; `None` if it is none, or its scope is one that no event has.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { scope: None, action: None, collection: None });
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
        Some(Self { scope: owned(scope), action: owned(action), collection: collection.and_then(owned) })
    }

    /// Whether the event is meant.
    pub fn matches(&self, event: &Event) -> bool {
        let fits =
            |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        fits(&self.scope, event.name.scope())
            && fits(&self.action, event.name.action())
            && fits(&self.collection, &event.collection)
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
