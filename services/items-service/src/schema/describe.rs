//! The schema as clients see it: Directus's shapes of collections, fields and relations.

use model::{Error, Errors};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};

use crate::snapshot::assemble::typed;
use crate::snapshot::introspect::{self, ColumnRow};
use crate::state::State;

/// All collections, those of the system too.
pub async fn collections(state: &State) -> Result<Value, Errors> {
    let mut conn = acquire(state).await?;
    all_collections(&mut conn, None).await.map(Value::Array).map_err(|error| state.failure(&error, ""))
}

/// One collection; a missing one is 403.
pub async fn collection(state: &State, name: &str) -> Result<Value, Errors> {
    let mut conn = acquire(state).await?;
    let found = all_collections(&mut conn, Some(name)).await.map_err(|error| state.failure(&error, name))?;
    found.into_iter().next().ok_or_else(|| Error::forbidden().into())
}

const COLLECTIONS: &str = "
SELECT coalesce(m.collection, c.relname::text) AS name, row_to_json(m)::text AS meta, c.oid IS NOT NULL AS has_table,
       obj_description(c.oid) AS comment
FROM directus_collections m
FULL JOIN (
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'spatial_ref_sys'
) c ON c.relname = m.collection
WHERE $1::text IS NULL OR coalesce(m.collection, c.relname::text) = $1
ORDER BY 1";

async fn all_collections(conn: &mut PgConnection, name: Option<&str>) -> Result<Vec<Value>, sqlx::Error> {
    let rows = sqlx::query(COLLECTIONS).bind(name).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let has_table: bool = row.try_get("has_table")?;
            let comment: Option<String> = row.try_get("comment")?;
            let schema = has_table.then(|| json!({"schema": "public", "name": name, "comment": comment}));
            let meta = match parsed(row.try_get("meta")?) {
                Value::Null if name.starts_with("directus_") => json!({"collection": name, "system": true}),
                meta => meta,
            };
            Ok(json!({"collection": name, "meta": meta, "schema": schema}))
        })
        .collect()
}

/// Fields of one collection, or of all when the name is empty. Those of a missing collection are 403.
pub async fn fields(state: &State, collection: &str) -> Result<Value, Errors> {
    let mut conn = acquire(state).await?;
    let name = (!collection.is_empty()).then_some(collection);
    let found = all_fields(&mut conn, name).await.map_err(|error| state.failure(&error, collection))?;
    if found.is_empty() && name.is_some() {
        return Err(Error::forbidden().into());
    }
    Ok(Value::Array(found))
}

/// One field; a missing one is 403.
pub async fn field(state: &State, collection: &str, field: &str) -> Result<Value, Errors> {
    let mut conn = acquire(state).await?;
    let found =
        all_fields(&mut conn, Some(collection)).await.map_err(|error| state.failure(&error, collection))?;
    found.into_iter().find(|found| found["field"] == field).ok_or_else(|| Error::forbidden().into())
}

async fn all_fields(conn: &mut PgConnection, collection: Option<&str>) -> Result<Vec<Value>, sqlx::Error> {
    let columns = introspect::columns(conn, collection).await?;
    let metas = sqlx::query(
        "SELECT collection, field, row_to_json(f)::text AS meta FROM directus_fields f \
         WHERE $1::text IS NULL OR collection = $1 ORDER BY collection, sort, id",
    )
    .bind(collection)
    .fetch_all(conn)
    .await?;
    let mut by_name: std::collections::HashMap<(String, String), Value> = std::collections::HashMap::new();
    for row in &metas {
        let mut meta = parsed(row.try_get("meta")?);
        split_special(&mut meta);
        by_name.insert((row.try_get("collection")?, row.try_get("field")?), meta);
    }
    let mut found: Vec<Value> = columns
        .iter()
        .filter(|column| {
            column.collection != "directus_sessions" && column.collection != "directus_migrations"
        })
        .map(|column| {
            let meta =
                by_name.remove(&(column.collection.clone(), column.field.clone())).unwrap_or(Value::Null);
            described(column, meta)
        })
        .collect();
    // What has metadata and no column is an alias: relations seen from the other side, groups, dividers.
    let mut aliases: Vec<_> = by_name.into_iter().collect();
    aliases.sort_by(|a, b| a.0.cmp(&b.0));
    found.extend(aliases.into_iter().map(|((collection, field), meta)| {
        json!({"collection": collection, "field": field, "type": "alias", "schema": null, "meta": meta})
    }));
    found.sort_by_key(|field| field["meta"]["sort"].as_i64().unwrap_or(i64::MAX));
    Ok(found)
}

