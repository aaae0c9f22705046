//! Rows of introspection -> the schema that plans are made against. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{Collection, Field, FieldType, KeySource, Relation, Schema, Special};

use super::introspect::{CollectionMeta, ColumnRow, FieldMeta, RelationMeta};
use crate::system_data;

/// System tables that no client reads as items: their rows are secrets or bookkeeping.
const HIDDEN: [&str; 2] = ["directus_sessions", "directus_migrations"];

/// System fields that are secrets beside those whose metadata says so: their values are shown as a mask, too.
const CONCEALED: [(&str, &str); 2] =
    [("directus_users", "auth_data"), ("directus_users", "external_identifier")];

/// Everything that introspection read.
#[derive(Debug, Default)]
pub struct Rows {
    /// Columns.
    pub columns: Vec<ColumnRow>,
    /// `directus_collections`.
    pub collections: Vec<CollectionMeta>,
    /// `directus_fields`.
    pub fields: Vec<FieldMeta>,
    /// `directus_relations`.
    pub relations: Vec<RelationMeta>,
}

/// Builds the schema. Tables without a primary key of one column are left out: items need a key.
pub fn schema(rows: Rows, version: i64) -> Schema {
    let collection_meta: HashMap<&str, &CollectionMeta> =
        rows.collections.iter().map(|meta| (meta.collection.as_str(), meta)).collect();
    let field_meta: HashMap<(&str, &str), &FieldMeta> =
        rows.fields.iter().map(|meta| ((meta.collection.as_str(), meta.field.as_str()), meta)).collect();
    let mut tables: BTreeMap<&str, Vec<&ColumnRow>> = BTreeMap::new();
    for column in &rows.columns {
        tables.entry(&column.collection).or_default().push(column);
    }
    let mut collections = BTreeMap::new();
    for (name, columns) in tables {
        if HIDDEN.contains(&name) {
            continue;
        }
        let Some(key) = columns.iter().find(|column| column.primary_key) else { continue };
        let meta = collection_meta.get(name);
        let collection = Collection {
            name: name.to_owned(),
            primary_key: key.field.clone(),
            key_source: key_source(key),
            fields: columns
                .iter()
                .map(|column| field(column, field_meta.get(&(name, &column.field)).copied()))
                .collect(),
            singleton: meta.is_some_and(|meta| meta.singleton) || shipped_singleton(name),
            sort_field: meta.and_then(|meta| meta.sort_field.clone()),
            system: name.starts_with("directus_"),
        };
        collections.insert(name.to_owned(), Arc::new(collection));
    }
    let relations = rows.relations.into_iter().map(relation).collect();
    Schema { version, collections, relations }
}

fn key_source(key: &ColumnRow) -> KeySource {
    match (&key.sequence, field_type(&key.data_type)) {
        (Some(sequence), _) => KeySource::Sequence(sequence.clone()),
        (None, FieldType::Uuid) => KeySource::Uuid,
        (None, _) => KeySource::Client,
    }
}

fn field(column: &ColumnRow, meta: Option<&FieldMeta>) -> Field {
    let (collection, name) = (column.collection.as_str(), column.field.as_str());
    let mut special: Vec<Special> = meta
        .and_then(|meta| meta.special.as_deref())
        .map(|list| list.split(',').filter_map(|name| Special::parse(name.trim())).collect())
        .unwrap_or_default();
    special.extend(system_data::special(collection, name));
    if CONCEALED.contains(&(collection, name)) {
        special.push(Special::Conceal);
    }
    let shipped = system_data::field(collection, name).and_then(|row| row.get("required")?.as_bool());
    Field {
        name: column.field.clone(),
        kind: typed(&column.data_type, &special),
        column_type: column.column_type.clone(),
        nullable: column.nullable,
        default: column.default_value.clone(),
        unique: column.unique,
        required: meta.and_then(|meta| meta.required).or(shipped).unwrap_or(false),
        generated: column.generated,
        special,
    }
}

fn shipped_singleton(name: &str) -> bool {
    system_data::collection(name).and_then(|row| row.get("singleton")?.as_bool()).unwrap_or(false)
}

fn relation(meta: RelationMeta) -> Relation {
    Relation {
        many_collection: meta.many_collection,
        many_field: meta.many_field,
        one_collection: meta.one_collection,
        one_field: meta.one_field,
    }
}

/// The wire's type of a column whose field bears these specials.
pub fn typed(data_type: &str, special: &[Special]) -> FieldType {
    for mark in special {
        match mark {
            Special::CastCsv => return FieldType::Csv,
            Special::CastJson => return FieldType::Json,
            Special::CastBoolean => return FieldType::Boolean,
            Special::CastTimestamp => return FieldType::Timestamp,
            Special::CastDateTime => return FieldType::DateTime,
            Special::Hash => return FieldType::Hash,
            _ => {}
        }
    }
    field_type(data_type)
}

/// The wire's type of a PostgreSQL type.
pub fn field_type(data_type: &str) -> FieldType {
    match data_type {
        "boolean" => FieldType::Boolean,
        "smallint" | "integer" => FieldType::Integer,
        "bigint" => FieldType::BigInteger,
        "real" | "double precision" => FieldType::Float,
        "numeric" => FieldType::Decimal,
        "character varying" | "character" => FieldType::String,
        "text" | "citext" => FieldType::Text,
        "date" => FieldType::Date,
        "time without time zone" | "time with time zone" => FieldType::Time,
        "timestamp without time zone" => FieldType::DateTime,
        "timestamp with time zone" => FieldType::Timestamp,
        "json" | "jsonb" => FieldType::Json,
        "uuid" => FieldType::Uuid,
        "bytea" => FieldType::Binary,
        _ => FieldType::Unknown,
    }
}
