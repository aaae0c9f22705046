//! What Directus knows of its own system collections: metadata that stands in no table, shipped as data.
//!
//! The rows are those of the package `@directus/system-data` (MIT; see `system-data/VERSION`, made by
//! `script/system-data`), in the shape that `/collections`, `/fields` and `/relations` show as `meta`.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use model::Special;
use serde_json::{Map, Value};

/// A row of `directus_collections`, `directus_fields` or `directus_relations`, as it would stand there, with
/// `"system": true`. `special` is a list.
pub type Row = Map<String, Value>;

struct SystemData {
    collections: Vec<Row>,
    fields: Vec<Row>,
    relations: Vec<Row>,
    collection_at: HashMap<String, usize>,
    /// Collection -> where its fields stand, in their order.
    fields_at: BTreeMap<String, Vec<usize>>,
    /// (collection, field) -> where the relation stands.
    relation_at: HashMap<(String, String), usize>,
}

static SYSTEM_DATA: LazyLock<SystemData> = LazyLock::new(|| {
    let collections = rows(include_str!("../system-data/collections.json"));
    let fields = rows(include_str!("../system-data/fields.json"));
    let relations = rows(include_str!("../system-data/relations.json"));
    let numbered = |rows: &[Row], name: &str| {
        rows.iter().enumerate().map(|(at, row)| (text(row, name).to_owned(), at)).collect::<Vec<_>>()
    };
    let mut fields_at: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (collection, at) in numbered(&fields, "collection") {
        fields_at.entry(collection).or_default().push(at);
    }
    let mut relation_at = HashMap::new();
    for (at, row) in relations.iter().enumerate() {
        let key = (text(row, "many_collection").to_owned(), text(row, "many_field").to_owned());
        relation_at.entry(key).or_insert(at);
    }
    SystemData {
        collection_at: numbered(&collections, "collection").into_iter().collect(),
        fields_at,
        relation_at,
        collections,
        fields,
        relations,
    }
});

/// The files are part of the program, and the test below reads all of them: they are lists of objects.
fn rows(json: &str) -> Vec<Row> {
    serde_json::from_str(json).unwrap_or_default()
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Metadata of all system collections.
pub fn collections() -> &'static [Row] {
    &SYSTEM_DATA.collections
}

/// Metadata of all system fields, those without a column too, in their order within the collection.
pub fn fields() -> &'static [Row] {
    &SYSTEM_DATA.fields
}

/// Metadata of all relations between system collections.
pub fn relations() -> &'static [Row] {
    &SYSTEM_DATA.relations
}

/// Metadata of a system collection.
pub fn collection(name: &str) -> Option<&'static Row> {
    SYSTEM_DATA.collection_at.get(name).map(|at| &SYSTEM_DATA.collections[*at])
}

/// Metadata of the fields of a system collection, in their order; nothing for other collections.
pub fn fields_of(collection: &str) -> impl Iterator<Item = &'static Row> {
    let at = SYSTEM_DATA.fields_at.get(collection).map_or(&[][..], Vec::as_slice);
    at.iter().map(|at| &SYSTEM_DATA.fields[*at])
}

/// Metadata of one system field.
pub fn field(collection: &str, field: &str) -> Option<&'static Row> {
    fields_of(collection).find(|row| text(row, "field") == field)
}

/// Metadata of the relation that a field of a system collection holds; the first where there are two
/// (`directus_access.policy` is seen as `roles` and as `users` from the other side).
pub fn relation(collection: &str, field: &str) -> Option<&'static Row> {
    let key = (collection.to_owned(), field.to_owned());
    SYSTEM_DATA.relation_at.get(&key).map(|at| &SYSTEM_DATA.relations[*at])
}

/// Specials of a system field that act on values; nothing for other fields.
pub fn special(collection: &str, name: &str) -> Vec<Special> {
    let list = field(collection, name).and_then(|row| row.get("special")).and_then(Value::as_array);
    let names = list.map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
    names.filter_map(Special::parse).collect()
}

#[cfg(test)]
mod tests {
    use model::Special;

    use super::{collection, collections, field, fields, fields_of, relation, relations, special, text};

    #[test]
    fn every_row_is_there_and_named() {
        assert_eq!((collections().len(), fields().len(), relations().len()), (29, 403, 54));
        assert!(collections().iter().all(|row| collection(text(row, "collection")) == Some(row)));
        assert!(fields().iter().all(|row| field(text(row, "collection"), text(row, "field")) == Some(row)));
        let of = |row| relation(text(row, "many_collection"), text(row, "many_field"));
        assert!(relations().iter().all(|row| of(row).is_some()));
    }

    #[test]
    fn fields_are_found_by_collection_and_name() {
        assert_eq!(special("directus_users", "password"), [Special::Hash, Special::Conceal]);
        assert_eq!(special("directus_permissions", "fields"), [Special::CastCsv]);
        assert_eq!(special("articles", "password"), []);
        assert_eq!(fields_of("articles").count(), 0);
        assert_eq!(collection("directus_settings").unwrap()["singleton"], true);
        assert_eq!(relation("directus_users", "role").unwrap()["one_collection"], "directus_roles");
    }
}
