//! Definitions -> DDL text. Names are quoted identifiers, defaults are quoted literals; nothing else of a
//! client's reaches the text. Pure.

use model::{Error, FieldType, GeometryKind, SRID, quote_identifier};
use serde_json::Value;

use super::definition::{ColumnDefinition, FieldDefinition, field_type};
use crate::catalog::rows::ForeignKeyRow;

/// A string as an SQL literal (`standard_conforming_strings` is on: only quotes are doubled).
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// The quoted table.
pub fn table(collection: &str) -> String {
    format!("\"public\".{}", quote_identifier(collection))
}

/// `CREATE TABLE` with its columns; exactly one of them is the key.
pub fn create_table(collection: &str, fields: &[FieldDefinition]) -> Result<String, Error> {
    let stored = fields.iter().filter(|field| !field.is_alias());
    let columns: Result<Vec<String>, Error> = stored.map(|field| column(collection, field)).collect();
    Ok(format!("CREATE TABLE {} ({})", table(collection), columns?.join(", ")))
}

/// `ALTER TABLE .. ADD COLUMN`.
pub fn add_column(collection: &str, field: &FieldDefinition) -> Result<String, Error> {
    if field.schema.as_ref().is_some_and(|column| column.is_primary_key == Some(true)) {
        return Err(Error::invalid_payload("A collection has one primary key"));
    }
    Ok(format!("ALTER TABLE {} ADD COLUMN {}", table(collection), column(collection, field)?))
}

/// Statements that follow the making of a column: index and comment.
pub fn after_column(collection: &str, field: &FieldDefinition) -> Vec<String> {
    let Some(column) = &field.schema else { return Vec::new() };
    let mut statements = Vec::new();
    if column.is_indexed == Some(true) && column.is_primary_key != Some(true) {
        let kind = field.kind.as_deref().and_then(FieldType::parse).unwrap_or(FieldType::String);
        statements.push(create_index(collection, &field.field, kind));
    }
    if let Some(comment) = &column.comment {
        statements.push(comment_on(collection, &field.field, Some(comment)));
    }
    statements
}

/// `COMMENT ON TABLE`.
pub fn comment_on_table(collection: &str, comment: &str) -> String {
    format!("COMMENT ON TABLE {} IS {}", table(collection), quote_literal(comment))
}

/// `ALTER TABLE .. ADD CONSTRAINT .. FOREIGN KEY`; the rules must be known words.
pub fn add_foreign_key(key: &ForeignKeyRow) -> String {
    format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE {} ON DELETE {}",
        table(&key.table),
        quote_identifier(&key.constraint_name),
        quote_identifier(&key.column),
        table(&key.foreign_key_table),
        quote_identifier(&key.foreign_key_column),
        key.on_update,
        key.on_delete,
    )
}

/// `ALTER TABLE .. DROP CONSTRAINT`.
pub fn drop_constraint(collection: &str, constraint: &str) -> String {
    format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table(collection), quote_identifier(constraint))
}

/// The column's type without its modifiers, as definitions name it.
pub fn base_type(kind: FieldType) -> String {
    base_of(&column_type(kind, &ColumnDefinition::default(), false)).to_owned()
}

fn base_of(column_type: &str) -> &str {
    column_type.split('(').next().unwrap_or_default()
}

/// `CREATE INDEX CONCURRENTLY`: no transaction may be around it.
pub fn create_index_concurrently(collection: &str, field: &str, kind: FieldType) -> String {
    create_index(collection, field, kind).replacen("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1)
}

/// `DROP INDEX` of the index that we made of a field.
pub fn drop_index(collection: &str, field: &str) -> String {
    let index = quote_identifier(&index_name(collection, field, "index"));
    format!("DROP INDEX IF EXISTS \"public\".{index}")
}

/// `DROP INDEX CONCURRENTLY` by the index's name.
pub fn drop_index_concurrently(name: &str) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS \"public\".{}", quote_identifier(name))
}

