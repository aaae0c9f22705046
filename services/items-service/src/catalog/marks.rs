//! Marks for full-text search: what fields and collections ask for in `meta.options.eventus_search`, and the managed indexes
//! that follow from it. Pure.
//!
//! The mark of the primary key stands for the whole collection: for each of its texts that has no mark of its own.

use model::{FieldType, SearchIndex};
use serde_json::Value;

use super::{Catalog, CollectionEntry, FieldEntry};

/// The member of a field's options.
pub const MEMBER: &str = "eventus_search";
/// How the names of managed indexes begin.
pub const PREFIX: &str = "eventus_search_";
/// Languages of one field: its words are kept once in each.
const MOST_LANGUAGES: usize = 8;
/// Specials whose values are not shown.
const CONCEALED: [&str; 3] = ["hash", "conceal", "encrypt"];

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// `{"languages": ["english"]}`
    Words(Vec<String>),
    /// `{"trigrams": true}`
    Trigrams,
    /// `false`: not even where the collection is marked.
    Never,
}

/// The mark in a field's options; none when nothing is said.
///
/// # Errors
/// Why it is no mark.
pub fn mark(options: &Value) -> Result<Option<Mark>, String> {
    let wrong = || {
        let forms = "{\"languages\": [..]}, {\"trigrams\": true} or false";
        format!("\"{MEMBER}\" must be {forms}")
    };
    match &options[MEMBER] {
        Value::Null => Ok(None),
        Value::Bool(false) => Ok(Some(Mark::Never)),
        Value::Object(members) => match (members.len(), &options[MEMBER]["languages"]) {
            (1, Value::Array(names)) if (1..=MOST_LANGUAGES).contains(&names.len()) => {
                let names: Option<Vec<String>> =
                    names.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
                let names =
                    names.filter(|names| (1..names.len()).all(|at| !names[..at].contains(&names[at])));
                names.map(|names| Some(Mark::Words(names))).ok_or_else(wrong)
            }
            (1, Value::Null) if members.get("trigrams") == Some(&Value::Bool(true)) => {
                Ok(Some(Mark::Trigrams))
            }
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// A managed index that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Collection.
    pub collection: &'a str,
    /// Field.
    pub field: &'a str,
    /// Its name, which another definition would not have.
    pub name: String,
    /// What it is.
    pub index: SearchIndex,
}

/// The managed indexes of every collection.
pub fn all(catalog: &Catalog) -> Vec<Wanted<'_>> {
    catalog.collections.values().flat_map(|entry| wanted(entry, catalog)).collect()
}

/// The managed indexes of a collection. Where the extension is missing there are none by trigrams.
pub fn wanted<'a>(entry: &'a CollectionEntry, catalog: &Catalog) -> Vec<Wanted<'a>> {
    let one = |(field, mark): (&'a FieldEntry, Mark)| {
        let index = match mark {
            Mark::Words(languages) => SearchIndex::Words(languages),
            Mark::Trigrams => SearchIndex::Trigrams { schema: catalog.trigrams.clone()? },
            Mark::Never => return None,
        };
        let name = name(&entry.name, &field.name, &index);
        Some(Wanted { collection: &entry.name, field: &field.name, name, index })
    };
    marked(entry).filter_map(one).collect()
}

/// All that the marks of a collection ask for is there.
pub fn is_complete(entry: &CollectionEntry, catalog: &Catalog) -> bool {
    let asked = marked(entry).filter(|(_, mark)| *mark != Mark::Never).count();
    let there = wanted(entry, catalog);
    there.len() == asked && there.iter().all(|index| catalog.search_indexes.contains(&index.name))
}

/// The texts of a collection that are marked, or are of a collection that is.
fn marked(entry: &CollectionEntry) -> impl Iterator<Item = (&FieldEntry, Mark)> {
    let own = |field: &FieldEntry| field.meta.as_ref().and_then(|meta| meta.full_text.clone());
    let whole = entry.key().and_then(own);
    let can_be = !entry.system && entry.table.is_some();
    let texts = entry.fields.iter().filter(move |field| can_be && is_text(field));
    texts.filter_map(move |field| Some((field, own(field).or_else(|| whole.clone())?)))
}

/// Texts that may be shown and searched.
fn is_text(field: &FieldEntry) -> bool {
    field.column.is_some()
        && matches!(field.kind, FieldType::String | FieldType::Text)
        && field.meta.as_ref().is_none_or(|meta| meta.searchable)
        && !CONCEALED.iter().any(|special| field.is(special))
}

/// A name for this index of this field: 64 bits of what it is.
fn name(collection: &str, field: &str, index: &SearchIndex) -> String {
    let parts = planner::search_index_parts(field, index);
    let whole = [&[collection.to_owned(), field.to_owned()], &parts[..]].concat().join("\0");
    let digest = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{PREFIX}{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::{Mark, mark};
    use serde_json::json;

    #[test]
    fn marks_are_read() {
        let read = |full_text: serde_json::Value| mark(&json!({ "eventus_search": full_text }));
        let words = Mark::Words(vec!["english".to_owned(), "german".to_owned()]);
        assert_eq!(read(json!({"languages": ["english", "german"]})), Ok(Some(words)));
        assert_eq!(read(json!({"trigrams": true})), Ok(Some(Mark::Trigrams)));
        assert_eq!(read(json!(false)), Ok(Some(Mark::Never)));
        assert_eq!(read(json!(null)), Ok(None));
        assert_eq!(mark(&json!(null)), Ok(None));
        for wrong in [
            json!(true),
            json!("english"),
            json!({}),
            json!({"languages": []}),
            json!({"languages": [1]}),
            json!({"languages": ["english", "english"]}),
            json!({"languages": ["english"], "trigrams": true}),
            json!({"trigrams": false}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
