//! Items that a version would make: they have no keys yet, and where theirs would stand, null stands.

use std::collections::HashSet;

use model::{Collection, Error, Field, Link, Schema};
use planner::{KeyText, Payload};
use query::Query;
use serde_json::value::RawValue;

/// Takes the keys of items that are not there out of an answer.
pub struct Unborn<'a> {
    /// Their collections and keys.
    pub new: &'a HashSet<(String, KeyText)>,
    /// Where fields lead.
    pub schema: &'a Schema,
}

impl Unborn<'_> {
    /// An item without them, and all that stands in it. With what was asked of it, for the names that fields have there.
    pub fn item(
        &self,
        item: &Payload,
        collection: &Collection,
        query: Option<&Query>,
    ) -> Result<Payload, Error> {
        let mut shown = Payload::default();
        for (name, raw) in item.iter() {
            let real = query.and_then(|query| query.alias.get(name)).map_or(name, String::as_str);
            let deep = query.and_then(|query| query.deep.get(name));
            let value = match collection.field(real) {
                Some(field) if field.name == collection.primary_key => self.key(raw, &collection.name),
                Some(field) => self.value(raw, (field, item), deep)?,
                None => raw.to_owned(),
            };
            shown.put(name, &value);
        }
        Ok(shown)
    }

    fn value(
        &self,
        raw: &RawValue,
        (field, beside): (&Field, &Payload),
        deep: Option<&Query>,
    ) -> Result<Box<RawValue>, Error> {
        match &field.link {
            Some(Link::One { collection }) => self.related(raw, collection, deep),
            Some(Link::Any { collection_field, allowed }) => {
                let named = beside.get(collection_field).and_then(|raw| serde_json::from_str(raw.get()).ok());
                match named.filter(|name: &String| allowed.contains(name)) {
                    Some(name) => self.related(raw, &name, deep),
                    None => Ok(raw.to_owned()),
                }
            }
            Some(Link::Many { collection, .. }) if raw.get().starts_with('[') => {
                let entries: Vec<&RawValue> = parsed(raw)?;
                let entries = entries.into_iter().map(|entry| self.related(entry, collection, deep));
                printed(&entries.collect::<Result<Vec<_>, Error>>()?)
            }
            _ => Ok(raw.to_owned()),
        }
    }

    /// A key, or an item.
    fn related(
        &self,
        raw: &RawValue,
        collection: &str,
        deep: Option<&Query>,
    ) -> Result<Box<RawValue>, Error> {
        match self.schema.collection(collection) {
            Some(related) if raw.get().starts_with('{') => {
                printed(&self.item(&parsed(raw)?, related, deep)?)
            }
            _ => Ok(self.key(raw, collection)),
        }
    }

    fn key(&self, raw: &RawValue, collection: &str) -> Box<RawValue> {
        let text = serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        match self.new.contains(&(collection.to_owned(), text)) {
            true => RawValue::NULL.to_owned(),
            false => raw.to_owned(),
        }
    }
}

fn parsed<'j, T: serde::Deserialize<'j>>(raw: &'j RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|_| Error::internal())
}

fn printed(value: &impl serde::Serialize) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(value).map_err(|_| Error::internal())
}
