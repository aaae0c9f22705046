//! Changing what is there into what a document wants of it.

use model::{Error, quote_identifier};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::apply::Work;
use super::{Kind, Members, native, write};
use crate::failure::Failure;
use crate::schema::change::Entry;
use crate::schema::definition::ColumnDefinition;
use crate::schema::{collections, ddl, describe, fields, meta, relations};
use crate::snapshot::Snapshot;

/// Members of a column that follow from something else.
const DERIVED: [&str; 5] = ["name", "table", "data_type", "foreign_key_table", "foreign_key_column"];
/// Members of a column that can't be changed.
const FIXED: [&str; 3] = ["is_generated", "generation_expression", "has_auto_increment"];

/// A field that gets or loses its column: it goes, and another one comes.
pub fn is_replaced(work: &Work) -> bool {
    let is_alias = |entry: &Members| entry.get("type").is_some_and(|kind| kind == "alias");
    match (&work.from, &work.to) {
        (Some(from), Some(to)) => work.kind == Kind::Field && is_alias(from) != is_alias(to),
        _ => false,
    }
}

/// Metadata of a collection.
pub async fn collection(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    work: &Work,
) -> Result<Option<Entry>, Failure> {
    let (from, to) = both(work)?;
    let name = work.key.0.as_str();
    if from.contains_key("schema") != to.contains_key("schema") {
        let reason = "a collection can't become a folder, nor a folder a collection";
        return Err(Error::invalid_payload(reason).into());
    }
    if untracked(to) {
        forget(conn, meta::COLLECTIONS, &[name]).await?;
        return Ok(Some(Entry::new("collections", "update", "directus_collections", name).fields(["meta"])));
    }
    let members = changed(from, to, "meta");
    if untracked(from) {
        // Even without a member said, it has metadata now.
        meta::write(conn, &snapshot.catalog, meta::COLLECTIONS, &[name], &members).await?;
        let entry = Entry::new("collections", "update", "directus_collections", name);
        return Ok(Some(entry.payload(json!({"meta": members})).fields(["meta"])));
    }
    let changes = Map::from_iter([("meta".to_owned(), Value::Object(members))]);
    collections::alter(conn, snapshot, name, &changes).await
}

/// Column and metadata of a field.
pub async fn field(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    work: &Work,
) -> Result<Option<Entry>, Failure> {
    let (from, to) = both(work)?;
    let (collection, name) = (work.key.0.as_str(), work.key.1.as_str());
    let mut schema = changed(from, to, "schema");
    let retyped = native::column_type(to).filter(|wanted| native::column_type(from).as_ref() != Some(wanted));
    if let Some(fixed) = FIXED.iter().find(|fixed| schema.contains_key(**fixed)) {
        return Err(Error::invalid_payload(format!("\"schema.{fixed}\" can't be changed")).into());
    }
    schema.retain(|member, _| !DERIVED.contains(&member.as_str()));
    let mut changes = Map::new();
    if from.get("type") != to.get("type") {
        changes.insert("type".to_owned(), to.get("type").cloned().unwrap_or_default());
    }
    let members = changed(from, to, "meta");
    if !members.is_empty() {
        changes.insert("meta".to_owned(), Value::Object(members));
    }
    let mut column = ColumnDefinition::deserialize(Value::Object(schema.clone()))
        .map_err(|error| Error::invalid_payload(error.to_string()))?;
    column.native = retyped;
    let column = (!schema.is_empty() || column.native.is_some()).then_some(column);
    if !schema.is_empty() {
        changes.insert("schema".to_owned(), Value::Object(schema));
    }
    if untracked(from) && !untracked(to) {
        let members = Map::new();
        meta::write(conn, &snapshot.catalog, meta::FIELDS, &[collection, name], &members).await?;
    }
    if untracked(to) && !untracked(from) {
        forget(conn, meta::FIELDS, &[collection, name]).await?;
    }
    if changes.is_empty() && column.is_none() && untracked(from) == untracked(to) {
        return Ok(None);
    }
    fields::change(conn, snapshot, collection, name, &changes, column).await.map(Some)
}

