//! Subjects: where an event stands on the bus. Names of collections are escaped so that each stays one token and
//! can be read back.

use std::borrow::Cow;

use model::{Event, EventName};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What may not stand in a token, besides non-ASCII.
const TOKEN: &AsciiSet = &CONTROLS.add(b' ').add(b'.').add(b'*').add(b'>').add(b'%');

/// Stands for the empty name. No other name is escaped to it.
const EMPTY: &str = "%";

/// `items.create.<collection>` for user collections, the event's name for all others; behind the prefix.
pub fn subject(prefix: &str, event: &Event) -> String {
    prefixed(prefix, &plain(&event.name, &event.collection))
}

/// The subject of an event without the installation's prefix.
pub fn plain(name: &EventName, collection: &str) -> String {
    if name.scope() == "items" {
        format!("{}.{}", name.as_str(), escape(collection))
    } else {
        name.as_str().to_owned()
    }
}

/// A subject or pattern behind the prefix.
pub fn prefixed(prefix: &str, subject: &str) -> String {
    if prefix.is_empty() { subject.to_owned() } else { format!("{prefix}.{subject}") }
}

/// One token for this name: `.`, `*`, `>`, `%`, space, control and non-ASCII bytes become `%XX`. Different names
/// give different tokens.
pub fn escape(name: &str) -> Cow<'_, str> {
    if name.is_empty() {
        return Cow::Borrowed(EMPTY);
    }
    utf8_percent_encode(name, TOKEN).into()
}

/// The name that `escape` made this token from. `None` for a token that it would not make.
pub fn unescape(token: &str) -> Option<String> {
    if token == EMPTY {
        return Some(String::new());
    }
    let name = percent_decode_str(token).decode_utf8().ok()?;
    (escape(&name) == token).then(|| name.into_owned())
}

/// Whether a pattern (with `*` and `>`) takes this subject, as the server would decide.
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let mut parts = pattern.split('.').peekable();
    while let Some(part) = parts.next() {
        match (part, tokens.next()) {
            (">", Some(_)) if parts.peek().is_none() => return true,
            ("*", Some(_)) => {}
            (part, Some(token)) if part == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for (name, token) in [
            ("articles", "articles"),
            ("directus_users", "directus_users"),
            ("a.b", "a%2Eb"),
            ("100% *>", "100%25%20%2A%3E"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("", "%"),
        ] {
            assert_eq!(escape(name), token);
            assert_eq!(unescape(token).as_deref(), Some(name));
        }
        for foreign in ["a%2eb", "%41", "%zz", "%2", "a b", "ä"] {
            assert_eq!(unescape(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn patterns_match_as_on_the_server() {
        for (pattern, subject, fits) in [
            ("items.>", "items.create.a", true),
            ("items.>", "items", false),
            ("items.*.a", "items.create.a", true),
            ("items.*.a", "items.create.b", false),
            ("items.*", "items.create.a", false),
            ("users.create", "users.create", true),
            ("users.create.x", "users.create", false),
            (">", "a", true),
        ] {
            assert_eq!(matches(pattern, subject), fits, "{pattern} {subject}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_one_token_and_can_be_read_back(name in any::<String>()) {
            let token = escape(&name).into_owned();
            prop_assert!(!token.is_empty());
            prop_assert!(token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>')));
            prop_assert_eq!(unescape(&token), Some(name));
        }

        #[test]
        fn different_names_give_different_tokens(a in "[%.a2E*]{0,6}", b in "[%.a2E*]{0,6}") {
            prop_assert_eq!(a == b, escape(&a) == escape(&b));
        }
    }
}