fn create_index(collection: &str, field: &str, kind: FieldType) -> String {
    let name = quote_identifier(&index_name(collection, field, "index"));
    // Geometries are looked for by where they are; an order of them serves nothing, and large ones don't fit into it.
    let method = if is_geometry(kind) { "USING gist " } else { "" };
    format!("CREATE INDEX {name} ON {} {method}({})", table(collection), quote_identifier(field))
}

/// `CREATE INDEX` of a reference: by it PostgreSQL finds those who refer, in the order of a page. It holds more than the
/// field, and so is no index that clients have chosen (`is_indexed`). Of a junction it holds the other reference, too:
/// who goes through it to the other side needs none of its rows.
pub fn create_reference_index(collection: &str, field: &str, order: &[&str], other: Option<&str>) -> String {
    let columns: Vec<String> = [field].iter().chain(order).map(|column| quote_identifier(column)).collect();
    let other = other.map_or_else(String::new, |other| format!(" INCLUDE ({})", quote_identifier(other)));
    format!(
        "CREATE INDEX IF NOT EXISTS {} ON {} ({}){other}",
        quote_identifier(&index_name(collection, field, "reference")),
        table(collection),
        columns.join(", ")
    )
}

/// `DROP INDEX` of the index that we made of a reference.
pub fn drop_reference_index(collection: &str, field: &str) -> String {
    let index = quote_identifier(&index_name(collection, field, "reference"));
    format!("DROP INDEX IF EXISTS \"public\".{index}")
}

/// Its column is of a type of PostGIS's.
pub fn is_geometry(kind: FieldType) -> bool {
    matches!(kind, FieldType::Geometry(_))
}

fn comment_on(collection: &str, field: &str, comment: Option<&str>) -> String {
    let text = comment.map_or("NULL".to_owned(), quote_literal);
    format!("COMMENT ON COLUMN {}.{} IS {text}", table(collection), quote_identifier(field))
}

/// `<collection>_<field>_<kind>`, cut to what PostgreSQL keeps.
pub fn index_name(collection: &str, field: &str, kind: &str) -> String {
    let whole = format!("{}_{}_{kind}", collection.to_lowercase(), field.to_lowercase());
    if whole.len() <= 63 {
        return whole;
    }
    let digest = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut head: String = whole.chars().take(30).collect();
    while head.len() > 45 {
        head.pop();
    }
    format!("{head}_{digest:016x}")
}

fn column(collection: &str, field: &FieldDefinition) -> Result<String, Error> {
    let kind = field_type(field)?;
    let fallback = ColumnDefinition::default();
    let column = field.schema.as_ref().unwrap_or(&fallback);
    let key = column.is_primary_key == Some(true);
    if key && is_geometry(kind) {
        return Err(Error::invalid_payload("A geometry can't be a primary key"));
    }
    let counts = column.has_auto_increment == Some(true);
    if counts && !matches!(kind, FieldType::Integer | FieldType::BigInteger) {
        return Err(Error::invalid_payload(format!(
            "\"{}\" can't count by itself: it is no integer",
            field.field
        )));
    }
    let mut sql = format!("{} {}", quote_identifier(&field.field), column_type(kind, column, counts));
    if key {
        sql.push_str(" PRIMARY KEY");
    } else if column.is_nullable == Some(false) {
        sql.push_str(" NOT NULL");
    }
    if column.is_unique == Some(true) && !key {
        let constraint = index_name(collection, &field.field, "unique");
        sql.push_str(&format!(" CONSTRAINT {} UNIQUE", quote_identifier(&constraint)));
    }
    if let Some(default) = column.default_value.as_ref().filter(|_| !counts) {
        sql.push_str(&format!(" DEFAULT {}", default_literal(default, kind)?));
    }
    Ok(sql)
}