/// `special` is a list on the wire and comma-separated in the table.
fn split_special(meta: &mut Value) {
    if let Some(list) = meta["special"].as_str() {
        meta["special"] = list.split(',').map(Value::from).collect();
    }
}

fn described(column: &ColumnRow, meta: Value) -> Value {
    let special: Vec<model::Special> = meta["special"]
        .as_array()
        .map(|list| list.iter().filter_map(|name| model::Special::parse(name.as_str()?)).collect())
        .unwrap_or_default();
    let kind = typed(&column.data_type, &special);
    json!({
        "collection": column.collection,
        "field": column.field,
        "type": kind.as_str(),
        "schema": {
            "name": column.field,
            "table": column.collection,
            "data_type": column.data_type,
            "default_value": column.default_value.as_deref().map_or(Value::Null, default_value),
            "generation_expression": null,
            "max_length": column.max_length,
            "numeric_precision": column.numeric_precision,
            "numeric_scale": column.numeric_scale,
            "is_generated": column.generated,
            "is_nullable": column.nullable,
            "is_unique": column.unique,
            "is_indexed": column.indexed,
            "is_primary_key": column.primary_key,
            "has_auto_increment": column.sequence.is_some(),
            "foreign_key_schema": column.foreign_table.as_ref().map(|_| "public"),
            "foreign_key_table": column.foreign_table,
            "foreign_key_column": column.foreign_column,
            "comment": column.comment,
        },
        "meta": meta,
    })
}

/// PostgreSQL's text of a default -> the value that it stands for, where it is a plain literal.
fn default_value(sql: &str) -> Value {
    if let Some((literal, cast)) = sql.strip_prefix('\'').and_then(|rest| rest.rsplit_once("'::")) {
        let text = literal.replace("''", "'");
        return match cast {
            "json" | "jsonb" | "integer" | "real" | "double precision" => {
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

const RELATIONS: &str = "
SELECT coalesce(m.many_collection, k.collection) AS collection, coalesce(m.many_field, k.field) AS field,
       coalesce(k.related, m.one_collection) AS related, row_to_json(m)::text AS meta, k.schema::text AS schema
FROM directus_relations m
FULL JOIN (
    SELECT c.relname::text AS collection, a.attname::text AS field, fc.relname::text AS related,
           json_build_object(
               'constraint_name', k.conname, 'table', c.relname, 'column', a.attname,
               'foreign_key_schema', 'public', 'foreign_key_table', fc.relname, 'foreign_key_column', fa.attname,
               'on_update', CASE k.confupdtype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN
                   'SET NULL' WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END,
               'on_delete', CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN
                   'SET NULL' WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END) AS schema
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    JOIN pg_class fc ON fc.oid = k.confrelid
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND cardinality(k.conkey) = 1
) k ON k.collection = m.many_collection AND k.field = m.many_field
WHERE $1::text = '' OR coalesce(m.many_collection, k.collection) = $1
ORDER BY 1, 2";

/// Relations of one collection, or of all when the name is empty.
pub async fn relations(state: &State, collection: &str) -> Result<Value, Errors> {
    let mut conn = acquire(state).await?;
    let rows = sqlx::query(RELATIONS).bind(collection).fetch_all(&mut *conn).await;
    let rows = rows.map_err(|error| state.failure(&error, collection))?;
    let described = rows.iter().map(|row| {
        Ok(json!({
            "collection": row.try_get::<String, _>("collection")?,
            "field": row.try_get::<String, _>("field")?,
            "related_collection": row.try_get::<Option<String>, _>("related")?,
            "schema": parsed(row.try_get("schema")?),
            "meta": parsed(row.try_get("meta")?),
        }))
    });
    let described: Result<Vec<Value>, sqlx::Error> = described.collect();
    described.map(Value::Array).map_err(|error| state.failure(&error, collection))
}

fn parsed(text: Option<String>) -> Value {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
}

async fn acquire(state: &State) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, Errors> {
    state.db.pool().acquire().await.map_err(|error| state.failure(&error, ""))
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
