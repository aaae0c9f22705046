//! What clients send to define collections, fields and relations, checked in shape. Pure.

use model::{Error, FieldType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest identifier that PostgreSQL keeps whole, in bytes.
const MAX_NAME: usize = 63;

/// `POST /collections`.
#[derive(Debug, Deserialize)]
pub struct CollectionDefinition {
    /// Name.
    pub collection: String,
    /// Row of `directus_collections`.
    #[serde(default)]
    pub meta: Option<Map<String, Value>>,
    /// Of the table. Absent or `null`: a folder, without one.
    #[serde(default)]
    pub schema: Option<Value>,
    /// Fields made with it.
    #[serde(default)]
    pub fields: Vec<FieldDefinition>,
}

/// `POST /fields/:collection`, and each of a collection's `fields`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FieldDefinition {
    /// Name.
    pub field: String,
    /// Directus's type; absent = string.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<ColumnDefinition>,
    /// Row of `directus_fields`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
}

impl FieldDefinition {
    /// Has no column.
    pub fn is_alias(&self) -> bool {
        self.kind.as_deref() == Some("alias")
    }
}

/// The column of a field; in a change, absent members stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// A JSON scalar; `null` takes the default away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Value>,
    /// For strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// May be null; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_nullable: Option<bool>,
    /// No two items share a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_unique: Option<bool>,
    /// Has an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_indexed: Option<bool>,
    /// The key of the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_primary_key: Option<bool>,
    /// Counts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_auto_increment: Option<bool>,
    /// For decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_precision: Option<u16>,
    /// For decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_scale: Option<u16>,
    /// Shown to people; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// PostgreSQL's own type, where it is not the one that we would choose. Never what a client wrote.
    #[serde(skip)]
    pub native: Option<String>,
}

/// Tells `null` from absent.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// `POST /relations`.
#[derive(Debug, Deserialize)]
pub struct RelationDefinition {
    /// Holds the reference.
    pub collection: String,
    /// Field that holds it.
    pub field: String,
    /// Points to.
    pub related_collection: Option<String>,
    /// Row of `directus_relations`.
    #[serde(default)]
    pub meta: Option<Map<String, Value>>,
    /// Of the foreign key: absent = one with default rules, `null` = none.
    #[serde(default = "default_key", deserialize_with = "given_or_null")]
    pub schema: Option<Option<ForeignKeyDefinition>>,
}

fn default_key() -> Option<Option<ForeignKeyDefinition>> {
    Some(None)
}

fn given_or_null<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<ForeignKeyDefinition>>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(Some))
}

/// What PostgreSQL does when the other side changes or goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ForeignKeyDefinition {
    /// Its name; made from collection and field when absent.
    #[serde(default)]
    pub constraint_name: Option<String>,
    /// `NO ACTION`, `RESTRICT`, `SET NULL`, `SET DEFAULT`, `CASCADE`.
    #[serde(default)]
    pub on_delete: Option<String>,
    /// As `on_delete`.
    #[serde(default)]
    pub on_update: Option<String>,
}

/// Reads a JSON body, which has to be an object: a list of values in order would do for the derived reader.
pub fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Error> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::invalid_payload("The definition must be an object"));
    }
    check_nul(body)?;
    serde_json::from_slice(body).map_err(|error| Error::invalid_payload(error.to_string()))
}

/// PostgreSQL has no NUL in texts, and its JSON can't be taken apart with one.
fn check_nul(body: &[u8]) -> Result<(), Error> {
    if std::str::from_utf8(body).is_ok_and(planner::has_nul) {
        return Err(Error::invalid_payload("A text can't hold \\u0000"));
    }
    Ok(())
}

/// Reads a JSON body that is a list of objects.
pub fn parse_list<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Vec<T>, Error> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return Err(Error::invalid_payload("The body must be an array of objects"));
    }
    check_nul(body)?;
    serde_json::from_slice(body).map_err(|error| Error::invalid_payload(error.to_string()))
}

/// A name that a new collection may have.
pub fn check_collection_name(name: &str) -> Result<(), Error> {
    check_name(name, "collection")?;
    if name.to_lowercase().starts_with("directus_") {
        return Err(Error::invalid_payload("Collections can't start with \"directus_\""));
    }
    Ok(())
}

/// A name that a new field may have.
pub fn check_field_name(name: &str) -> Result<(), Error> {
    check_name(name, "field")
}

/// A name that a new constraint may have.
pub fn check_constraint_name(name: &str) -> Result<(), Error> {
    check_name(name, "constraint_name")
}

fn check_name(name: &str, what: &str) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::invalid_payload(format!("\"{what}\" {why}")));
    match name {
        "" => wrong("is required"),
        name if name.trim() != name => wrong("can't start or end with blanks"),
        name if name.len() > MAX_NAME => wrong("is longer than 63 bytes"),
        name if name.chars().any(|c| c.is_control() || c == '/') => {
            wrong("can't hold \"/\" or control characters")
        }
        _ => Ok(()),
    }
}

/// The type of a new field that has a column.
pub fn field_type(definition: &FieldDefinition) -> Result<FieldType, Error> {
    type_of(definition.kind.as_deref().unwrap_or("string"))
}

/// A type by its name on the wire.
pub fn type_of(name: &str) -> Result<FieldType, Error> {
    match FieldType::parse(name) {
        None | Some(FieldType::Unknown | FieldType::Alias) => {
            Err(Error::invalid_payload(format!("\"type\" {name} is not a type")))
        }
        Some(kind) => Ok(kind),
    }
}

/// Specials of a field.
pub fn special(meta: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let names: Vec<String> = match meta.get("special") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(list)) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(_) => return Err(Error::invalid_payload("\"special\" must be a list")),
    };
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::{CollectionDefinition, ColumnDefinition, check_collection_name, check_field_name, parse};
    use serde_json::Value;

    #[test]
    fn names_are_checked() {
        for good in ["articles", "Über uns", "a\"b", "select"] {
            check_collection_name(good).unwrap();
        }
        for bad in ["", " a", "a/b", "directus_x", "Directus_x", "a\0b", &"x".repeat(64)] {
            assert!(check_collection_name(bad).is_err(), "{bad}");
        }
        check_field_name("directus_x").unwrap();
    }

    #[test]
    fn null_is_not_absent() {
        let folder: CollectionDefinition = parse(br#"{"collection":"f","schema":null}"#).unwrap();
        assert!(folder.schema.is_none());
        let folder: CollectionDefinition = parse(br#"{"collection":"f"}"#).unwrap();
        assert!(folder.schema.is_none());
        let column: ColumnDefinition = parse(br#"{"default_value":null}"#).unwrap();
        assert_eq!(column.default_value, Some(Value::Null));
        let column: ColumnDefinition = parse(b"{}").unwrap();
        assert_eq!(column.default_value, None);
        assert!(parse::<CollectionDefinition>(br#"["f"]"#).is_err());
    }
}
