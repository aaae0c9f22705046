//! Making, changing and deleting collections.

use model::{Error, Errors};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Change, Entry};
use super::definition::{self, CollectionDefinition, ColumnDefinition, FieldDefinition};
use super::meta;
use super::{ddl, describe, fields, geometry, indexes};
use crate::catalog::{Catalog, wire};
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// `POST /collections`: table, fields and metadata in one transaction.
pub async fn create(
    state: &State,
    caller: &Caller,
    body: &[u8],
    concurrent: bool,
) -> Result<Vec<u8>, Errors> {
    let many = body.trim_ascii_start().first() == Some(&b'[');
    let mut definitions: Vec<CollectionDefinition> = match many {
        true => definition::parse_list(body)?,
        false => vec![definition::parse(body)?],
    };
    let names: Vec<String> = definitions.iter().map(|definition| definition.collection.clone()).collect();
    if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        return Err(Error::invalid_payload("A collection can't be made twice").into());
    }
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = async {
        let mut entries = Vec::with_capacity(definitions.len());
        for mut definition in definitions.drain(..) {
            let wishes = definition.fields.iter_mut().filter(|_| concurrent);
            let later: Vec<String> = wishes.filter_map(indexes::postpone).collect();
            let name = definition.collection.clone();
            entries.push(make(change.conn(), &snapshot, definition).await?);
            indexes::ask(change.conn(), &name, &later).await?;
        }
        Ok(entries)
    };
    let work = work.await;
    let snapshot = change.finish(state, caller, work).await?;
    match &names[..] {
        [name] if !many => describe::collection(&snapshot, name),
        _ => describe::collections_of(&snapshot, &names),
    }
}

/// Makes a collection with its fields.
pub async fn make(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    mut definition: CollectionDefinition,
) -> Result<Entry, Failure> {
    definition::check_collection_name(&definition.collection)?;
    for field in &definition.fields {
        definition::check_field_name(&field.field)?;
    }
    let has_table = definition.schema.is_some();
    if !has_table && definition.meta.is_none() {
        // A folder is nothing but its metadata.
        return Err(Error::forbidden().into());
    }
    if has_table {
        with_key(&mut definition.fields)?;
    }
    let name = &definition.collection;
    refuse_existing(conn, &snapshot.catalog, name).await?;
    if has_table {
        let mut placed = definition.fields.clone();
        for field in &mut placed {
            geometry::place(conn, &snapshot.catalog, field).await?;
        }
        let sql = ddl::create_table(name, &placed)?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        if let Some(comment) = definition.schema.as_ref().and_then(|table| table["comment"].as_str()) {
            sqlx::query(AssertSqlSafe(ddl::comment_on_table(name, comment))).execute(&mut *conn).await?;
        }
        for (place, field) in (1..).zip(&definition.fields) {
            fields::finish(conn, snapshot, name, field, Some(place)).await?;
        }
    }
    if definition.meta.is_some() {
        let members = definition.meta.clone().unwrap_or_default();
        meta::write(conn, &snapshot.catalog, meta::COLLECTIONS, &[name], &members).await?;
    }
    let payload = json!({
        "collection": name, "meta": definition.meta, "schema": definition.schema, "fields": definition.fields,
    });
    Ok(Entry::new("collections", "create", "directus_collections", name).payload(payload))
}

