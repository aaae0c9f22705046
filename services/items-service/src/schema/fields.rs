//! Making, changing and deleting fields.

pub mod metadata;

use model::{Error, Errors, FieldType, quote_identifier};
use rpc::Caller;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Change, Entry};
use super::definition::{self, ColumnDefinition, FieldDefinition};
use super::meta;
use super::{ddl, describe, geometry, indexes, search_indexes};
use crate::catalog::assemble::is_system;
use crate::catalog::rows::ColumnRow;
use crate::catalog::{Catalog, CollectionEntry, FieldEntry, marks, wire};
use crate::failure::Failure;
use crate::history::redact;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system;

/// `POST /fields/:collection`.
pub async fn create(
    state: &State,
    caller: &Caller,
    collection: &str,
    body: &[u8],
    concurrent: bool,
) -> Result<Vec<u8>, Errors> {
    let mut field: FieldDefinition = definition::parse(body)?;
    let later = concurrent.then(|| indexes::postpone(&mut field)).flatten();
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = async {
        let entry = make(change.conn(), &snapshot, collection, &field).await?;
        indexes::ask(change.conn(), collection, later.as_slice()).await?;
        Ok(vec![entry])
    };
    let work = work.await;
    let snapshot = change.finish(state, caller, work).await?;
    describe::field(&snapshot, collection, &field.field)
}

