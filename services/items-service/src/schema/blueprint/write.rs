//! Making what a document has and the database has not: a statement per table, one per metadata table.

use std::collections::{HashMap, HashSet};

use model::Error;
use serde::Deserialize as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::apply::{Work, at};
use super::{Members, compare, native};
use crate::catalog::assemble::is_system;
use crate::failure::Failure;
use crate::schema::change::Entry;
use crate::schema::definition::{self, FieldDefinition, ForeignKeyDefinition, RelationDefinition};
use crate::schema::{collections, ddl, fields, geometry, meta, relations};
use crate::snapshot::Snapshot;

/// Makes collections with their fields, and fields of collections that are there.
pub async fn make(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    new_collections: &[&Work],
    new_fields: &[&Work],
) -> Result<Vec<Entry>, Failure> {
    let names: HashSet<&str> = new_collections.iter().map(|work| work.key.0.as_str()).collect();
    let mut by_collection: HashMap<&str, Vec<FieldDefinition>> = HashMap::new();
    let mut entries = Vec::new();
    let mut rows = Vec::with_capacity(new_fields.len());
    for work in new_fields {
        let collection = work.key.0.as_str();
        let mut definition = at(work, definition_of(work).map_err(Failure::from))?;
        at(work, geometry::place(conn, &snapshot.catalog, &mut definition).await)?;
        let system = is_system(collection);
        if let Some(members) = at(work, fields::metadata::row(conn, &definition, system).await)? {
            rows.push(keyed(members, &[("collection", collection), ("field", &work.key.1)]));
        }
        if names.contains(collection) {
            by_collection.entry(collection).or_default().push(definition);
        } else {
            entries.push(at(work, add(conn, snapshot, collection, &definition).await)?);
        }
    }
    let mut collection_rows = Vec::with_capacity(new_collections.len());
    for work in new_collections {
        let name = work.key.0.as_str();
        let fields = by_collection.remove(name).unwrap_or_default();
        entries.push(at(work, create(conn, snapshot, work, fields).await)?);
        if let Some(Value::Object(members)) = work.to.as_ref().and_then(|to| to.get("meta")) {
            collection_rows.push(keyed(members.clone(), &[("collection", name)]));
        }
    }
    insert_collections(conn, snapshot, collection_rows).await?;
    meta::insert(conn, &snapshot.catalog, meta::FIELDS, rows).await?;
    Ok(entries)
}

/// Metadata of collections. Folders may stand in each other in any order: where they stand is written last.
async fn insert_collections(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    mut rows: Vec<Members>,
) -> Result<(), Failure> {
    let groups: Vec<(String, String)> = rows
        .iter_mut()
        .filter_map(|row| match row.remove("group") {
            Some(Value::String(group)) => Some((row.get("collection")?.as_str()?.to_owned(), group)),
            _ => None,
        })
        .collect();
    meta::insert(conn, &snapshot.catalog, meta::COLLECTIONS, rows).await?;
    let (names, groups): (Vec<String>, Vec<String>) = groups.into_iter().unzip();
    let sql = "UPDATE directus_collections m SET \"group\" = g.name \
               FROM unnest($1::text[], $2::text[]) AS g (collection, name) WHERE m.collection = g.collection";
    let placed = sqlx::query(sql).bind(names).bind(groups).execute(conn).await;
    placed.map(|_| ()).map_err(|error| {
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("23503") => Error::invalid_payload("The \"group\" of a collection doesn't exist").into(),
            _ => error.into(),
        }
    })
}

