//! The schema as TypeScript types for the official SDK: `createDirectus<Schema>(url)`. Pure.
//!
//! Follows the SDK's conventions: lists are arrays, singletons are not; references are the key or the item; fields of
//! system collections are only those that were added to them; `datetime`, `json` and `csv` are literal types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use model::{FieldType, GeometryKind};

use super::{Catalog, CollectionEntry, FieldEntry};

/// System collections that the SDK has a type for.
const KNOWN: [(&str, &str); 22] = [
    ("directus_access", "DirectusAccess"),
    ("directus_activity", "DirectusActivity"),
    ("directus_collections", "DirectusCollection"),
    ("directus_comments", "DirectusComment"),
    ("directus_dashboards", "DirectusDashboard"),
    ("directus_extensions", "DirectusExtension"),
    ("directus_fields", "DirectusField"),
    ("directus_files", "DirectusFile"),
    ("directus_flows", "DirectusFlow"),
    ("directus_folders", "DirectusFolder"),
    ("directus_notifications", "DirectusNotification"),
    ("directus_operations", "DirectusOperation"),
    ("directus_panels", "DirectusPanel"),
    ("directus_permissions", "DirectusPermission"),
    ("directus_policies", "DirectusPolicy"),
    ("directus_presets", "DirectusPreset"),
    ("directus_relations", "DirectusRelation"),
    ("directus_revisions", "DirectusRevision"),
    ("directus_roles", "DirectusRole"),
    ("directus_settings", "DirectusSettings"),
    ("directus_users", "DirectusUser"),
    ("directus_versions", "DirectusVersion"),
];

/// The whole file.
pub fn types(catalog: &Catalog) -> String {
    let names = names(catalog);
    let writer = Writer { catalog, names: &names };
    let mut imports = BTreeSet::new();
    let mut body = String::new();
    let mut schema = String::from("export interface Schema {\n");
    for entry in catalog.collections.values().filter(|entry| entry.table.is_some() && entry.key().is_some()) {
        let Some(name) = names.get(entry.name.as_str()) else { continue };
        let fields: Vec<&FieldEntry> = entry.fields.iter().filter(|field| is_own(entry, field)).collect();
        if entry.system && fields.is_empty() {
            continue;
        }
        let _ = writeln!(body, "export interface {name} {{");
        for field in fields {
            if let Some(kind) = writer.kind(entry, field, &mut imports) {
                let _ = writeln!(body, "\t{}: {kind};", property(&field.name));
            }
        }
        body.push_str("}\n\n");
        let list =
            if entry.system || entry.meta.as_ref().is_some_and(|meta| meta.singleton) { "" } else { "[]" };
        let _ = writeln!(schema, "\t{}: {name}{list};", property(&entry.name));
    }
    schema.push_str("}\n");
    let imports: Vec<&str> = imports.into_iter().collect();
    let imports = match imports.is_empty() {
        true => String::new(),
        false => format!("import type {{ {} }} from '@directus/sdk';\n\n", imports.join(", ")),
    };
    format!("{imports}{body}{schema}")
}

/// Not shipped with the platform.
fn is_own(entry: &CollectionEntry, field: &FieldEntry) -> bool {
    !entry.system || !field.meta.as_ref().is_none_or(|meta| meta.system)
}

