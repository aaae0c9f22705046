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
                        Some(Link::One { collection } | Link::Many { collection, .. }) => {
                            Some(collection.as_str())
                        }
                        Some(Link::Any { collection_field, .. }) => {
                            item.get(collection_field).and_then(Value::as_str)
                        }
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
        if !key.is_empty() && key.len() <= LONGEST && self.tags.len() < self.most && !self.tags.contains(&key)
        {
            self.tags.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Collection, Field, FieldType, KeySource, Link, Schema};

    use super::{KEYS, of};

    fn field(name: &str, link: Option<Link>) -> Field {
        Field {
            name: name.to_owned(),
            kind: FieldType::Integer,
            column_type: "integer".to_owned(),
            nullable: true,
            default: None,
            unique: false,
            validation: None,
            generated: false,
            special: Vec::new(),
            searchable: true,
            search: None,
            link,
        }
    }

    fn schema() -> Schema {
        let (blocks, note) = ("blocks".to_owned(), "note".to_owned());
        let many = Link::Many { collection: blocks, field: note, sort_field: None, deletes: false };
        let any = Link::Any { collection_field: "kind".to_owned(), allowed: vec!["notes".to_owned()] };
        let of = |name: &str, key: &str, fields: Vec<Field>| Collection {
            name: name.to_owned(),
            view: None,
            primary_key: key.to_owned(),
            key_source: KeySource::Client,
            first_version: 1,
            fields,
            singleton: false,
            sort_field: None,
            system: false,
        };
        let one = Link::One { collection: "authors".to_owned() };
        let all = [
            of(
                "notes",
                "id",
                vec![field("id", None), field("author", Some(one)), field("blocks", Some(many))],
            ),
            of("authors", "code", vec![field("code", None)]),
            of("blocks", "id", vec![field("id", None), field("item", Some(any))]),
        ];
        let collections = all.into_iter().map(|one| (one.name.clone(), one.into())).collect();
        Schema { version: 1, collections, past: None }
    }

    fn tags(answer: &str) -> String {
        let schema = schema();
        of(answer, &["notes".to_owned()], schema.collection("notes").unwrap(), &schema).join(" ")
    }

    #[test]
    fn keys_are_those_that_the_answer_shows() {
        for (answer, expected) in [
            ("[]", "notes"),
            (r#"[{"id":1},{"id":"b"},{"id":1},{"id":null},{"title":"7"}]"#, "notes 1 b"),
            // A key alone says that there is such an item, and nothing that would change with it.
            (r#"[{"id":1,"author":9,"blocks":[3,4]}]"#, "notes 1"),
            (r#"{"id":1,"author":{"code":"x","id":"no"},"blocks":[{"id":3,"item":5}]}"#, "notes 1 x 3"),
            (r#"[{"blocks":[{"item":{"id":8},"kind":"notes"},{"item":{"id":9}}]}]"#, "notes 8"),
            (r#"[{"id":9007199254740993}]"#, "notes 9007199254740993"),
            ("no json", "notes"),
        ] {
            assert_eq!(tags(answer), expected, "{answer}");
        }
        let many: Vec<String> = (0..1_000).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        assert_eq!(tags(&format!("[{}]", many.join(","))).split(' ').count(), 1 + KEYS);
        assert_eq!(tags(&format!(r#"[{{"id":"{}"}}]"#, "x".repeat(10_000))), "notes");
    }
}
