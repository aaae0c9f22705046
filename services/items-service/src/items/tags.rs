//! What an answer was made of: the collections that its plan reads, and the keys of the items that stand in it, each as
//! far as the answer shows it. A key that the answer does not show is nobody's to know.

use model::{Collection, Link, Schema};
use serde_json::Value;

/// Keys that are named.
const KEYS: usize = 200;
/// Bytes of a key that is named.
const LONGEST: usize = 256;
/// Bytes of an answer that is looked through.
const LARGEST: usize = 1024 * 1024;

/// The tags of an answer: `collections`, then keys.
pub fn of(answer: &str, collections: &[String], collection: &Collection, schema: &Schema) -> Vec<String> {
    let mut tags = collections.to_vec();
    if answer.len() <= LARGEST
        && let Ok(value) = serde_json::from_str(answer)
    {
        let most = tags.len() + KEYS;
        Keys { schema, tags: &mut tags, most }.look(&value, collection);
    }
    tags
}

struct Keys<'a> {
    schema: &'a Schema,
    tags: &'a mut Vec<String>,
    most: usize,
}

impl Keys<'_> {
    fn look(&mut self, value: &Value, collection: &Collection) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look(item, collection)),
            Value::Object(item) => {
                match item.get(&collection.primary_key) {
                    Some(Value::String(key)) => self.put(key.clone()),
                    Some(Value::Number(key)) => self.put(key.to_string()),
                    _ => {}
                }
                for (name, value) in item {
                    let link = collection.field(name).and_then(|field| field.link.as_ref());
                    let target = match link {
                        Some(Link::One { collection } | Link::Many { collection, .. }) => Some(collection.as_str()),
                        Some(Link::Any { collection_field, .. }) => item.get(collection_field).and_then(Value::as_str),
                        None => None,
                    };
                    if let Some(target) = target.and_then(|name| self.schema.collection(name)) {
                        self.look(value, &target.clone());
                    }
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, key: String) {
        if !key.is_empty() && key.len() <= LONGEST && self.tags.len() < self.most && !self.tags.contains(&key) {
            self.tags.push(key);
        }
    }
}
