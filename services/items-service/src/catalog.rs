//! The schema as clients see it: Directus's shapes of collections, fields and relations, in memory.
//!
//! Built as a whole from what introspection read (`assemble`), never changed. Metadata stays the JSON that PostgreSQL
//! made of its row; only what planning needs of it is read.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldType, Filter};
use serde::Serialize;
use serde_json::value::RawValue;

pub mod assemble;
pub mod asyncapi;
pub mod marks;
pub mod openapi;
pub mod rows;
pub mod typescript;
pub mod wire;

use rows::{ColumnRow, ForeignKeyRow};

/// Everything that clients see of the schema, by collection.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Tables, folders, system collections.
    pub collections: BTreeMap<String, CollectionEntry>,
    /// PostGIS's type of geometries by its whole name, if it is installed.
    pub geometry: Option<String>,
    /// PostgreSQL schema of pg_trgm, if it is installed.
    pub trigrams: Option<String>,
    /// Managed indexes for search that can be used, by name.
    pub search_indexes: BTreeSet<String>,
}

impl Catalog {
    /// A field of a collection.
    pub fn field(&self, collection: &str, field: &str) -> Option<&FieldEntry> {
        self.collections.get(collection)?.field(field)
    }

    /// A relation by the field that holds it.
    pub fn relation(&self, collection: &str, field: &str) -> Option<&RelationEntry> {
        self.collections.get(collection)?.relations.iter().find(|relation| relation.field == field)
    }
}

/// A collection.
#[derive(Debug, Default)]
pub struct CollectionEntry {
    /// Name.
    pub name: String,
    /// Shipped with the platform (`directus_*`).
    pub system: bool,
    /// `directus_collections`, or the shipped metadata of a system collection.
    pub meta: Option<CollectionMeta>,
    /// The table, if it is no folder.
    pub table: Option<TableEntry>,
    /// Fields, columns first.
    pub fields: Vec<FieldEntry>,
    /// Relations that this collection holds the reference of.
    pub relations: Vec<RelationEntry>,
}

impl CollectionEntry {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&FieldEntry> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The group that it stands in.
    pub fn group(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Member {
            group: Option<String>,
        }
        serde_json::from_str::<Member>(self.meta.as_ref()?.json.get()).ok()?.group
    }

    /// The primary key's field.
    pub fn key(&self) -> Option<&FieldEntry> {
        self.fields.iter().find(|field| field.column.as_ref().is_some_and(|column| column.primary_key))
    }
}

/// A table as PostgreSQL knows it.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Comment.
    pub comment: Option<String>,
    /// The last version that an item of an earlier collection of this name may have had, or 0.
    pub lived: i64,
}

/// Metadata of a collection.
#[derive(Debug, Clone)]
pub struct CollectionMeta {
    /// As on the wire.
    pub json: Box<RawValue>,
    /// Holds one item only.
    pub singleton: bool,
    /// Orders items by default.
    pub sort_field: Option<String>,
    /// Items may have versions beside themselves.
    pub versioning: bool,
}

/// A field.
#[derive(Debug)]
pub struct FieldEntry {
    /// Name.
    pub name: String,
    /// Type on the wire.
    pub kind: FieldType,
    /// The column, if it is no alias.
    pub column: Option<ColumnRow>,
    /// `directus_fields`, or the shipped metadata of a system field.
    pub meta: Option<FieldMeta>,
}

impl FieldEntry {
    /// Bears this special, marker or not.
    pub fn is(&self, special: &str) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.special.iter().any(|name| name == special))
    }
}

/// Metadata of a field.
#[derive(Debug, Clone)]
pub struct FieldMeta {
    /// As on the wire.
    pub json: Box<RawValue>,
    /// Specials by name, markers too.
    pub special: Vec<String>,
    /// Must be given.
    pub required: bool,
    /// What its values are judged by.
    pub validation: Option<Box<Filter>>,
    /// `search` looks at it.
    pub searchable: bool,
    /// Mark for full-text search; what is none is left out.
    pub full_text: Option<marks::Mark>,
    /// Place among the collection's fields.
    pub sort: Option<i64>,
    /// Shipped with the platform.
    pub system: bool,
}

/// A relation.
#[derive(Debug)]
pub struct RelationEntry {
    /// Field that holds the reference.
    pub field: String,
    /// Points to; none for many-to-any.
    pub related: Option<String>,
    /// The foreign key.
    pub key: Option<ForeignKeyRow>,
    /// `directus_relations`, or the shipped metadata of a system relation.
    pub meta: Option<RelationMeta>,
}

/// Metadata of a relation.
#[derive(Debug, Clone)]
pub struct RelationMeta {
    /// As on the wire.
    pub json: Box<RawValue>,
    /// Alias field on the other side.
    pub one_field: Option<String>,
    /// Field that names the collection (many-to-any).
    pub one_collection_field: Option<String>,
    /// Collections that a many-to-any may point to.
    pub one_allowed_collections: Vec<String>,
    /// The other reference of a junction.
    pub junction_field: Option<String>,
    /// Orders the many side.
    pub sort_field: Option<String>,
    /// What happens to a deselected item: `nullify` or `delete`.
    pub one_deselect_action: String,
    /// Shipped with the platform.
    pub system: bool,
}

/// JSON of anything that is made of strings, numbers and lists.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
