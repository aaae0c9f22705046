//! The schema as a document: what `/schema/snapshot` hands out, and what one of another installation is compared with.
//!
//! `difference` tells two JSON values apart and `compare` two documents; `apply` turns differences into changes of the
//! database. Entries are kept as JSON members in the original's shape, without ids: those differ between
//! installations.

use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, CollectionEntry, wire};

pub mod apply;
pub mod body;
pub mod compare;
pub mod difference;
mod evolve;
pub mod format;
mod native;
pub mod offline;
pub mod plan;
pub mod serve;
mod write;

/// Version of the document's form.
pub const VERSION: u64 = 1;
/// The Directus whose schema this is.
pub const DIRECTUS: &str = "11.17.4";
/// The database behind it.
pub const VENDOR: &str = "postgres";

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A collection or folder.
    Collection,
    /// A field.
    Field,
    /// A field of a system collection, of which only the index can be chosen.
    SystemField,
    /// A relation.
    Relation,
}

impl Kind {
    /// The list that holds its entries.
    pub const fn list(self) -> &'static str {
        match self {
            Self::Collection => "collections",
            Self::Field => "fields",
            Self::SystemField => "systemFields",
            Self::Relation => "relations",
        }
    }

    /// Members of an entry, in the original's order.
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Collection => &["collection", "meta", "schema"],
            Self::Field => &["collection", "field", "type", "meta", "schema"],
            Self::SystemField => &["collection", "field", "schema"],
            Self::Relation => &["collection", "field", "related_collection", "meta", "schema"],
        }
    }

    /// Members of an entry's `schema`, in the original's order.
    const fn schema(self) -> &'static [&'static str] {
        match self {
            Self::Collection => &["name"],
            Self::Field => &[
                "name",
                "table",
                "data_type",
                "default_value",
                "max_length",
                "numeric_precision",
                "numeric_scale",
                "is_nullable",
                "is_unique",
                "is_indexed",
                "is_primary_key",
                "is_generated",
                "generation_expression",
                "has_auto_increment",
                "foreign_key_table",
                "foreign_key_column",
            ],
            Self::SystemField => &["is_indexed"],
            Self::Relation => &[
                "table",
                "column",
                "foreign_key_table",
                "foreign_key_column",
                "constraint_name",
                "on_update",
                "on_delete",
            ],
        }
    }
}

/// What finds an entry: collection and field; a collection has no field.
pub type Key = (String, String);

/// Members of an entry.
pub type Members = Map<String, Value>;

/// A list of entries of one kind.
#[derive(Debug, Clone)]
pub struct Entries {
    /// Their kind.
    pub kind: Kind,
    /// In their order.
    pub list: Vec<Members>,
}

impl Entries {
    fn new(kind: Kind) -> Self {
        Self { kind, list: Vec::new() }
    }

    /// Where the entries stand; of two with one key, the first.
    pub fn by_key(&self) -> HashMap<Key, &Members> {
        let mut found = HashMap::with_capacity(self.list.len());
        for entry in &self.list {
            found.entry(key(entry)).or_insert(entry);
        }
        found
    }
}

/// What finds an entry.
pub fn key(entry: &Members) -> Key {
    let member = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (member("collection"), member("field"))
}

/// The document.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Collections and folders, by name.
    pub collections: Entries,
    /// Fields by collection, in the order they were made.
    pub fields: Entries,
    /// Fields of system collections that have an index.
    pub system_fields: Entries,
    /// Relations by collection, in the order they were made.
    pub relations: Entries,
}

