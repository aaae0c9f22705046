//! Making, changing and deleting collections.

use model::{Error, Errors};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Change, Entry};
use super::definition::{self, CollectionDefinition, ColumnDefinition, FieldDefinition};
use super::meta;
use super::{ddl, describe, fields};
use crate::failure::Failure;
use crate::state::State;

/// `POST /collections`: table, fields and metadata in one transaction.
pub async fn create(state: &State, caller: &Caller, body: &[u8]) -> Result<Value, Errors> {
    let mut definition: CollectionDefinition = definition::parse(body)?;
    definition::check_collection_name(&definition.collection)?;
    for field in &definition.fields {
        definition::check_field_name(&field.field)?;
    }
    let has_table = definition.schema.is_some();
    if has_table {
        with_key(&mut definition.fields)?;
    }
    let name = definition.collection.clone();
    let snapshot = state.snapshots.present();
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        refuse_existing(conn, &name).await?;
        if has_table {
            let sql = ddl::create_table(&name, &definition.fields)?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
            for field in &definition.fields {
                fields::finish(conn, &snapshot, &name, field).await?;
            }
        }
        let members = definition.meta.clone().unwrap_or_default();
        meta::write(conn, &snapshot, meta::COLLECTIONS, &[&name], &members).await?;
        let payload = json!({"collection": name, "meta": definition.meta, "schema": definition.schema});
        Ok(vec![Entry::new("collections", "create", "directus_collections", &name).payload(payload)])
    };
    let work = work.await;
    change.finish(state, caller, work).await?;
    describe::collection(state, &name).await
}

/// A collection without a key gets an integer `id` that counts by itself.
fn with_key(fields: &mut Vec<FieldDefinition>) -> Result<(), Error> {
    let is_key = |field: &&FieldDefinition| {
        field.schema.as_ref().is_some_and(|column| column.is_primary_key == Some(true))
    };
    match fields.iter().filter(is_key).count() {
        0 if fields.iter().any(|field| field.field == "id") => {
            Err(Error::invalid_payload("The field \"id\" must be the primary key when no other field is"))
        }
        0 => {
            let column = ColumnDefinition {
                is_primary_key: Some(true),
                has_auto_increment: Some(true),
                ..ColumnDefinition::default()
            };
            let meta = json!({"hidden": true, "interface": "numeric", "readonly": true});
            let id = FieldDefinition {
                field: "id".to_owned(),
                kind: Some("integer".to_owned()),
                schema: Some(column),
                meta: meta.as_object().cloned(),
            };
            fields.insert(0, id);
            Ok(())
        }
        1 => Ok(()),
        _ => Err(Error::invalid_payload("A collection has one primary key")),
    }
}

async fn refuse_existing(conn: &mut PgConnection, name: &str) -> Result<(), Failure> {
    let sql = "SELECT EXISTS (SELECT FROM directus_collections WHERE collection = $1) \
               OR to_regclass(format('public.%I', $1)) IS NOT NULL";
    if sqlx::query_scalar(sql).bind(name).fetch_one(conn).await? {
        return Err(Error::invalid_payload(format!("Collection \"{name}\" already exists")).into());
    }
    Ok(())
}

/// `PATCH /collections/:collection`: metadata.
pub async fn update(state: &State, caller: &Caller, name: &str, body: &[u8]) -> Result<Value, Errors> {
    let changes: Map<String, Value> = definition::parse(body)?;
    refuse_system(name)?;
    describe::collection(state, name).await?;
    let snapshot = state.snapshots.present();
    if let Some(members) =
        changes.get("meta").and_then(Value::as_object).filter(|members| !members.is_empty())
    {
        let mut change = Change::begin(state).await?;
        let work = async {
            let conn = change.conn();
            meta::write(conn, &snapshot, meta::COLLECTIONS, &[name], members).await?;
            let entry = Entry::new("collections", "update", "directus_collections", name);
            Ok(vec![entry.payload(json!({"meta": members})).fields(["meta"])])
        };
        let work = work.await;
        change.finish(state, caller, work).await?;
    }
    describe::collection(state, name).await
}

fn refuse_system(name: &str) -> Result<(), Error> {
    if name.starts_with("directus_") { Err(Error::forbidden()) } else { Ok(()) }
}

/// `DELETE /collections/:collection`: the table and everything that hangs on it.
pub async fn delete(state: &State, caller: &Caller, name: &str) -> Result<(), Errors> {
    refuse_system(name)?;
    let described = describe::collection(state, name).await?;
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        drop_references(conn, name).await?;
        if described["schema"].is_object() {
            let sql = format!("DROP TABLE {}", ddl::table(name));
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        forget(conn, name).await?;
        let entry = Entry::new("collections", "delete", "directus_collections", name);
        Ok(vec![entry.previous(described.clone())])
    };
    let work = work.await;
    change.finish(state, caller, work).await
}

/// Foreign keys of other tables that point here; their columns stay.
async fn drop_references(conn: &mut PgConnection, name: &str) -> Result<(), Failure> {
    let sql = "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) \
               FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = to_regclass(format('public.%I', $1))";
    let statements: Vec<String> = sqlx::query_scalar(sql).bind(name).fetch_all(&mut *conn).await?;
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    Ok(())
}

/// What the metadata tables know of a collection. A collection made later under the name starts without rights.
async fn forget(conn: &mut PgConnection, name: &str) -> Result<(), Failure> {
    for sql in [
        "DELETE FROM directus_fields WHERE collection = $1",
        "DELETE FROM directus_relations WHERE many_collection = $1 OR one_collection = $1",
        "DELETE FROM directus_permissions WHERE collection = $1",
        "DELETE FROM directus_presets WHERE collection = $1",
        "UPDATE directus_collections SET \"group\" = NULL WHERE \"group\" = $1",
        "DELETE FROM directus_collections WHERE collection = $1",
    ] {
        sqlx::query(sql).bind(name).execute(&mut *conn).await?;
    }
    Ok(())
}
