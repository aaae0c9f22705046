//! Rows of introspection -> the catalog. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use model::{FieldType, Filter, GeometryColumn, GeometryKind, Special};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::marks::{self, MEMBER, Mark};
use super::rows::{CollectionRow, ColumnRow, FieldRow, ForeignKeyRow, RelationRow, Rows};
use super::{
    Catalog, CollectionEntry, CollectionMeta, FieldEntry, FieldMeta, RelationEntry, RelationMeta, TableEntry,
};
use crate::system_data;

/// Specials of fields without a column: relations seen from the other side, groups, dividers.
pub const ALIASES: [&str; 8] =
    ["alias", "o2m", "m2m", "m2a", "files", "translations", "group", "presentation"];

/// Builds the catalog.
pub fn catalog(rows: Rows) -> Catalog {
    let mut collections: BTreeMap<String, CollectionEntry> = BTreeMap::new();
    for table in rows.tables {
        let entry = entry(&mut collections, &table.name);
        entry.table = Some(TableEntry { comment: table.comment, lived: table.lived });
    }
    for row in rows.collections.into_iter().chain(SHIPPED.collections.iter().cloned()) {
        // A folder has metadata and no table; a system collection needs its table.
        if is_system(&row.collection) && !collections.contains_key(&row.collection) {
            continue;
        }
        let meta = CollectionMeta {
            json: row.meta,
            singleton: row.singleton,
            sort_field: row.sort_field,
            versioning: row.versioning,
        };
        entry(&mut collections, &row.collection).meta = Some(meta);
    }
    let mut columns = rows.columns;
    name_geometries(&mut columns, rows.geometry.as_deref());
    fields(&mut collections, columns, rows.fields);
    relations(&mut collections, rows.keys, rows.relations);
    let search_indexes = rows.search_indexes.into_iter().collect();
    Catalog { collections, geometry: rows.geometry, trigrams: rows.trigrams, search_indexes }
}

/// Columns of PostGIS's types are called after what they hold. `geometry` is its type of geometries.
fn name_geometries(columns: &mut [ColumnRow], geometry: Option<&str>) {
    let Some(postgis) = geometry.and_then(GeometryColumn::parse) else { return };
    for column in columns {
        let described = GeometryColumn::parse(&column.column_type);
        // A type of the same name that somebody else made is not PostGIS's.
        if let Some(described) = described.filter(|described| described.schema == postgis.schema) {
            column.data_type = described.data_type();
        }
    }
}

/// Shipped with the platform.
pub fn is_system(collection: &str) -> bool {
    collection.starts_with("directus_")
}

fn entry<'a>(collections: &'a mut BTreeMap<String, CollectionEntry>, name: &str) -> &'a mut CollectionEntry {
    collections.entry(name.to_owned()).or_insert_with(|| CollectionEntry {
        name: name.to_owned(),
        system: is_system(name),
        ..CollectionEntry::default()
    })
}

/// What is shipped, in the form of the metadata tables' rows.
struct Shipped {
    collections: Vec<CollectionRow>,
    fields: Vec<FieldRow>,
    relations: Vec<RelationRow>,
}

static SHIPPED: LazyLock<Shipped> = LazyLock::new(|| Shipped {
    collections: shipped(system_data::collections()),
    fields: shipped(system_data::fields()),
    relations: shipped(system_data::relations()),
});

/// Shipped rows are all read by a test: what can't be read is no row.
fn shipped<T: for<'de> Deserialize<'de>>(rows: &[system_data::Row]) -> Vec<T> {
    let read = |row: &system_data::Row| {
        let mut whole = row.clone();
        whole.insert("meta".to_owned(), Value::Object(row.clone()));
        serde_json::from_str(&Value::Object(whole).to_string()).ok()
    };
    rows.iter().filter_map(read).collect()
}

