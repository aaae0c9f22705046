//! The catalog as JSON: the shapes of `/collections`, `/fields` and `/relations`.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::rows::{ColumnRow, ForeignKeyRow};
use super::{CollectionEntry, FieldEntry, RelationEntry};

/// A collection on the wire.
#[derive(Debug, Serialize)]
pub struct Collection<'a> {
    collection: &'a str,
    meta: Option<&'a RawValue>,
    schema: Option<Table<'a>>,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    schema: &'static str,
    name: &'a str,
    comment: Option<&'a str>,
}

impl<'a> From<&'a CollectionEntry> for Collection<'a> {
    fn from(entry: &'a CollectionEntry) -> Self {
        let schema = entry.table.as_ref().map(|table| Table {
            schema: "public",
            name: &entry.name,
            comment: table.comment.as_deref(),
        });
        Self { collection: &entry.name, meta: entry.meta.as_ref().map(|meta| &*meta.json), schema }
    }
}

/// A field on the wire.
#[derive(Debug, Serialize)]
pub struct Field<'a> {
    collection: &'a str,
    field: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Option<Column<'a>>,
    meta: Option<&'a RawValue>,
}

/// A column on the wire.
#[derive(Debug, Serialize)]
pub struct Column<'a> {
    name: &'a str,
    table: &'a str,
    data_type: &'a str,
    default_value: Value,
    generation_expression: Option<&'a str>,
    max_length: Option<i32>,
    numeric_precision: Option<i32>,
    numeric_scale: Option<i32>,
    is_generated: bool,
    is_nullable: bool,
    is_unique: bool,
    is_indexed: bool,
    is_primary_key: bool,
    has_auto_increment: bool,
    foreign_key_schema: Option<&'a str>,
    foreign_key_table: Option<&'a str>,
    foreign_key_column: Option<&'a str>,
    comment: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// A field of a collection.
    pub fn of(entry: &'a CollectionEntry, field: &'a FieldEntry) -> Self {
        let relation = entry.relations.iter().find(|relation| relation.field == field.name);
        let key = relation.and_then(|relation| relation.key.as_ref());
        Self {
            collection: &entry.name,
            field: &field.name,
            kind: field.kind.as_str(),
            schema: field.column.as_ref().map(|column| Column::of(column, key)),
            meta: field.meta.as_ref().map(|meta| &*meta.json),
        }
    }
}

impl<'a> Column<'a> {
    fn of(column: &'a ColumnRow, key: Option<&'a ForeignKeyRow>) -> Self {
        Self {
            name: &column.field,
            table: &column.collection,
            data_type: &column.data_type,
            default_value: column.default_value.as_deref().map_or(Value::Null, default_value),
            generation_expression: column.generated.as_deref(),
            max_length: column.max_length,
            numeric_precision: column.numeric_precision,
            numeric_scale: column.numeric_scale,
            is_generated: column.generated.is_some(),
            is_nullable: column.nullable,
            is_unique: column.unique,
            is_indexed: column.indexed,
            is_primary_key: column.primary_key,
            has_auto_increment: column.sequence.is_some(),
            foreign_key_schema: key.map(|key| key.foreign_key_schema.as_str()),
            foreign_key_table: key.map(|key| key.foreign_key_table.as_str()),
            foreign_key_column: key.map(|key| key.foreign_key_column.as_str()),
            comment: column.comment.as_deref(),
        }
    }
}

/// A relation on the wire.
#[derive(Debug, Serialize)]
pub struct Relation<'a> {
    collection: &'a str,
    field: &'a str,
    related_collection: Option<&'a str>,
    schema: Option<&'a ForeignKeyRow>,
    meta: Option<&'a RawValue>,
}

impl<'a> Relation<'a> {
    /// A relation that a collection holds.
    pub fn of(entry: &'a CollectionEntry, relation: &'a RelationEntry) -> Self {
        Self {
            collection: &entry.name,
            field: &relation.field,
            related_collection: relation.related.as_deref(),
            schema: relation.key.as_ref(),
            meta: relation.meta.as_ref().map(|meta| &*meta.json),
        }
    }
}

/// PostgreSQL's text of a default -> the value that it stands for, where it is a plain literal.
pub fn default_value(sql: &str) -> Value {
    if let Some((literal, cast)) = sql.strip_prefix('\'').and_then(|rest| rest.rsplit_once("'::")) {
        let text = literal.replace("''", "'");
        return match cast {
            "json" | "jsonb" | "integer" | "bigint" | "smallint" | "real" | "double precision" => {
                serde_json::from_str(&text).unwrap_or(Value::from(text))
            }
            _ => Value::from(text),
        };
    }
    match sql {
        "true" => Value::from(true),
        "false" => Value::from(false),
        _ if sql.starts_with("NULL::") => Value::Null,
        _ => serde_json::from_str::<serde_json::Number>(sql).map_or_else(|_| Value::from(sql), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::default_value;
    use serde_json::{Value, json};

    #[test]
    fn defaults_are_shown_as_values() {
        for (sql, value) in [
            ("'draft'::character varying", json!("draft")),
            ("'it''s'::text", json!("it's")),
            ("true", json!(true)),
            ("0", json!(0)),
            ("'{\"a\":1}'::json", json!({"a": 1})),
            ("NULL::character varying", Value::Null),
            ("CURRENT_TIMESTAMP", json!("CURRENT_TIMESTAMP")),
            ("nextval('t_id_seq'::regclass)", json!("nextval('t_id_seq'::regclass)")),
        ] {
            assert_eq!(default_value(sql), value, "{sql}");
        }
    }
}
