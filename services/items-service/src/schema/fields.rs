//! Making, changing and deleting fields.

use model::{Error, Errors, FieldType, quote_identifier};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Change, Entry};
use super::definition::{self, ColumnDefinition, FieldDefinition};
use super::meta;
use super::{ddl, describe};
use crate::failure::Failure;
use crate::snapshot::{Snapshot, introspect};
use crate::state::State;

/// `POST /fields/:collection`.
pub async fn create(state: &State, caller: &Caller, collection: &str, body: &[u8]) -> Result<Value, Errors> {
    let field: FieldDefinition = definition::parse(body)?;
    definition::check_field_name(&field.field)?;
    let snapshot = state.snapshots.present();
    user_table(&snapshot, collection)?;
    let taken = snapshot.collection(collection)?.field(&field.field).is_some();
    if taken {
        let reason = format!("Field \"{}\" already exists in collection \"{collection}\"", field.field);
        return Err(Error::invalid_payload(reason).into());
    }
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        let sql = ddl::add_column(collection, &field)?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        finish(conn, &snapshot, collection, &field).await?;
        let payload = json!({"field": field.field, "type": field.kind, "meta": field.meta});
        Ok(vec![entry("create", collection, &field.field).payload(payload)])
    };
    let work = work.await;
    change.finish(state, caller, work).await?;
    describe::field(state, collection, &field.field).await
}

/// Index, comment and metadata of a column that was just made.
pub async fn finish(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &FieldDefinition,
) -> Result<(), Failure> {
    for sql in ddl::after_column(collection, field) {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    let mut members = field.meta.clone().unwrap_or_default();
    mark_type(&mut members, field.kind.as_deref())?;
    if !members.is_empty() {
        meta::write(conn, snapshot, meta::FIELDS, &[collection, &field.field], &members).await?;
    }
    Ok(())
}

/// The specials as the table keeps them; `csv` and `hash` are text columns that only their special tells apart.
fn mark_type(members: &mut Map<String, Value>, kind: Option<&str>) -> Result<(), Error> {
    let mut special = definition::special(members)?;
    let telling = match kind {
        Some("csv") => Some("cast-csv"),
        Some("hash") => Some("hash"),
        _ => None,
    };
    let has = |name: &str| special.as_deref().is_some_and(|list| list.split(',').any(|known| known == name));
    if let Some(name) = telling.filter(|name| !has(name)) {
        special = Some(special.map_or(name.to_owned(), |list| format!("{list},{name}")));
    }
    if special.is_some() || members.contains_key("special") {
        members.insert("special".to_owned(), special.into());
    }
    Ok(())
}

/// `PATCH /fields/:collection/:field`: column and metadata.
pub async fn update(
    state: &State,
    caller: &Caller,
    collection: &str,
    name: &str,
    body: &[u8],
) -> Result<Value, Errors> {
    let changes: Map<String, Value> = definition::parse(body)?;
    let snapshot = state.snapshots.present();
    user_table(&snapshot, collection)?;
    let described = describe::field(state, collection, name).await?;
    let column: Option<ColumnDefinition> = match changes.get("schema").filter(|schema| schema.is_object()) {
        Some(schema) => Some(definition::parse(schema.to_string().as_bytes())?),
        None => None,
    };
    let kind = changes.get("type").and_then(Value::as_str);
    let mut members = changes.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
    let telling = matches!(kind, Some("csv" | "hash"));
    if telling && !members.contains_key("special") {
        members.insert("special".to_owned(), described["meta"]["special"].clone());
    }
    if members.contains_key("special") {
        mark_type(&mut members, kind.or(described["type"].as_str()))?;
    }
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        if column.is_some() || kind.is_some() {
            alter(conn, collection, name, &described, kind, &column.clone().unwrap_or_default()).await?;
        }
        if !members.is_empty() {
            meta::write(conn, &snapshot, meta::FIELDS, &[collection, name], &members).await?;
        }
        let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
        Ok(vec![entry("update", collection, name).payload(Value::Object(changes.clone())).fields(changed)])
    };
    let work = work.await;
    change.finish(state, caller, work).await?;
    describe::field(state, collection, name).await
}