fn fields(collections: &mut BTreeMap<String, CollectionEntry>, columns: Vec<ColumnRow>, rows: Vec<FieldRow>) {
    let mut metas: HashMap<(String, String), FieldMeta> = HashMap::with_capacity(rows.len() + 512);
    let mut order: Vec<(String, String)> = Vec::with_capacity(rows.len() + 512);
    let all =
        SHIPPED.fields.iter().map(|row| (row.clone(), true)).chain(rows.into_iter().map(|row| (row, false)));
    for (row, system) in all {
        let key = (row.collection.clone(), row.field.clone());
        order.push(key.clone());
        let full_text = marked(row.meta.get());
        let validation = judged_by(row.meta.get());
        metas.entry(key).or_insert(FieldMeta {
            json: row.meta,
            special: row.special.unwrap_or_default(),
            required: row.required.unwrap_or(false),
            validation,
            searchable: row.searchable.unwrap_or(true),
            sort: row.sort,
            system,
            full_text,
        });
    }
    for column in columns {
        let Some(entry) = collections.get_mut(&column.collection) else { continue };
        let meta = metas.remove(&(column.collection.clone(), column.field.clone()));
        let kind = typed(&column.data_type, meta.as_ref().map_or(&[], |meta| &meta.special));
        entry.fields.push(FieldEntry { name: column.field.clone(), kind, column: Some(column), meta });
    }
    for (collection, field) in order {
        let Some(entry) = collections.get_mut(&collection) else { continue };
        let is_alias = |meta: &FieldMeta| meta.special.iter().any(|name| ALIASES.contains(&name.as_str()));
        let key = (collection, field);
        if metas.get(&key).is_some_and(is_alias) {
            let meta = metas.remove(&key);
            entry.fields.push(FieldEntry { name: key.1, kind: FieldType::Alias, column: None, meta });
        }
    }
}

/// The rule that a field's values are judged by.
fn judged_by(meta: &str) -> Option<Box<Filter>> {
    #[derive(Deserialize)]
    struct Judged<'a> {
        #[serde(borrow)]
        validation: Option<&'a RawValue>,
    }
    let judged: Judged<'_> = serde_json::from_str(meta).ok()?;
    let rule = query::parse_json(judged.validation?.get())?;
    query::read_rule(&rule).map(Box::new)
}

/// The mark for full-text search in a field's metadata. Few have one: the others are not read for it.
fn marked(meta: &str) -> Option<Mark> {
    if !meta.contains(MEMBER) {
        return None;
    }
    let meta: Value = serde_json::from_str(meta).ok()?;
    marks::mark(&meta["options"]).ok().flatten()
}

fn relations(
    collections: &mut BTreeMap<String, CollectionEntry>,
    keys: Vec<ForeignKeyRow>,
    rows: Vec<RelationRow>,
) {
    let mut by_field: HashMap<(String, String), ForeignKeyRow> =
        keys.into_iter().map(|key| ((key.table.clone(), key.column.clone()), key)).collect();
    let all = SHIPPED
        .relations
        .iter()
        .map(|row| (row.clone(), true))
        .chain(rows.into_iter().map(|row| (row, false)));
    for (row, system) in all {
        let Some(entry) = collections.get_mut(&row.many_collection) else { continue };
        let key = by_field.remove(&(row.many_collection.clone(), row.many_field.clone()));
        let related = key.as_ref().map(|key| key.foreign_key_table.clone()).or(row.one_collection);
        let meta = RelationMeta {
            json: row.meta,
            one_field: row.one_field,
            one_collection_field: row.one_collection_field,
            one_allowed_collections: row.one_allowed_collections.unwrap_or_default(),
            junction_field: row.junction_field,
            sort_field: row.sort_field,
            one_deselect_action: row.one_deselect_action.unwrap_or_else(|| "nullify".to_owned()),
            system,
        };
        entry.relations.push(RelationEntry { field: row.many_field, related, key, meta: Some(meta) });
    }
    let mut bare: Vec<ForeignKeyRow> = by_field.into_values().collect();
    bare.sort_by(|a, b| (&a.table, &a.column).cmp(&(&b.table, &b.column)));
    for key in bare {
        let Some(entry) = collections.get_mut(&key.table) else { continue };
        let related = Some(key.foreign_key_table.clone());
        entry.relations.push(RelationEntry {
            field: key.column.clone(),
            related,
            key: Some(key),
            meta: None,
        });
    }
}

/// The wire's type of a column whose field bears these specials.
pub fn typed(data_type: &str, special: &[String]) -> FieldType {
    if let Some(kind) = geometry_type(data_type) {
        return kind;
    }
    for name in special {
        match Special::parse(name) {
            Some(Special::CastCsv) => return FieldType::Csv,
            Some(Special::CastJson) => return FieldType::Json,
            Some(Special::CastBoolean) => return FieldType::Boolean,
            Some(Special::CastTimestamp) => return FieldType::Timestamp,
            Some(Special::CastDateTime) => return FieldType::DateTime,
            Some(Special::Hash) => return FieldType::Hash,
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
        other => geometry_type(other).unwrap_or(FieldType::Unknown),
    }
}

/// The wire's type of a geometry: PostGIS's names begin with a capital, PostgreSQL's own `point` and `polygon` don't.
fn geometry_type(data_type: &str) -> Option<FieldType> {
    data_type.starts_with(|first: char| first.is_ascii_uppercase()).then_some(())?;
    GeometryKind::parse(data_type).map(FieldType::Geometry)
}