/// PostgreSQL's type of a field.
pub fn column_type(kind: FieldType, column: &ColumnDefinition, counts: bool) -> String {
    match kind {
        FieldType::Integer if counts => "serial".to_owned(),
        FieldType::BigInteger if counts => "bigserial".to_owned(),
        _ if column.native.is_some() => column.native.clone().unwrap_or_default(),
        FieldType::String | FieldType::Hash => {
            format!("varchar({})", column.max_length.unwrap_or(255).clamp(1, 10_485_760))
        }
        FieldType::Decimal => {
            let precision = column.numeric_precision.unwrap_or(10).clamp(1, 1000);
            format!("numeric({precision},{})", column.numeric_scale.unwrap_or(5).min(precision))
        }
        FieldType::Text | FieldType::Csv | FieldType::Alias | FieldType::Unknown => "text".to_owned(),
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::Integer => "integer".to_owned(),
        FieldType::BigInteger => "bigint".to_owned(),
        FieldType::Float => "real".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Time => "time".to_owned(),
        FieldType::DateTime => "timestamp".to_owned(),
        FieldType::Timestamp => "timestamptz".to_owned(),
        FieldType::Json => "json".to_owned(),
        FieldType::Uuid => "uuid".to_owned(),
        FieldType::Binary => "bytea".to_owned(),
        FieldType::Geometry(kind) => geometry_column("geometry", kind),
    }
}

/// The type of a column for geometries, given PostGIS's type by its whole name.
pub fn geometry_column(type_name: &str, kind: GeometryKind) -> String {
    format!("{type_name}({},{SRID})", kind.as_str())
}

/// A JSON value as the default of a column.
pub fn default_literal(value: &Value, kind: FieldType) -> Result<String, Error> {
    let temporal =
        matches!(kind, FieldType::Date | FieldType::Time | FieldType::DateTime | FieldType::Timestamp);
    if kind == FieldType::Hash && !value.is_null() {
        return Err(Error::invalid_payload("A field of type \"hash\" can't have a default"));
    }
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        given if is_geometry(kind) => quote_literal(&planner::default_geometry(given, kind)?),
        Value::Bool(b) => b.to_string(),
        Value::Number(number) => quote_literal(&number.to_string()),
        Value::String(text) if temporal && is_now(text) => "CURRENT_TIMESTAMP".to_owned(),
        Value::String(text) if kind == FieldType::Uuid && text == "gen_random_uuid()" => text.clone(),
        Value::String(text) => quote_literal(text),
        Value::Array(_) | Value::Object(_) if kind == FieldType::Json => quote_literal(&value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            return Err(Error::invalid_payload("\"default_value\" does not fit the type"));
        }
    })
}

/// A word for the present time.
pub fn is_now(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "now()" | "current_timestamp" | "current_timestamp()" | "$now")
}

/// Statements that turn a column into what a change asks for; absent members stay.
pub fn alter_column(
    collection: &str,
    field: &str,
    kind: FieldType,
    retype: bool,
    change: &ColumnDefinition,
) -> Result<Vec<String>, Error> {
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", table(collection), quote_identifier(field));
    let mut statements = Vec::new();
    if retype {
        let wanted = column_type(kind, change, false);
        statements.push(format!("{alter} DROP DEFAULT"));
        // Without its modifier: an explicit cast to `varchar(3)` would cut what an assignment refuses.
        statements.push(format!(
            "{alter} TYPE {wanted} USING {}::{}",
            quote_identifier(field),
            change.native.as_deref().map_or_else(|| base_type(kind), |native| base_of(native).to_owned())
        ));
    }
    match &change.default_value {
        Some(Value::Null) => statements.push(format!("{alter} DROP DEFAULT")),
        Some(value) => statements.push(format!("{alter} SET DEFAULT {}", default_literal(value, kind)?)),
        None => {}
    }
    match change.is_nullable {
        Some(true) => statements.push(format!("{alter} DROP NOT NULL")),
        Some(false) => statements.push(format!("{alter} SET NOT NULL")),
        None => {}
    }
    if let Some(comment) = &change.comment {
        statements.push(comment_on(collection, field, Some(comment)));
    }
    Ok(statements)
}