/// The index of a system field.
pub async fn index(conn: &mut PgConnection, snapshot: &Snapshot, work: &Work) -> Result<Entry, Failure> {
    let (collection, name) = (work.key.0.as_str(), work.key.1.as_str());
    let wanted = work.to.as_ref().and_then(|to| to.get("schema")).map(|schema| schema["is_indexed"].clone());
    let Some(Value::Bool(wanted)) = wanted else {
        return Err(Error::invalid_payload("\"schema.is_indexed\" must be a boolean").into());
    };
    let field = snapshot.catalog.field(collection, name);
    if !field.and_then(|field| field.meta.as_ref()).is_some_and(|meta| meta.system) {
        return Err(Error::invalid_payload("it is no field of the system").into());
    }
    let changes = Map::from_iter([("schema".to_owned(), json!({"is_indexed": wanted}))]);
    fields::alter(conn, snapshot, collection, name, &changes).await
}

/// Foreign key and metadata of a relation.
pub async fn relation(conn: &mut PgConnection, snapshot: &Snapshot, work: &Work) -> Result<Entry, Failure> {
    let (from, to) = both(work)?;
    let (collection, field) = (work.key.0.as_str(), work.key.1.as_str());
    let related = to.get("related_collection").and_then(Value::as_str);
    let moved = from.get("related_collection") != to.get("related_collection");
    if moved || from.get("schema") != to.get("schema") {
        if let Some(present) = snapshot.catalog.relation(collection, field).and_then(|held| held.key.as_ref())
        {
            let sql = ddl::drop_constraint(collection, &present.constraint_name);
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        if let (Some(schema), Some(related)) = (to.get("schema"), related) {
            let one = describe::entry(snapshot, related)?;
            let key = one.key().ok_or_else(Error::forbidden)?;
            let sql = relations::add_key(collection, field, related, &key.name, &write::rules(schema)?)?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
    }
    let mut members = changed(from, to, "meta");
    if moved || untracked(from) {
        members.insert("one_collection".to_owned(), related.map_or(Value::Null, Value::from));
    }
    relations::list(&mut members);
    if untracked(to) {
        forget(conn, meta::RELATIONS, &[collection, field]).await?;
    } else if !members.is_empty() {
        meta::write(conn, &snapshot.catalog, meta::RELATIONS, &[collection, field], &members).await?;
    }
    let changed =
        ["meta", "schema", "related_collection"].into_iter().filter(|name| from.get(*name) != to.get(*name));
    let changed: Vec<&str> = changed.collect();
    let payload: Members =
        changed.iter().map(|name| ((*name).to_owned(), to.get(*name).cloned().unwrap_or_default())).collect();
    Ok(relations::entry("update", collection, field).payload(Value::Object(payload)).fields(changed))
}

fn both(work: &Work) -> Result<(&Members, &Members), Error> {
    work.from.as_ref().zip(work.to.as_ref()).ok_or_else(Error::internal)
}

fn untracked(entry: &Members) -> bool {
    entry.get("meta").is_none_or(Value::is_null)
}

/// Members of an object member that are wanted to be otherwise. What is not said stays as it is.
fn changed(from: &Members, to: &Members, name: &str) -> Members {
    let Some(Value::Object(then)) = to.get(name) else { return Map::new() };
    let now = from.get(name).and_then(Value::as_object);
    let differs =
        |(member, value): &(&String, &Value)| now.is_none_or(|now| now.get(*member) != Some(*value));
    then.iter().filter(differs).map(|(member, value)| (member.clone(), value.clone())).collect()
}

/// Takes an entry's metadata away: it is untracked from now on.
async fn forget(conn: &mut PgConnection, table: meta::Table, key: &[&str]) -> Result<(), Failure> {
    let matched: Vec<String> =
        (1..).zip(table.key).map(|(place, name)| format!("{} = ${place}", quote_identifier(name))).collect();
    let sql = format!("DELETE FROM {} WHERE {}", table.name, matched.join(" AND "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in key {
        query = query.bind(*value);
    }
    query.execute(conn).await?;
    Ok(())
}
