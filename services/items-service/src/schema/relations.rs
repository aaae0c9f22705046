//! Making, changing and deleting relations.

use model::{Error, Errors, FieldType};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Change, Entry};
use super::definition::{self, ForeignKeyDefinition, RelationDefinition};
use super::{ddl, describe, meta};
use crate::catalog::rows::ForeignKeyRow;
use crate::catalog::{CollectionEntry, RelationEntry, wire};
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// `POST /relations`: foreign key and metadata in one transaction.
pub async fn create(state: &State, caller: &Caller, body: &[u8]) -> Result<Vec<u8>, Errors> {
    let definition: RelationDefinition = definition::parse(body)?;
    let (collection, field) = (definition.collection.clone(), definition.field.clone());
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = make(change.conn(), &snapshot, &definition).await;
    let snapshot = change.finish(state, caller, work.map(|entry| vec![entry])).await?;
    describe::relation(&snapshot, &collection, &field)
}

/// Makes a relation.
pub async fn make(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    definition: &RelationDefinition,
) -> Result<Entry, Failure> {
    let RelationDefinition { collection, field, related_collection, .. } = definition;
    let wrong = |reason: String| Failure::from(Error::invalid_payload(reason));
    let many = snapshot.catalog.collections.get(collection).filter(|entry| entry.table.is_some());
    let many = many.ok_or_else(|| wrong(format!("Collection \"{collection}\" doesn't exist")))?;
    let column = many.field(field).and_then(|field| field.column.as_ref());
    let column = column
        .ok_or_else(|| wrong(format!("Field \"{field}\" doesn't exist in \"{collection}\" collection")))?;
    if column.primary_key {
        return Err(wrong(format!("Field \"{field}\" is a primary key: it can't be a reference")));
    }
    if many.field(field).and_then(|field| field.meta.as_ref()).is_some_and(|meta| meta.system) {
        return Err(wrong(format!("Field \"{field}\" is the system's own")));
    }
    let present = snapshot.catalog.relation(collection, field);
    if present.is_some_and(|relation| relation.meta.is_some()) {
        return Err(wrong(format!("Field \"{field}\" in \"{collection}\" already has a relation")));
    }
    let mut members = definition.meta.clone().unwrap_or_default();
    if let Some(related) = related_collection {
        let one = snapshot.catalog.collections.get(related).filter(|entry| entry.table.is_some());
        let one = one.ok_or_else(|| wrong(format!("Collection \"{related}\" doesn't exist")))?;
        let key = one.key().ok_or_else(|| wrong(format!("\"{related}\" has no primary key")))?;
        let has_key = present.is_some_and(|relation| relation.key.is_some());
        if let Some(schema) = definition.schema.as_ref().filter(|_| !has_key) {
            let sql = add_key(collection, field, related, &key.name, &schema.clone().unwrap_or_default())?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        if let Some(sql) = index(many, field, &members).filter(|_| has_key || definition.schema.is_some()) {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
        members.insert("one_collection".to_owned(), Value::from(related.as_str()));
    } else if !members.get("one_allowed_collections").is_some_and(Value::is_array) {
        return Err(wrong("\"related_collection\" or \"meta.one_allowed_collections\" is required".into()));
    }
    list(&mut members);
    meta::write(conn, &snapshot.catalog, meta::RELATIONS, &[collection, field], &members).await?;
    let payload = json!({
        "collection": collection, "field": field, "related_collection": related_collection,
        "meta": definition.meta, "schema": definition.schema.as_ref().and_then(Option::as_ref),
    });
    Ok(entry("create", collection, field).payload(payload))
}

/// The statement that makes the index of a reference: who is referred to asks who refers, page by page. Nothing where
/// the field cannot be in it.
fn index(many: &CollectionEntry, field: &str, members: &Map<String, Value>) -> Option<String> {
    let key = many.key()?.name.as_str();
    // Of small values only: a text might not fit into an index.
    let small = |name: &str, kinds: &[FieldType]| {
        let fits =
            many.field(name).is_some_and(|field| field.column.is_some() && kinds.contains(&field.kind));
        name != key && name != field && fits
    };
    let named = |member: &str, kinds: &[FieldType]| {
        members.get(member).and_then(Value::as_str).filter(|name| small(name, kinds))
    };
    let sort_field = named("sort_field", &[FieldType::Integer, FieldType::BigInteger]);
    let other = named("junction_field", &[FieldType::Integer, FieldType::BigInteger, FieldType::Uuid]);
    let order: Vec<&str> = sort_field.into_iter().chain([key]).collect();
    Some(ddl::create_reference_index(&many.name, field, &order, other.filter(|name| !order.contains(name))))
}

/// The statement that makes a foreign key.
pub(super) fn add_key(
    collection: &str,
    field: &str,
    related: &str,
    key: &str,
    rules: &ForeignKeyDefinition,
) -> Result<String, Error> {
    let constraint = rules.constraint_name.clone();
    if let Some(name) = &constraint {
        definition::check_constraint_name(name)?;
    }
    Ok(ddl::add_foreign_key(&ForeignKeyRow {
        constraint_name: constraint.unwrap_or_else(|| ddl::index_name(collection, field, "foreign")),
        table: collection.to_owned(),
        column: field.to_owned(),
        foreign_key_schema: "public".to_owned(),
        foreign_key_table: related.to_owned(),
        foreign_key_column: key.to_owned(),
        on_update: rule(rules.on_update.as_deref(), "on_update")?.to_owned(),
        on_delete: rule(rules.on_delete.as_deref(), "on_delete")?.to_owned(),
    }))
}

/// A referential action by its name.
fn rule(name: Option<&str>, member: &str) -> Result<&'static str, Error> {
    const RULES: [&str; 5] = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"];
    let Some(name) = name else { return Ok(RULES[0]) };
    let known = RULES.into_iter().find(|rule| rule.eq_ignore_ascii_case(name));
    known.ok_or_else(|| Error::invalid_payload(format!("\"{member}\" {name} is no referential action")))
}

/// Lists stand comma-separated in the table.
pub(super) fn list(members: &mut Map<String, Value>) {
    if let Some(Value::Array(names)) = members.get("one_allowed_collections") {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        members.insert("one_allowed_collections".to_owned(), Value::from(names.join(",")));
    }
}

/// `PATCH /relations/:collection/:field`: metadata and the rules of the foreign key.
pub async fn update(
    state: &State,
    caller: &Caller,
    collection: &str,
    field: &str,
    body: &[u8],
) -> Result<Vec<u8>, Errors> {
    let changes: Map<String, Value> = definition::parse(body)?;
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = alter(change.conn(), &snapshot, collection, field, &changes).await;
    let snapshot = change.finish(state, caller, work.map(|entry| vec![entry])).await?;
    describe::relation(&snapshot, collection, field)
}

/// Changes a relation.
pub async fn alter(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &str,
    changes: &Map<String, Value>,
) -> Result<Entry, Failure> {
    let present = held(snapshot, collection, field)?;
    if present.meta.as_ref().is_some_and(|meta| meta.system) {
        return Err(Error::forbidden().into());
    }
    if let Some(schema) = changes.get("schema").filter(|schema| schema.is_object())
        && let Some(related) = &present.related
    {
        let rules: ForeignKeyDefinition = definition::parse(schema.to_string().as_bytes())?;
        let one = describe::entry(snapshot, related)?;
        let key = one.key().ok_or_else(Error::forbidden)?;
        if let Some(old) = &present.key {
            let rules = ForeignKeyDefinition {
                constraint_name: Some(old.constraint_name.clone()),
                on_delete: rules.on_delete.or_else(|| Some(old.on_delete.clone())),
                on_update: rules.on_update.or_else(|| Some(old.on_update.clone())),
            };
            let sql = add_key(collection, field, related, &old.foreign_key_column, &rules)?;
            sqlx::query(AssertSqlSafe(ddl::drop_constraint(collection, &old.constraint_name)))
                .execute(&mut *conn)
                .await?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        } else {
            let sql = add_key(collection, field, related, &key.name, &rules)?;
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
        }
    }
    if let Some(members) = changes.get("meta").and_then(Value::as_object) {
        let mut members = members.clone();
        list(&mut members);
        if present.meta.is_none()
            && let Some(related) = &present.related
        {
            members.insert("one_collection".to_owned(), Value::from(related.as_str()));
        }
        meta::write(conn, &snapshot.catalog, meta::RELATIONS, &[collection, field], &members).await?;
    }
    let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
    Ok(entry("update", collection, field).payload(Value::Object(changes.clone())).fields(changed))
}

/// `DELETE /relations/:collection/:field`: the foreign key and the metadata; the field stays.
pub async fn delete(state: &State, caller: &Caller, collection: &str, field: &str) -> Result<(), Errors> {
    let mut change = Change::begin(state).await?;
    let snapshot = change.snapshot();
    let work = remove(change.conn(), &snapshot, collection, field).await;
    change.finish(state, caller, work.map(|entry| vec![entry])).await?;
    Ok(())
}

/// Deletes a relation.
pub async fn remove(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &str,
    field: &str,
) -> Result<Entry, Failure> {
    let many = describe::entry(snapshot, collection)?;
    let present = held(snapshot, collection, field)?;
    if present.meta.as_ref().is_some_and(|meta| meta.system) {
        return Err(Error::forbidden().into());
    }
    if let Some(key) = &present.key {
        sqlx::query(AssertSqlSafe(ddl::drop_constraint(collection, &key.constraint_name)))
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query(AssertSqlSafe(ddl::drop_reference_index(collection, field))).execute(&mut *conn).await?;
    sqlx::query("DELETE FROM directus_relations WHERE many_collection = $1 AND many_field = $2")
        .bind(collection)
        .bind(field)
        .execute(&mut *conn)
        .await?;
    let previous = serde_json::to_value(wire::Relation::of(many, present)).unwrap_or_default();
    Ok(entry("delete", collection, field).previous(previous))
}

/// A relation that is there.
fn held<'a>(snapshot: &'a Snapshot, collection: &str, field: &str) -> Result<&'a RelationEntry, Error> {
    describe::entry(snapshot, collection)?;
    snapshot.catalog.relation(collection, field).ok_or_else(|| {
        Error::invalid_payload(format!("Field \"{field}\" in \"{collection}\" has no relation"))
    })
}

/// What is logged of a relation.
pub(super) fn entry(action: &str, collection: &str, field: &str) -> Entry {
    Entry::new("relations", action, "directus_relations", &format!("{collection}.{field}"))
}

#[cfg(test)]
mod tests {
    use super::{add_key, rule};
    use crate::schema::definition::ForeignKeyDefinition;

    #[test]
    fn rules_are_known_words() {
        assert_eq!(rule(Some("set null"), "on_delete").unwrap(), "SET NULL");
        assert!(rule(Some("CASCADE; DROP TABLE x"), "on_delete").is_err());
        let sql = add_key("a\"b", "f", "one", "id", &ForeignKeyDefinition::default()).unwrap();
        assert_eq!(
            sql,
            "ALTER TABLE \"public\".\"a\"\"b\" ADD CONSTRAINT \"a\"\"b_f_foreign\" FOREIGN KEY (\"f\") \
             REFERENCES \"public\".\"one\" (\"id\") ON UPDATE NO ACTION ON DELETE NO ACTION"
        );
    }
}