/// Makes a field.
pub async fn make(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &FieldDefinition,
) -> Result<Entry, Failure> {
    definition::check_field_name(&field.field)?;
    let owner = table(snapshot, collection)?;
    if owner.field(&field.field).is_some() {
        let reason = format!("Field \"{}\" already exists in collection \"{collection}\"", field.field);
        return Err(Error::invalid_payload(reason).into());
    }
    if owner.system && !system::takes_fields(collection) {
        return Err(Error::forbidden().into());
    }
    let mut field = field.clone();
    if owner.system {
        // What has no row of metadata there is the system's.
        field.meta.get_or_insert_default();
    }
    let field = &field;
    if !field.is_alias() {
        let mut placed = field.clone();
        geometry::place(conn, &snapshot.catalog, &mut placed).await?;
        let sql = ddl::add_column(collection, &placed)?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    let last = owner.fields.iter().filter_map(|field| field.meta.as_ref()?.sort).max().unwrap_or(0);
    finish(conn, snapshot, collection, field, Some(last + 1)).await?;
    let payload = serde_json::to_value(field).map_err(|_| Error::internal())?;
    Ok(entry("create", collection, &field.field).payload(payload))
}

/// Index, comment and metadata of a column that was just made. `place` is where it stands if it does not say.
pub async fn finish(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &FieldDefinition,
    place: Option<i64>,
) -> Result<(), Failure> {
    for sql in ddl::after_column(collection, field) {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    let system = is_system(collection);
    let Some(mut members) = metadata::row(conn, field, system).await? else { return Ok(()) };
    if let Some(place) = place.filter(|_| members.get("sort").is_none_or(Value::is_null)) {
        members.insert("sort".to_owned(), Value::from(place));
    }
    if metadata::hides(&members) {
        // The log may know a field of this name from before.
        redact::ask(conn, collection, &field.field).await?;
    }
    meta::write(conn, &snapshot.catalog, meta::FIELDS, &[collection, &field.field], &members).await
}

/// `PATCH /fields/:collection/:field`: column and metadata.
pub async fn update(
    state: &State,
    caller: &Caller,
    collection: &str,
    name: &str,
    body: &[u8],
    concurrent: bool,
) -> Result<Vec<u8>, Errors> {
    let mut changes: Map<String, Value> = definition::parse(body)?;
    let later = concurrent.then(|| indexes::postpone_change(name, &mut changes)).flatten();
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = async {
        let entry = alter(change.conn(), &snapshot, collection, name, &changes).await?;
        indexes::ask(change.conn(), collection, later.as_slice()).await?;
        Ok(vec![entry])
    };
    let work = work.await;
    let snapshot = change.finish(state, caller, work).await?;
    describe::field(&snapshot, collection, name)
}

/// `PATCH /fields/:collection`: several fields, all or none.
pub async fn update_many(
    state: &State,
    caller: &Caller,
    collection: &str,
    body: &[u8],
) -> Result<Vec<u8>, Errors> {
    let changes: Vec<Map<String, Value>> = definition::parse_list(body)?;
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let mut names = Vec::with_capacity(changes.len());
    let work = async {
        let mut entries = Vec::with_capacity(changes.len());
        for each in &changes {
            let name = each.get("field").and_then(Value::as_str);
            let name = name.ok_or_else(|| Error::invalid_payload("\"field\" is required"))?;
            entries.push(alter(change.conn(), &snapshot, collection, name, each).await?);
            names.push(name.to_owned());
        }
        Ok(entries)
    };
    let work = work.await;
    let snapshot = change.finish(state, caller, work).await?;
    describe::fields_of(&snapshot, collection, &names)
}

/// Changes a field.
pub async fn alter(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    name: &str,
    changes: &Map<String, Value>,
) -> Result<Entry, Failure> {
    let column: Option<ColumnDefinition> = match changes.get("schema").filter(|schema| schema.is_object()) {
        Some(schema) => Some(definition::parse(schema.to_string().as_bytes())?),
        None => None,
    };
    change(conn, snapshot, collection, name, changes, column).await
}

/// Changes a field whose `schema` has been read.
pub(super) async fn change(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    name: &str,
    changes: &Map<String, Value>,
    column: Option<ColumnDefinition>,
) -> Result<Entry, Failure> {
    let owner = table(snapshot, collection)?;
    let field = owner.field(name).ok_or_else(Error::forbidden)?;
    let kind = changes.get("type").and_then(Value::as_str);
    let system = field.meta.as_ref().is_some_and(|meta| meta.system);
    let mut members = changes.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
    if system {
        // Of what is shipped only an index can be chosen.
        let only =
            |schema: &Value| schema.as_object().is_none_or(|s| s.keys().all(|key| key == "is_indexed"));
        if !members.is_empty() || kind.is_some() || !changes.get("schema").is_none_or(only) {
            let reason = format!("Only \"schema.is_indexed\" of the system field \"{name}\" can be changed");
            return Err(Error::invalid_payload(reason).into());
        }
    }
    metadata::changed(conn, &mut members, owner, field, kind).await?;
    if column.is_some() || kind.is_some() {
        alter_column(conn, &snapshot.catalog, owner, field, kind, column.unwrap_or_default()).await?;
    }
    if !members.is_empty() {
        meta::write(conn, &snapshot.catalog, meta::FIELDS, &[collection, name], &members).await?;
    }
    if metadata::hides(&members) {
        redact::ask(conn, collection, name).await?;
    }
    let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
    Ok(entry("update", collection, name).payload(Value::Object(changes.clone())).fields(changed))
}

async fn alter_column(
    conn: &mut PgConnection,
    catalog: &Catalog,
    owner: &CollectionEntry,
    field: &FieldEntry,
    kind: Option<&str>,
    mut change: ColumnDefinition,
) -> Result<(), Failure> {
    let wrong = |reason: &str| Failure::from(Error::invalid_payload(reason));
    let Some(column) = &field.column else {
        return match kind {
            None | Some("alias") => Ok(()),
            Some(_) => Err(wrong("An alias has no type to change")),
        };
    };
    if kind == Some("alias") {
        return Err(wrong("A field with values can't become an alias"));
    }
    if column.primary_key && change.is_nullable == Some(true) {
        return Err(wrong("The primary key can't be nullable"));
    }
    if change.is_primary_key.is_some_and(|key| key != column.primary_key) {
        return Err(wrong("The primary key of a collection can't be changed"));
    }
    let present = field.kind;
    let wanted = match kind {
        Some(kind) => definition::type_of(kind)?,
        None => present,
    };
    if column.primary_key && wanted != present {
        return Err(wrong("The type of a primary key can't be changed"));
    }
    geometry::change(conn, catalog, column, (present, wanted), &mut change).await?;
    let (mut change, retype) = completed(&change, column, present, wanted);
    let (collection, name) = (owner.name.as_str(), field.name.as_str());
    let mut statements = ddl::alter_column(collection, name, wanted, retype, &change)?;
    if retype {
        let marked = marks::wanted(owner, catalog).into_iter().filter(|index| index.field == name);
        search_indexes::drop_of(conn, marked.map(|index| index.name)).await?;
    }
    // Geometries have indexes of another kind: one that is there is made anew.
    let renewed = retype && column.indexed && ddl::is_geometry(present) != ddl::is_geometry(wanted);
    if renewed {
        statements.insert(0, ddl::drop_index(collection, name));
        change.is_indexed.get_or_insert(true);
    }
    if !column.primary_key {
        let has = (column.unique, column.indexed && !renewed);
        statements.extend(ddl::alter_indexes(collection, name, wanted, &change, has));
    }
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The change with what it leaves to the column as it is, and whether the column's type becomes another one.
fn completed(
    change: &ColumnDefinition,
    column: &ColumnRow,
    present: FieldType,
    wanted: FieldType,
) -> (ColumnDefinition, bool) {
    let mut change = change.clone();
    let resized = match wanted {
        FieldType::String | FieldType::Hash => change
            .max_length
            .is_some_and(|length| i64::from(length) != column.max_length.map_or(-1, i64::from)),
        FieldType::Decimal => {
            let differs = |wanted: Option<u16>, present: Option<i32>| {
                wanted.is_some_and(|wanted| Some(i32::from(wanted)) != present)
            };
            differs(change.numeric_precision, column.numeric_precision)
                || differs(change.numeric_scale, column.numeric_scale)
        }
        _ => false,
    };
    let retype = match &change.native {
        Some(native) => *native != column.column_type,
        None => resized || ddl::base_type(wanted) != ddl::base_type(present),
    };
    if retype && wanted == FieldType::Decimal && change.native.is_none() {
        let keep = |wanted: Option<u16>, present: Option<i32>| {
            wanted.or_else(|| present.and_then(|present| u16::try_from(present).ok()))
        };
        change.numeric_precision = keep(change.numeric_precision, column.numeric_precision);
        change.numeric_scale = keep(change.numeric_scale, column.numeric_scale);
    }
    if retype && change.default_value.is_none() && column.sequence.is_none() {
        // A new type drops the default with the old one; what it stood for is set again.
        change.default_value =
            column.default_value.as_deref().map(wire::default_value).filter(|value| !value.is_null());
    }
    if column.sequence.is_some() {
        change.default_value = None;
    }
    (change, retype)
}

/// `DELETE /fields/:collection/:field`: the column and what names it.
pub async fn delete(state: &State, caller: &Caller, collection: &str, name: &str) -> Result<(), Errors> {
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = remove(change.conn(), &snapshot, collection, name).await;
    change.finish(state, caller, work.map(|entry| vec![entry])).await?;
    Ok(())
}

/// Deletes a field.
pub async fn remove(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    name: &str,
) -> Result<Entry, Failure> {
    let owner = table(snapshot, collection)?;
    let field = owner.field(name).ok_or_else(Error::forbidden)?;
    if field.meta.as_ref().is_some_and(|meta| meta.system) || (owner.system && field.meta.is_none()) {
        return Err(Error::forbidden().into());
    }
    if let Some(column) = &field.column {
        if column.primary_key {
            return Err(Error::invalid_payload("The primary key can't be deleted").into());
        }
        let sql = format!("ALTER TABLE {} DROP COLUMN {}", ddl::table(collection), quote_identifier(name));
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    forget(conn, collection, name).await?;
    let previous = serde_json::to_value(wire::Field::of(owner, field)).unwrap_or_default();
    Ok(entry("delete", collection, name).previous(previous))
}

/// What the metadata tables know of a field. One made later under the name starts without rights.
async fn forget(conn: &mut PgConnection, collection: &str, field: &str) -> Result<(), Failure> {
    for sql in [
        // The other side of a reference: the alias that shows it.
        "DELETE FROM directus_fields f USING directus_relations r WHERE r.many_collection = $1 \
         AND r.many_field = $2 AND f.collection = r.one_collection AND f.field = r.one_field",
        "DELETE FROM directus_fields WHERE collection = $1 AND field = $2",
        "UPDATE directus_fields SET \"group\" = NULL WHERE collection = $1 AND \"group\" = $2",
        "DELETE FROM directus_relations WHERE many_collection = $1 AND many_field = $2",
        "UPDATE directus_relations SET one_field = NULL WHERE one_collection = $1 AND one_field = $2",
        "UPDATE directus_relations SET sort_field = NULL WHERE many_collection = $1 AND sort_field = $2",
        "UPDATE directus_relations SET junction_field = NULL WHERE many_collection = $1 AND junction_field = $2",
        "UPDATE directus_permissions SET fields = nullif(array_to_string(array_remove(string_to_array(fields, ','), $2), \
         ','), '') WHERE collection = $1",
        "UPDATE directus_collections SET sort_field = NULL WHERE collection = $1 AND sort_field = $2",
        "UPDATE directus_collections SET archive_field = NULL WHERE collection = $1 AND archive_field = $2",
    ] {
        sqlx::query(sql).bind(collection).bind(field).execute(&mut *conn).await?;
    }
    Ok(())
}

/// What is logged of a field.
pub(super) fn entry(action: &str, collection: &str, field: &str) -> Entry {
    Entry::new("fields", action, "directus_fields", &format!("{collection}.{field}"))
}

/// A collection that has a table; others have no fields.
fn table<'a>(snapshot: &'a Snapshot, collection: &str) -> Result<&'a CollectionEntry, Error> {
    describe::entry(snapshot, collection)
        .ok()
        .filter(|entry| entry.table.is_some())
        .ok_or_else(Error::forbidden)
}