impl Blueprint {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            collections: Entries::new(Kind::Collection),
            fields: Entries::new(Kind::Field),
            system_fields: Entries::new(Kind::SystemField),
            relations: Entries::new(Kind::Relation),
        }
    }

    /// The schema without what is shipped, with or without what has no metadata (the original leaves that out).
    pub fn of(catalog: &Catalog, untracked: bool) -> Self {
        let mut blueprint = Self::new();
        for entry in catalog.collections.values() {
            if !entry.system && (untracked || entry.meta.is_some()) {
                let wire = json(&wire::Collection::from(entry));
                blueprint.collections.list.extend(picked(Kind::Collection, wire));
            }
            blueprint.fields_of(entry, untracked);
            let held = entry.relations.iter().filter(|held| match &held.meta {
                Some(meta) => !meta.system,
                None => untracked,
            });
            let mut relations: Vec<Value> = held.map(|held| json(&wire::Relation::of(entry, held))).collect();
            relations.sort_by_key(made);
            let picked = relations.into_iter().filter_map(|relation| picked(Kind::Relation, relation));
            blueprint.relations.list.extend(picked);
        }
        blueprint
    }

    fn fields_of(&mut self, entry: &CollectionEntry, untracked: bool) {
        let mut fields = Vec::with_capacity(entry.fields.len());
        for field in &entry.fields {
            match &field.meta {
                Some(meta) if meta.system && field.column.as_ref().is_some_and(|column| column.indexed) => {
                    let index = json!({"is_indexed": true});
                    let member = json!({"collection": entry.name, "field": field.name, "schema": index});
                    self.system_fields.list.extend(picked(Kind::SystemField, member));
                }
                Some(meta) if meta.system => {}
                Some(_) => fields.push(json(&wire::Field::of(entry, field))),
                None if untracked && !entry.system => fields.push(json(&wire::Field::of(entry, field))),
                None => {}
            }
        }
        fields.sort_by_key(made);
        self.fields.list.extend(fields.into_iter().filter_map(|field| picked(Kind::Field, field)));
    }

    /// A word for this state of the schema: the same wherever the schema is.
    pub fn hash(&self) -> String {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for entries in [&self.collections, &self.fields, &self.system_fields, &self.relations] {
            let mut sorted: Vec<&Members> = entries.list.iter().collect();
            sorted.sort_by_key(|entry| key(entry));
            context.update(&crate::catalog::json(&sorted));
        }
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Serialize for Blueprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("directus", DIRECTUS)?;
        map.serialize_entry("vendor", VENDOR)?;
        for entries in [&self.collections, &self.fields, &self.system_fields, &self.relations] {
            let list: Vec<Ordered<'_>> =
                entries.list.iter().map(|entry| Ordered { kind: entries.kind, entry }).collect();
            map.serialize_entry(entries.kind.list(), &list)?;
        }
        map.end()
    }
}

/// An entry that is printed in the original's order of members.
struct Ordered<'a> {
    kind: Kind,
    entry: &'a Members,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.kind.members() {
            match self.entry.get(*name) {
                Some(Value::Object(schema)) if *name == "schema" => {
                    map.serialize_entry(name, &InOrder(self.kind.schema(), schema))?;
                }
                Some(value) => map.serialize_entry(name, value)?,
                None => {}
            }
        }
        map.end()
    }
}

struct InOrder<'a>(&'a [&'static str], &'a Members);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|name| Some((name, self.1.get(*name)?))))
    }
}

fn json(value: &impl Serialize) -> Value {
    // Structs with string keys: JSON can always be made of them.
    serde_json::to_value(value).unwrap_or_default()
}

/// When an entry was made, among those of its collection.
fn made(entry: &Value) -> i64 {
    entry["meta"]["id"].as_i64().unwrap_or(i64::MAX)
}

/// The members that a document has of an entry. Ids and what is said about the installation are left out, and so is a
/// `schema` without members.
pub fn picked(kind: Kind, entry: Value) -> Option<Members> {
    let Value::Object(mut entry) = entry else { return None };
    entry.retain(|name, _| kind.members().contains(&name.as_str()));
    if let Some(Value::Object(meta)) = entry.get_mut("meta") {
        meta.retain(|name, _| name != "id" && name != "system");
    }
    let schema = entry.remove("schema");
    if let Some(Value::Object(mut schema)) = schema {
        schema.retain(|name, _| kind.schema().contains(&name.as_str()));
        // A folder has none; a table whose definition says nothing more still is one.
        if kind == Kind::Collection {
            schema.insert("name".to_owned(), entry.get("collection").cloned().unwrap_or_default());
        }
        if !schema.is_empty() {
            entry.insert("schema".to_owned(), Value::Object(schema));
        }
    }
    Some(entry)
}