/// The table of a collection; a folder has none.
async fn create(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    work: &Work,
    mut fields: Vec<FieldDefinition>,
) -> Result<Entry, Failure> {
    let name = work.key.0.as_str();
    let wrong = |reason: &str| Failure::from(Error::invalid_payload(reason));
    definition::check_collection_name(name)?;
    collections::refuse_existing(conn, &snapshot.catalog, name).await?;
    let to = work.to.as_ref().ok_or_else(Error::internal)?;
    let meta = to.get("meta").filter(|meta| !meta.is_null());
    let payload = json!({
        "collection": name, "meta": meta, "schema": to.get("schema"), "fields": fields,
    });
    if to.get("schema").is_some_and(Value::is_object) {
        let given = fields.len();
        collections::with_key(&mut fields)?;
        let mut statements = vec![ddl::create_table(name, &fields)?];
        statements.extend(fields.iter().flat_map(|field| ddl::after_column(name, field)));
        run(conn, &statements).await?;
        if fields.len() > given {
            // A key that nobody wanted is not tracked: the document doesn't have it.
            tracing::debug!(collection = name, "made with a key of its own");
        }
    } else if meta.is_none() {
        return Err(wrong("a folder is nothing but its \"meta\""));
    } else if fields.iter().any(|field| !field.is_alias()) {
        return Err(wrong("a folder has no fields"));
    }
    Ok(Entry::new("collections", "create", "directus_collections", name).payload(payload))
}

/// A field of a collection that is there; its metadata comes later.
async fn add(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &FieldDefinition,
) -> Result<Entry, Failure> {
    let owner = snapshot.catalog.collections.get(collection).filter(|entry| entry.table.is_some());
    if owner.is_none() {
        let reason = format!("collection \"{collection}\" doesn't exist");
        return Err(Error::invalid_payload(reason).into());
    }
    let mut statements = Vec::new();
    if !field.is_alias() {
        statements.push(ddl::add_column(collection, field)?);
        statements.extend(ddl::after_column(collection, field));
    }
    run(conn, &statements).await?;
    let payload = serde_json::to_value(field).map_err(|_| Error::internal())?;
    Ok(fields::entry("create", collection, &field.field).payload(payload))
}

/// Statements without parameters, in one go.
async fn run(conn: &mut PgConnection, statements: &[String]) -> Result<(), Failure> {
    if !statements.is_empty() {
        sqlx::raw_sql(AssertSqlSafe(statements.join(";\n"))).execute(conn).await?;
    }
    Ok(())
}

/// What a document says of a field, as a definition.
pub fn definition_of(work: &Work) -> Result<FieldDefinition, Error> {
    let mut entry = work.to.clone().ok_or_else(Error::internal)?;
    compare::original_type(&mut entry);
    definition::check_field_name(&work.key.1)?;
    refuse_generated(&entry)?;
    let native = native::column_type(&entry);
    let read = FieldDefinition::deserialize(Value::Object(entry));
    let mut definition = read.map_err(|error| Error::invalid_payload(error.to_string()))?;
    if let Some(column) = &mut definition.schema {
        column.native = native;
    }
    Ok(definition)
}

fn refuse_generated(entry: &Members) -> Result<(), Error> {
    let schema = entry.get("schema");
    if schema.is_some_and(|schema| schema["is_generated"] == json!(true)) {
        return Err(Error::invalid_payload("a generated column can't be made from a document"));
    }
    Ok(())
}

/// A relation.
pub async fn relation(conn: &mut PgConnection, snapshot: &Snapshot, work: &Work) -> Result<Entry, Failure> {
    let to = work.to.as_ref().ok_or_else(Error::internal)?;
    let schema = to.get("schema").filter(|schema| schema.is_object()).map(rules).transpose()?;
    let definition = RelationDefinition {
        collection: work.key.0.clone(),
        field: work.key.1.clone(),
        related_collection: to.get("related_collection").and_then(Value::as_str).map(str::to_owned),
        meta: to.get("meta").and_then(Value::as_object).cloned(),
        schema: schema.map(Some),
    };
    relations::make(conn, snapshot, &definition).await
}

/// The foreign key that a document wants.
pub fn rules(schema: &Value) -> Result<ForeignKeyDefinition, Error> {
    let read = ForeignKeyDefinition::deserialize(schema);
    read.map_err(|error| Error::invalid_payload(error.to_string()))
}

fn keyed(mut members: Members, key: &[(&str, &str)]) -> Members {
    for (name, value) in key {
        members.insert((*name).to_owned(), Value::from(*value));
    }
    members
}
