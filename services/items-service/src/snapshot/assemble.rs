//! The catalog -> the schema that plans are made against. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Collection, Field, FieldType, KeySource, Relation, Schema, Special};

use crate::catalog::assemble::field_type;
use crate::catalog::rows::ColumnRow;
use crate::catalog::{Catalog, CollectionEntry, FieldEntry, RelationEntry};

/// System tables that no client reads as items: their rows are secrets or bookkeeping.
const HIDDEN: [&str; 2] = ["directus_sessions", "directus_migrations"];

/// System collections that are read from the log.
const VIEWS: [(&str, &str); 2] =
    [("directus_activity", "\"eventus\".\"activity\""), ("directus_revisions", "\"eventus\".\"revisions\"")];

/// System fields that are secrets beside those whose metadata says so: their values are shown as a mask, too.
const CONCEALED: [(&str, &str); 2] =
    [("directus_users", "auth_data"), ("directus_users", "external_identifier")];

/// Builds the schema. Tables without a primary key of one column are left out: items need a key.
pub fn schema(catalog: &Catalog, version: i64) -> Schema {
    let mut collections = BTreeMap::new();
    let mut relations = Vec::new();
    for entry in catalog.collections.values() {
        relations.extend(entry.relations.iter().filter_map(|held| relation(entry, held)));
        let Some(key) = entry.key().filter(|_| !HIDDEN.contains(&entry.name.as_str())) else { continue };
        let Some(column) = &key.column else { continue };
        let meta = entry.meta.as_ref();
        let collection = Collection {
            name: entry.name.clone(),
            view: VIEWS.iter().find(|(name, _)| *name == entry.name).map(|(_, view)| (*view).to_owned()),
            primary_key: key.name.clone(),
            key_source: key_source(column),
            first_version: entry.table.as_ref().map_or(1, |table| table.lived.saturating_add(1)),
            fields: entry.fields.iter().filter_map(|described| field(entry, described)).collect(),
            singleton: meta.is_some_and(|meta| meta.singleton),
            sort_field: meta.and_then(|meta| meta.sort_field.clone()),
            system: entry.system,
        };
        collections.insert(entry.name.clone(), Arc::new(collection));
    }
    Schema { version, collections, relations }
}

fn key_source(key: &ColumnRow) -> KeySource {
    match (&key.sequence, field_type(&key.data_type)) {
        (Some(sequence), _) => KeySource::Sequence(sequence.clone()),
        (None, FieldType::Uuid) => KeySource::Uuid,
        (None, _) => KeySource::Client,
    }
}

/// A field that has a column.
fn field(entry: &CollectionEntry, described: &FieldEntry) -> Option<Field> {
    let column = described.column.as_ref()?;
    let meta = described.meta.as_ref();
    let names = meta.map_or(&[][..], |meta| &meta.special);
    let mut special: Vec<Special> = names.iter().filter_map(|name| Special::parse(name)).collect();
    if CONCEALED.contains(&(entry.name.as_str(), described.name.as_str())) {
        special.push(Special::Conceal);
    }
    Some(Field {
        name: described.name.clone(),
        kind: described.kind,
        column_type: column.column_type.clone(),
        nullable: column.nullable,
        default: column.default_value.clone(),
        unique: column.unique,
        required: meta.is_some_and(|meta| meta.required),
        generated: column.generated.is_some(),
        special,
    })
}

/// A relation that the metadata knows.
fn relation(entry: &CollectionEntry, held: &RelationEntry) -> Option<Relation> {
    let meta = held.meta.as_ref()?;
    Some(Relation {
        many_collection: entry.name.clone(),
        many_field: held.field.clone(),
        one_collection: held.related.clone(),
        one_field: meta.one_field.clone(),
    })
}
