//! What a client sends: objects of raw JSON values, digits untouched.

use std::collections::BTreeSet;
use std::fmt;

use model::Error;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// One item as a client sent it: names and raw values in order; of a name given twice the last value counts.
#[derive(Clone, Default)]
pub struct Payload {
    pairs: Vec<(String, Box<RawValue>)>,
    /// Names that a preset gave and no client: they need no right of his.
    presets: BTreeSet<String>,
}

impl Payload {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// Takes a name out, however often it was sent.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(n, _)| n != name);
    }

    /// Gives a name this text as its only value.
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        self.set(name, text)
    }

    fn set(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) -> Result<(), Error> {
        let value = serde_json::value::to_raw_value(value).map_err(|_| Error::internal())?;
        self.remove(name);
        self.pairs.push((name.to_owned(), value));
        Ok(())
    }

    /// Gives a name this value as its only one, in the place where it stands, else at the end.
    pub fn put(&mut self, name: &str, value: &RawValue) {
        let at = self.pairs.iter().position(|(n, _)| n == name);
        self.remove(name);
        let at = at.unwrap_or(self.pairs.len()).min(self.pairs.len());
        self.pairs.insert(at, (name.to_owned(), value.to_owned()));
    }

    /// Puts every value of another one.
    pub fn overlay(&mut self, other: &Self) {
        other.pairs.iter().for_each(|(name, value)| self.put(name, value));
    }

    /// Gives a name that was not sent this value.
    ///
    /// # Errors
    /// None that a value could cause.
    pub fn preset(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        if self.get(name).is_some() {
            return Ok(());
        }
        self.presets.insert(name.to_owned());
        self.set(name, value)
    }

    /// A preset gave the name its value.
    pub fn is_preset(&self, name: &str) -> bool {
        self.presets.contains(name)
    }

    /// Gives a name null as its only value.
    pub fn set_null(&mut self, name: &str) {
        self.remove(name);
        self.pairs.push((name.to_owned(), RawValue::NULL.to_owned()));
    }

    /// Nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Payload").field(&self.pairs).finish()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Payload { pairs, presets: BTreeSet::new() })
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Parses a body: an object is one payload, an array many. The flag says whether it was one.
pub fn parse_payloads(body: &[u8]) -> Result<(Vec<Payload>, bool), Error> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    // Where it is JSON at all, its shape is wrong.
    let wrong = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => {
            Error::invalid_payload("The body must be an object or an array of objects")
        }
        _ => Error::invalid_payload(error.to_string()),
    };
    match first {
        Some(b'[') => Ok((serde_json::from_slice(body).map_err(wrong)?, false)),
        Some(b'{') => Ok((vec![serde_json::from_slice(body).map_err(wrong)?], true)),
        _ => Err(Error::invalid_payload("The body must be an object or an array of objects")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_payloads;

    #[test]
    fn the_last_of_two_values_counts() {
        let (payloads, one) = parse_payloads(br#" {"a":1,"b":[1.10],"a":2} "#).unwrap();
        assert!(one);
        assert_eq!(payloads[0].get("a").unwrap().get(), "2");
        assert_eq!(payloads[0].get("b").unwrap().get(), "[1.10]");
    }

    #[test]
    fn values_are_replaced_whole() {
        let (mut payloads, _) = parse_payloads(br#"{"a":1,"b":2,"a":3}"#).unwrap();
        payloads[0].set_text("a", "\"x").unwrap();
        payloads[0].remove("b");
        let all: Vec<_> = payloads[0].iter().map(|(name, value)| (name, value.get())).collect();
        assert_eq!(all, [("a", r#""\"x""#)]);
    }

    #[test]
    fn one_lies_over_another() {
        let (mut below, _) = parse_payloads(br#"{"a":1,"b":2,"c":3}"#).unwrap();
        let (above, _) = parse_payloads(br#"{"b":[2.0],"d":null,"b":[3]}"#).unwrap();
        below[0].overlay(&above[0]);
        assert_eq!(serde_json::to_string(&below[0]).unwrap(), r#"{"a":1,"b":[3],"c":3,"d":null}"#);
    }

    #[test]
    fn only_objects_are_payloads() {
        for bad in ["", "1", "\"a\"", "null", "[1]", "[[]]", "{", "{\"a\":}"] {
            assert!(parse_payloads(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