/// Statements that give or take a column's unique constraint and index, given what it has.
pub fn alter_indexes(
    collection: &str,
    field: &str,
    kind: FieldType,
    change: &ColumnDefinition,
    (unique, indexed): (bool, bool),
) -> Vec<String> {
    let mut statements = Vec::new();
    let name = table(collection);
    let constraint = quote_identifier(&index_name(collection, field, "unique"));
    match change.is_unique {
        Some(true) if !unique => {
            statements.push(format!(
                "ALTER TABLE {name} ADD CONSTRAINT {constraint} UNIQUE ({})",
                quote_identifier(field)
            ));
        }
        Some(false) if unique => {
            statements.push(format!("ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {constraint}"));
            let made = quote_identifier(&format!("{collection}_{field}_key"));
            statements.push(format!("ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {made}"));
        }
        _ => {}
    }
    match change.is_indexed {
        Some(true) if !indexed => statements.push(create_index(collection, field, kind)),
        Some(false) if indexed => {
            statements.push(drop_index(collection, field));
        }
        _ => {}
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::{add_column, after_column, create_table, default_literal, index_name, quote_literal};
    use crate::schema::definition::{FieldDefinition, parse};
    use model::FieldType;
    use serde_json::json;

    fn field(json: serde_json::Value) -> FieldDefinition {
        parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn hostile_names_and_defaults_stay_inside_their_quotes() {
        let evil = field(
            json!({"field": "x\"); DROP TABLE y; --", "schema": {"default_value": "'; DROP TABLE y; --"}}),
        );
        let sql = add_column("a\"b", &evil).unwrap();
        assert_eq!(
            sql,
            "ALTER TABLE \"public\".\"a\"\"b\" ADD COLUMN \"x\"\"); DROP TABLE y; --\" varchar(255) \
             DEFAULT '''; DROP TABLE y; --'"
        );
        assert_eq!(quote_literal("a'b\\"), "'a''b\\'");
    }

    #[test]
    fn a_table_has_all_its_columns() {
        let fields = [
            field(
                json!({"field": "id", "type": "integer", "schema": {"is_primary_key": true, "has_auto_increment": true}}),
            ),
            field(
                json!({"field": "price", "type": "decimal", "schema": {"numeric_precision": 10, "numeric_scale": 2}}),
            ),
            field(
                json!({"field": "at", "type": "timestamp", "schema": {"default_value": "now()", "is_nullable": false}}),
            ),
        ];
        assert_eq!(
            create_table("t", &fields).unwrap(),
            "CREATE TABLE \"public\".\"t\" (\"id\" serial PRIMARY KEY, \"price\" numeric(10,2), \
             \"at\" timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        );
    }

    #[test]
    fn defaults_fit_their_types() {
        assert_eq!(default_literal(&json!({"a": 1}), FieldType::Json).unwrap(), "'{\"a\":1}'");
        assert!(default_literal(&json!({"a": 1}), FieldType::String).is_err());
        assert_eq!(default_literal(&json!("now()"), FieldType::String).unwrap(), "'now()'");
    }

    #[test]
    fn geometries_have_columns_and_indexes_of_their_own() {
        let at = field(json!({"field": "at", "type": "geometry.Point", "schema": {"is_indexed": true,
                "default_value": {"type": "Point", "coordinates": [1, 2]}}}));
        assert_eq!(
            add_column("t", &at).unwrap(),
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"at\" geometry(Point,4326) \
             DEFAULT '0101000020E6100000000000000000F03F0000000000000040'"
        );
        assert_eq!(
            after_column("t", &at),
            ["CREATE INDEX \"t_at_index\" ON \"public\".\"t\" USING gist (\"at\")"]
        );
        let key = json!({"field": "k", "type": "geometry", "schema": {"is_primary_key": true}});
        assert!(create_table("t", &[field(key)]).is_err());
        let polygon = FieldType::parse("geometry.Polygon").unwrap();
        assert!(default_literal(&json!({"type": "Point", "coordinates": [1, 2]}), polygon).is_err());
        assert_eq!(default_literal(&json!("it's"), polygon).unwrap(), "'it''s'", "PostGIS reads it");
    }

    #[test]
    fn long_names_are_cut_apart() {
        let a = index_name(&"a".repeat(60), "x", "unique");
        let b = index_name(&"a".repeat(60), "y", "unique");
        assert!(a.len() <= 63 && a != b);
    }
}
