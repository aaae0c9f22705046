//! The catalog -> the schema that plans are made against. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Collection, Field, FieldType, KeySource, Link, Schema, SearchIndex, Special};

use crate::catalog::assemble::field_type;
use crate::catalog::marks;
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
    let back = links_back(catalog);
    for entry in catalog.collections.values().filter(|entry| is_read(entry)) {
        let Some(key) = entry.key() else { continue };
        let Some(column) = &key.column else { continue };
        let meta = entry.meta.as_ref();
        let searched = search_indexes(entry, catalog);
        let collection = Collection {
            name: entry.name.clone(),
            view: VIEWS.iter().find(|(name, _)| *name == entry.name).map(|(_, view)| (*view).to_owned()),
            primary_key: key.name.clone(),
            key_source: key_source(column),
            first_version: entry.table.as_ref().map_or(1, |table| table.lived.saturating_add(1)),
            fields: entry
                .fields
                .iter()
                .filter_map(|described| field(entry, described, catalog, &back))
                .map(|field| Field { search: searched.get(&field.name).cloned(), ..field })
                .collect(),
            singleton: meta.is_some_and(|meta| meta.singleton),
            sort_field: meta.and_then(|meta| meta.sort_field.clone()),
            system: entry.system,
        };
        collections.insert(entry.name.clone(), Arc::new(collection));
    }
    Schema { version, collections, past: None }
}

/// The managed indexes for search, by field. As long as one is missing there are none: what it would find would be
/// missing, too.
fn search_indexes(entry: &CollectionEntry, catalog: &Catalog) -> BTreeMap<String, SearchIndex> {
    let there = marks::wanted(entry, catalog).into_iter().filter(|_| marks::is_complete(entry, catalog));
    there.map(|index| (index.field.to_owned(), index.index)).collect()
}

/// Clients may read items of it.
fn is_read(entry: &CollectionEntry) -> bool {
    !HIDDEN.contains(&entry.name.as_str()) && entry.key().is_some()
}

/// Alias fields that show those who refer, by collection and field.
type Back<'a> = BTreeMap<(&'a str, &'a str), Link>;

fn links_back(catalog: &Catalog) -> Back<'_> {
    let readable = catalog.collections.values().filter(|entry| is_read(entry));
    let held = readable.flat_map(|entry| entry.relations.iter().map(move |held| (entry, held)));
    held.filter_map(|(entry, held)| {
        let meta = held.meta.as_ref()?;
        let link = Link::Many {
            collection: entry.name.clone(),
            field: held.field.clone(),
            sort_field: meta.sort_field.clone(),
            deletes: meta.one_deselect_action == "delete",
        };
        Some(((held.related.as_deref()?, meta.one_field.as_deref()?), link))
    })
    .collect()
}

/// Where a field with a column leads.
fn link(held: &RelationEntry, catalog: &Catalog) -> Option<Link> {
    let readable = |name: &String| catalog.collections.get(name).is_some_and(is_read);
    let meta = held.meta.as_ref()?;
    match (&held.related, &meta.one_collection_field) {
        (Some(related), _) => readable(related).then(|| Link::One { collection: related.clone() }),
        (None, Some(field)) => Some(Link::Any {
            collection_field: field.clone(),
            allowed: meta.one_allowed_collections.iter().filter(|name| readable(name)).cloned().collect(),
        }),
        (None, None) => None,
    }
}

fn key_source(key: &ColumnRow) -> KeySource {
    match (&key.sequence, field_type(&key.data_type)) {
        (Some(sequence), _) => KeySource::Sequence(sequence.clone()),
        (None, FieldType::Uuid) => KeySource::Uuid,
        (None, _) => KeySource::Client,
    }
}

/// A field that has a column, or that shows other items.
fn field(
    entry: &CollectionEntry,
    described: &FieldEntry,
    catalog: &Catalog,
    back: &Back<'_>,
) -> Option<Field> {
    let Some(column) = &described.column else {
        let link = back.get(&(entry.name.as_str(), described.name.as_str()))?;
        let validation = described.meta.as_ref().and_then(|meta| meta.validation.clone());
        return Some(Field { validation, ..alias(&described.name, link.clone()) });
    };
    let meta = described.meta.as_ref();
    let names = meta.map_or(&[][..], |meta| &meta.special);
    let mut special: Vec<Special> = names.iter().filter_map(|name| Special::parse(name)).collect();
    if CONCEALED.contains(&(entry.name.as_str(), described.name.as_str())) {
        special.push(Special::Conceal);
    }
    let held = entry.relations.iter().find(|held| held.field == described.name);
    Some(Field {
        name: described.name.clone(),
        kind: described.kind,
        column_type: column.column_type.clone(),
        nullable: column.nullable,
        default: column.default_value.clone(),
        unique: column.unique,
        validation: meta.and_then(|meta| meta.validation.clone()),
        generated: column.generated.is_some(),
        special,
        searchable: meta.is_none_or(|meta| meta.searchable),
        search: None,
        link: held.and_then(|held| link(held, catalog)),
    })
}

fn alias(name: &str, link: Link) -> Field {
    Field {
        name: name.to_owned(),
        kind: FieldType::Alias,
        column_type: String::new(),
        nullable: true,
        default: None,
        unique: false,
        validation: None,
        generated: false,
        special: Vec::new(),
        searchable: false,
        search: None,
        link: Some(link),
    }
}
