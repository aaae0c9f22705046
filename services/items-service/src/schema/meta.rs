//! Rows of the metadata tables (`directus_collections`, `directus_fields`, `directus_relations`).

use model::{Error, quote_identifier};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::catalog::Catalog;
use crate::failure::Failure;

/// A metadata table with what finds one of its rows.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// Columns that find a row and are not changed.
    pub key: &'static [&'static str],
}

/// One row per collection.
pub const COLLECTIONS: Table = Table { name: "directus_collections", key: &["collection"] };
/// One row per field.
pub const FIELDS: Table = Table { name: "directus_fields", key: &["collection", "field"] };
/// One row per relation.
pub const RELATIONS: Table = Table { name: "directus_relations", key: &["many_collection", "many_field"] };

/// Writes a row: makes it, or changes the members that are given. Members that are no columns are dropped.
pub async fn write(
    conn: &mut PgConnection,
    catalog: &Catalog,
    table: Table,
    key: &[&str],
    members: &Map<String, Value>,
) -> Result<(), Failure> {
    let collection = catalog.collections.get(table.name).ok_or_else(Error::internal)?;
    let mut row = Map::new();
    for (name, value) in members {
        let known = collection.field(name).is_some_and(|field| field.column.is_some())
            && name != "id"
            && !table.key.contains(&name.as_str());
        if known {
            row.insert(name.clone(), value.clone());
        }
    }
    let given: Vec<String> = row.keys().map(|name| quote_identifier(name)).collect();
    for (name, value) in table.key.iter().zip(key) {
        row.insert((*name).to_owned(), Value::from(*value));
    }
    let keys: Vec<String> = table.key.iter().map(|name| quote_identifier(name)).collect();
    let name = quote_identifier(table.name);
    let matched: Vec<String> = keys.iter().map(|key| format!("m.{key} = r.{key}")).collect();
    let matched = matched.join(" AND ");
    let listed = |prefix: &str| {
        let all = keys.iter().chain(&given).map(|name| format!("{prefix}{name}"));
        all.collect::<Vec<_>>().join(", ")
    };
    let source = format!("json_populate_record(NULL::{name}, $1::json) r");
    let json = Value::Object(row).to_string();
    if !given.is_empty() {
        let sets: Vec<String> = given.iter().map(|name| format!("{name} = r.{name}")).collect();
        let update = format!("UPDATE {name} m SET {} FROM {source} WHERE {matched}", sets.join(", "));
        if sqlx::query(AssertSqlSafe(update)).bind(&json).execute(&mut *conn).await?.rows_affected() > 0 {
            return Ok(());
        }
    }
    let insert = format!(
        "INSERT INTO {name} ({}) SELECT {} FROM {source} WHERE NOT EXISTS (SELECT FROM {name} m WHERE {matched})",
        listed(""),
        listed("r.")
    );
    sqlx::query(AssertSqlSafe(insert)).bind(&json).execute(&mut *conn).await?;
    Ok(())
}