/// A collection without a key gets an integer `id` that counts by itself.
pub(super) fn with_key(fields: &mut Vec<FieldDefinition>) -> Result<(), Error> {
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

/// Refuses a name that is taken.
pub(super) async fn refuse_existing(
    conn: &mut PgConnection,
    catalog: &Catalog,
    name: &str,
) -> Result<(), Failure> {
    // What has the name and is no collection (a view, a sequence) is seen by PostgreSQL alone.
    let taken: bool = sqlx::query_scalar("SELECT to_regclass(format('public.%I', $1)) IS NOT NULL")
        .bind(name)
        .fetch_one(conn)
        .await?;
    if taken || catalog.collections.contains_key(name) {
        return Err(Error::invalid_payload(format!("Collection \"{name}\" already exists")).into());
    }
    Ok(())
}

/// `PATCH /collections/:collection`: metadata.
pub async fn update(state: &State, caller: &Caller, name: &str, body: &[u8]) -> Result<Vec<u8>, Errors> {
    let changes: Map<String, Value> = definition::parse(body)?;
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = alter(change.conn(), &snapshot, name, &changes).await;
    let snapshot = change.finish(state, caller, work.map(|entry| entry.into_iter().collect())).await?;
    describe::collection(&snapshot, name)
}

/// `PATCH /collections`: metadata of several, all or none.
pub async fn update_many(state: &State, caller: &Caller, body: &[u8]) -> Result<Vec<u8>, Errors> {
    let changes: Vec<Map<String, Value>> = definition::parse_list(body)?;
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let mut names = Vec::with_capacity(changes.len());
    let work = async {
        let mut entries = Vec::with_capacity(changes.len());
        for each in &changes {
            let name = each.get("collection").and_then(Value::as_str);
            let name = name.ok_or_else(|| Error::invalid_payload("\"collection\" is required"))?;
            entries.extend(alter(change.conn(), &snapshot, name, each).await?);
            names.push(name.to_owned());
        }
        Ok(entries)
    };
    let work = work.await;
    let snapshot = change.finish(state, caller, work).await?;
    describe::collections_of(&snapshot, &names)
}

/// Changes the metadata of a collection; nothing when no metadata is given.
pub async fn alter(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    name: &str,
    changes: &Map<String, Value>,
) -> Result<Option<Entry>, Failure> {
    let entry = describe::entry(snapshot, name)?;
    if entry.system {
        return Err(Error::forbidden().into());
    }
    let Some(members) = changes.get("meta").and_then(Value::as_object).filter(|members| !members.is_empty())
    else {
        return Ok(None);
    };
    meta::write(conn, &snapshot.catalog, meta::COLLECTIONS, &[name], members).await?;
    let entry = Entry::new("collections", "update", "directus_collections", name);
    Ok(Some(entry.payload(json!({"meta": members})).fields(["meta"])))
}

/// `DELETE /collections/:collection`: the table and everything that hangs on it.
pub async fn delete(state: &State, caller: &Caller, name: &str) -> Result<(), Errors> {
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = remove(change.conn(), &snapshot, name).await;
    change.finish(state, caller, work.map(|entry| vec![entry])).await?;
    Ok(())
}

/// Deletes a collection.
pub async fn remove(conn: &mut PgConnection, snapshot: &Snapshot, name: &str) -> Result<Entry, Failure> {
    let mut entries = remove_all(conn, snapshot, &[name]).await?;
    entries.pop().ok_or_else(|| Error::internal().into())
}

/// Deletes collections; they may refer to each other.
pub async fn remove_all(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    names: &[&str],
) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::with_capacity(names.len());
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let entry = describe::entry(snapshot, name)?;
        if entry.system {
            return Err(Error::forbidden().into());
        }
        if entry.table.is_some() {
            tables.push(ddl::table(name));
        }
        let previous = serde_json::to_value(wire::Collection::from(entry)).unwrap_or_default();
        entries.push(Entry::new("collections", "delete", "directus_collections", name).previous(previous));
    }
    for statement in references(&snapshot.catalog, names) {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    if !tables.is_empty() {
        let sql = format!("DROP TABLE {}", tables.join(", "));
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    for name in names {
        live_on(conn, name).await?;
        forget(conn, name).await?;
    }
    if !names.is_empty() {
        // Permissions went with them.
        db::control::bump(conn, "access").await?;
    }
    Ok(entries)
}

/// Takes away the foreign keys of other tables that point here; their columns stay, as plain values.
fn references(catalog: &Catalog, names: &[&str]) -> Vec<String> {
    let others = catalog.collections.values().filter(|entry| !names.contains(&entry.name.as_str()));
    let keys = others.flat_map(|entry| entry.relations.iter().filter_map(|held| held.key.as_ref()));
    let here = keys.filter(|key| names.contains(&key.foreign_key_table.as_str()));
    here.map(|key| ddl::drop_constraint(&key.table, &key.constraint_name)).collect()
}

/// Keeps where the versions of its items ended, for a collection that may be made under the name again.
async fn live_on(conn: &mut PgConnection, name: &str) -> Result<(), Failure> {
    let ended = "INSERT INTO eventus.lives AS l (collection, base) \
                 SELECT $1, greatest(1, max(version)) FROM eventus.heads WHERE collection = $1 \
                 ON CONFLICT (collection) DO UPDATE SET base = greatest(l.base + 1, excluded.base)";
    for sql in [ended, "DELETE FROM eventus.heads WHERE collection = $1"] {
        sqlx::query(sql).bind(name).execute(&mut *conn).await?;
    }
    Ok(())
}

/// What the metadata tables know of a collection. A collection made later under the name starts without rights.
async fn forget(conn: &mut PgConnection, name: &str) -> Result<(), Failure> {
    for sql in [
        // The other side of its references: alias fields that show them.
        "DELETE FROM directus_fields f USING directus_relations r WHERE r.many_collection = $1 \
         AND f.collection = r.one_collection AND f.field = r.one_field",
        "DELETE FROM directus_fields WHERE collection = $1",
        "DELETE FROM directus_relations WHERE many_collection = $1 OR one_collection = $1",
        "UPDATE directus_relations SET one_allowed_collections = nullif(array_to_string(array_remove(\
         string_to_array(one_allowed_collections, ','), $1), ','), '') \
         WHERE $1 = ANY(string_to_array(one_allowed_collections, ','))",
        "DELETE FROM directus_permissions WHERE collection = $1",
        "DELETE FROM directus_presets WHERE collection = $1",
        "DELETE FROM directus_shares WHERE collection = $1",
        "DELETE FROM directus_versions WHERE collection = $1",
        "DELETE FROM directus_comments WHERE collection = $1",
        "UPDATE directus_collections SET \"group\" = NULL WHERE \"group\" = $1",
        "DELETE FROM directus_collections WHERE collection = $1",
    ] {
        sqlx::query(sql).bind(name).execute(&mut *conn).await?;
    }
    Ok(())
}
