//! Filter hook `derive_article`: slug, word count, reading time and excerpt from an article's title and content.
//!
//! Only what the payload brings is used: an update without `content` leaves the excerpt alone. Fields that the
//! collection does not have are ignored by the items service. What the client gives explicitly wins.

mod slug;
mod text;

use serde_json::value::RawValue;

use crate::hook::{FilterCall, FilterError, FilterHook, Payload, Registration};

/// Derives `slug` from `title`, and `word_count`, `reading_time` (minutes) and `excerpt` from `content`.
#[derive(Debug)]
pub struct DeriveArticle {
    collections: Vec<String>,
}

impl DeriveArticle {
    /// For these collections; `*` = every user collection, none = the hook registers nothing.
    pub fn new(collections: Vec<String>) -> Self {
        Self { collections }
    }
}

#[tonic::async_trait]
impl FilterHook for DeriveArticle {
    fn name(&self) -> &'static str {
        "derive_article"
    }

    fn registrations(&self) -> Vec<Registration> {
        let register = |collection: &String, event: &str| Registration {
            event: event.to_owned(),
            collection: collection.clone(),
            priority: 100,
        };
        self.collections
            .iter()
            .flat_map(|collection| ["items.create", "items.update"].map(|event| register(collection, event)))
            .collect()
    }

    async fn run(&self, call: &FilterCall) -> Result<Option<Vec<Box<RawValue>>>, FilterError> {
        let entries: Result<Vec<_>, _> = call.entries.iter().map(|entry| derived(entry)).collect();
        entries.map(Some).map_err(|error| FilterError::Broken(error.into()))
    }
}

/// The entry with its derived fields; anything but an object is left to the items service to refuse.
fn derived(entry: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    let Some(mut payload) = Payload::read(entry) else { return Ok(entry.to_owned()) };
    if derive(&mut payload) { payload.write() } else { Ok(entry.to_owned()) }
}

/// Adds the derived fields; says whether there were any.
fn derive(payload: &mut Payload) -> bool {
    let mut changed = false;
    if let Some(title) = payload.text("title").filter(|title| !title.trim().is_empty()) {
        changed |= payload.offer("slug", &slug::slug(&title));
    }
    let content = payload.text("content");
    if content.is_none() && !payload.is_null("content") {
        return changed;
    }
    let plain = content.as_deref().map(text::plain);
    let words = plain.as_deref().map_or(0, text::words);
    changed |= payload.offer("word_count", &words);
    changed |= payload.offer("reading_time", &text::minutes(words));
    changed |= payload.offer("excerpt", &plain.as_deref().map(text::excerpt));
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::derived;

    fn run(payload: &Value) -> Value {
        let entry = RawValue::from_string(payload.to_string()).unwrap();
        serde_json::from_str(derived(&entry).unwrap().get()).unwrap()
    }

    #[test]
    fn fields_are_derived_from_what_is_there() {
        assert_eq!(
            run(&json!({"title": "Crème brûlée", "content": "<p>Sugar and cream</p>", "price": 3})),
            json!({
                "title": "Crème brûlée", "content": "<p>Sugar and cream</p>", "price": 3,
                "slug": "creme-brulee", "word_count": 3, "reading_time": 1, "excerpt": "Sugar and cream",
            })
        );
        assert_eq!(run(&json!({"title": "A b"})), json!({"title": "A b", "slug": "a-b"}));
        assert_eq!(run(&json!({"price": 3})), json!({"price": 3}));
    }

    #[test]
    fn the_clients_values_win() {
        let given = json!({
            "title": "A", "content": "b c", "slug": null, "word_count": 7, "reading_time": 9, "excerpt": "mine",
        });
        assert_eq!(run(&given), given);
    }

    #[test]
    fn cleared_content_clears_what_came_from_it() {
        assert_eq!(
            run(&json!({"content": null})),
            json!({"content": null, "word_count": 0, "reading_time": 0, "excerpt": null})
        );
        assert_eq!(run(&json!({"content": ""}))["excerpt"], json!(""));
    }

    #[test]
    fn what_is_no_text_is_left_alone() {
        for payload in [json!({"title": 5, "content": {"blocks": []}}), json!({"title": " "}), json!([1])] {
            assert_eq!(run(&payload), payload);
        }
    }
}