async fn alter(
    conn: &mut PgConnection,
    collection: &str,
    name: &str,
    described: &Value,
    kind: Option<&str>,
    change: &ColumnDefinition,
) -> Result<(), Failure> {
    let rows = introspect::columns(conn, Some(collection)).await?;
    let row = rows.iter().find(|row| row.field == name).ok_or_else(Error::forbidden)?;
    if row.primary_key && change.is_nullable == Some(true) {
        return Err(Error::invalid_payload("The primary key can't be nullable").into());
    }
    let present = described["type"].as_str().and_then(FieldType::parse).unwrap_or(FieldType::Unknown);
    let wanted = match kind {
        Some(kind) => {
            let probe =
                FieldDefinition { field: name.into(), kind: Some(kind.into()), schema: None, meta: None };
            definition::field_type(&probe)?
        }
        None => present,
    };
    let mut change = change.clone();
    let resized =
        change.max_length.is_some() || change.numeric_precision.is_some() || change.numeric_scale.is_some();
    let retype = wanted != present || (resized && matches!(wanted, FieldType::String | FieldType::Decimal));
    if retype && change.default_value.is_none() && row.sequence.is_none() {
        // A new type drops the default with the old one; what it stood for is set again.
        change.default_value =
            Some(described["schema"]["default_value"].clone()).filter(|value| !value.is_null());
    }
    let mut statements = ddl::alter_column(collection, name, wanted, retype, &change)?;
    statements.extend(ddl::alter_indexes(collection, name, &change, row.unique, row.indexed));
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(())
}

/// `DELETE /fields/:collection/:field`: the column and what names it.
pub async fn delete(state: &State, caller: &Caller, collection: &str, name: &str) -> Result<(), Errors> {
    let snapshot = state.snapshots.present();
    user_table(&snapshot, collection)?;
    let described = describe::field(state, collection, name).await?;
    if snapshot.collection(collection)?.primary_key == name {
        return Err(Error::invalid_payload("The primary key can't be deleted").into());
    }
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        if described["schema"].is_object() {
            let sql =
                format!("ALTER TABLE {} DROP COLUMN {}", ddl::table(collection), quote_identifier(name));
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        forget(conn, collection, name).await?;
        Ok(vec![entry("delete", collection, name).previous(described.clone())])
    };
    let work = work.await;
    change.finish(state, caller, work).await
}

/// What the metadata tables know of a field. One made later under the name starts without rights.
async fn forget(conn: &mut PgConnection, collection: &str, field: &str) -> Result<(), Failure> {
    for sql in [
        "DELETE FROM directus_fields WHERE collection = $1 AND field = $2",
        "DELETE FROM directus_relations WHERE (many_collection = $1 AND many_field = $2) \
         OR (one_collection = $1 AND one_field = $2)",
        "UPDATE directus_permissions SET fields = nullif(array_to_string(array_remove(string_to_array(fields, ','), $2), \
         ','), '') WHERE collection = $1",
        "UPDATE directus_collections SET sort_field = NULL WHERE collection = $1 AND sort_field = $2",
        "UPDATE directus_collections SET archive_field = NULL WHERE collection = $1 AND archive_field = $2",
    ] {
        sqlx::query(sql).bind(collection).bind(field).execute(&mut *conn).await?;
    }
    Ok(())
}

fn entry(action: &str, collection: &str, field: &str) -> Entry {
    Entry::new("fields", action, "directus_fields", &format!("{collection}.{field}"))
}

fn user_table(snapshot: &Snapshot, collection: &str) -> Result<(), Error> {
    if collection.starts_with("directus_") || snapshot.schema.collection(collection).is_none() {
        return Err(Error::forbidden());
    }
    Ok(())
}