/// A name of a type for every collection: unique, and an identifier.
fn names(catalog: &Catalog) -> BTreeMap<&str, String> {
    let mut taken: BTreeSet<String> = ["Schema".to_owned()].into();
    taken.extend(KNOWN.iter().map(|(_, name)| (*name).to_owned()));
    let mut names = BTreeMap::new();
    for collection in catalog.collections.keys() {
        let wanted = pascal(collection);
        let numbered = (2..).map(|number| format!("{wanted}{number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = name.unwrap_or(wanted);
        taken.insert(name.clone());
        names.insert(collection.as_str(), name);
    }
    names
}

fn pascal(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut pascal = String::new();
    for word in words {
        let mut letters = word.chars();
        pascal.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        pascal.extend(letters);
    }
    if pascal.is_empty() || pascal.starts_with(char::is_numeric) { format!("C{pascal}") } else { pascal }
}

/// The name of a property, in quotes where it is no identifier.
fn property(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let identifier =
        !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if identifier { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}

struct Writer<'a> {
    catalog: &'a Catalog,
    names: &'a BTreeMap<&'a str, String>,
}

impl Writer<'_> {
    /// The type of a field; nothing for what holds no values.
    fn kind(
        &self,
        entry: &CollectionEntry,
        field: &FieldEntry,
        imports: &mut BTreeSet<&'static str>,
    ) -> Option<String> {
        let Some(column) = &field.column else { return self.alias(entry, field, imports) };
        let mut kind = scalar(field.kind).to_owned();
        if let Some(relation) = entry.relations.iter().find(|relation| relation.field == field.name) {
            let allowed = relation.meta.as_ref().map_or(&[][..], |meta| &meta.one_allowed_collections);
            for one in relation.related.iter().chain(allowed) {
                if let Some(item) = self.item(one, imports) {
                    let _ = write!(kind, " | {item}");
                }
            }
        }
        if column.nullable {
            kind.push_str(" | null");
        }
        Some(kind)
    }

    /// A relation seen from its other side: keys or items of those that refer to us.
    fn alias(
        &self,
        entry: &CollectionEntry,
        field: &FieldEntry,
        imports: &mut BTreeSet<&'static str>,
    ) -> Option<String> {
        let refers = |other: &&CollectionEntry| {
            other.relations.iter().any(|relation| {
                relation.related.as_deref() == Some(&entry.name)
                    && relation.meta.as_ref().and_then(|meta| meta.one_field.as_deref()) == Some(&field.name)
            })
        };
        let many = self.catalog.collections.values().find(refers)?;
        let key = scalar(many.key()?.kind);
        let item = self.item(&many.name, imports).map(|item| format!(" | {item}[]")).unwrap_or_default();
        Some(format!("{key}[]{item}"))
    }

    fn item(&self, collection: &str, imports: &mut BTreeSet<&'static str>) -> Option<String> {
        if let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == collection) {
            imports.insert(known);
            return Some(format!("{known}<Schema>"));
        }
        let entry = self.catalog.collections.get(collection)?;
        entry.key()?;
        self.names.get(collection).cloned()
    }
}

/// The type of a value as it comes over the wire.
fn scalar(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Boolean => "boolean",
        FieldType::Integer | FieldType::Float => "number",
        FieldType::Json => "'json'",
        FieldType::Csv => "'csv'",
        FieldType::DateTime | FieldType::Timestamp | FieldType::Date | FieldType::Time => "'datetime'",
        // Digits that no double holds travel as text.
        FieldType::BigInteger | FieldType::Decimal => "string",
        FieldType::Geometry(kind) => geometry(kind),
        _ => "string",
    }
}

/// GeoJSON.
fn geometry(kind: GeometryKind) -> &'static str {
    match kind {
        GeometryKind::Any => "{ type: string; coordinates?: unknown[]; geometries?: unknown[] }",
        GeometryKind::Point => "{ type: 'Point'; coordinates: number[] }",
        GeometryKind::LineString => "{ type: 'LineString'; coordinates: number[][] }",
        GeometryKind::Polygon => "{ type: 'Polygon'; coordinates: number[][][] }",
        GeometryKind::MultiPoint => "{ type: 'MultiPoint'; coordinates: number[][] }",
        GeometryKind::MultiLineString => "{ type: 'MultiLineString'; coordinates: number[][][] }",
        GeometryKind::MultiPolygon => "{ type: 'MultiPolygon'; coordinates: number[][][][] }",
    }
}

#[cfg(test)]
mod tests {
    use super::{pascal, property};

    #[test]
    fn names_are_identifiers() {
        assert_eq!(pascal("article_comments"), "ArticleComments");
        assert_eq!(pascal("1leading"), "C1leading");
        assert_eq!(pascal("ünï code"), "ÜnïCode");
        assert_eq!(property("title"), "title");
        assert_eq!(property("with space"), "\"with space\"");
        assert_eq!(property("quo\"te"), "\"quo\\\"te\"");
    }
}
