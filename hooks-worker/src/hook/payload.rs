//! One item's payload as a filter hook reads and changes it.
//!
//! Values that the hook does not touch stay the bytes they were: integers and decimals keep their digits.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The fields of one payload.
#[derive(Debug)]
pub struct Payload(BTreeMap<String, Box<RawValue>>);

impl Payload {
    /// Reads a JSON object; `None` for anything else. Of a name that stands twice the last counts.
    pub fn read(entry: &RawValue) -> Option<Self> {
        serde_json::from_str(entry.get()).ok().map(Self)
    }

    /// The client gave this field, be it null.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// The client gave this field as null.
    pub fn is_null(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|value| value.get() == "null")
    }

    /// The field's value when it is a JSON string.
    pub fn text(&self, field: &str) -> Option<String> {
        serde_json::from_str(self.0.get(field)?.get()).ok()
    }

    /// Sets the field unless the client gave it; says whether it did. A value that has no JSON is not set.
    pub fn offer<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> bool {
        if self.has(field) {
            return false;
        }
        let Ok(value) = to_raw_value(value) else { return false };
        self.0.insert(field.to_owned(), value);
        true
    }

    /// The object as JSON.
    ///
    /// # Errors
    /// None in practice: names are strings and values are JSON already.
    pub fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::Payload;

    #[test]
    fn untouched_values_keep_their_bytes() {
        let text = r#"{"price":10.1000000000000000000001,"n":9223372036854775808,"title":"a\u00e9"}"#;
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let mut payload = Payload::read(&raw).unwrap();
        assert_eq!(payload.text("title").as_deref(), Some("aé"));
        assert!(payload.offer("slug", "x"));
        assert!(!payload.offer("title", "other"), "the client's value wins");
        let written = payload.write().unwrap();
        assert_eq!(
            written.get(),
            r#"{"n":9223372036854775808,"price":10.1000000000000000000001,"slug":"x","title":"a\u00e9"}"#
        );
    }

    #[test]
    fn only_objects_are_payloads() {
        for text in ["1", "null", "[]", "\"a\""] {
            assert!(Payload::read(&RawValue::from_string(text.to_owned()).unwrap()).is_none(), "{text}");
        }
    }
}
