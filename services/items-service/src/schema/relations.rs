//! Making many-to-one references.

use model::{Error, Errors, quote_identifier};
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::change::{Change, Entry};
use super::definition::{self, RelationDefinition};
use super::{ddl, describe, meta};
use crate::state::State;

/// `POST /relations`: foreign key and metadata in one transaction.
///
/// A change that PostgreSQL makes by itself (`CASCADE`, `SET NULL`) would leave no event, so such a reference is
/// refused until our own statements make and log it.
pub async fn create(state: &State, caller: &Caller, body: &[u8]) -> Result<Value, Errors> {
    let definition: RelationDefinition = definition::parse(body)?;
    let snapshot = state.snapshots.present();
    let many = snapshot.collection(&definition.collection)?;
    if many.system {
        return Err(Error::forbidden().into());
    }
    let field = many.field(&definition.field).ok_or_else(Error::forbidden)?;
    let Some(related) = &definition.related_collection else {
        return Err(Error::invalid_payload("Many-to-any relations are not supported yet").into());
    };
    let one = snapshot.collection(related)?;
    let on_delete = definition.schema.as_ref().and_then(|schema| schema.on_delete.as_deref());
    let rule = match on_delete.map(str::to_uppercase).as_deref() {
        None | Some("NO ACTION") => "NO ACTION",
        Some("RESTRICT") => "RESTRICT",
        Some(other) => {
            return Err(Error::invalid_payload(format!("\"on_delete\" {other} is not supported yet")).into());
        }
    };
    let constraint = ddl::index_name(&many.name, &field.name, "foreign");
    let sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {rule}",
        ddl::table(&many.name),
        quote_identifier(&constraint),
        quote_identifier(&field.name),
        ddl::table(&one.name),
        quote_identifier(&one.primary_key),
    );
    let mut members = definition.meta.clone().unwrap_or_default();
    members.insert("one_collection".to_owned(), Value::from(related.as_str()));
    let key = format!("{}.{}", many.name, field.name);
    let mut change = Change::begin(state).await?;
    let work = async {
        let conn = change.conn();
        sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *conn).await?;
        meta::write(conn, &snapshot, meta::RELATIONS, &[&many.name, &field.name], &members).await?;
        let payload = json!({"collection": many.name, "field": field.name, "related_collection": related});
        Ok(vec![Entry::new("relations", "create", "directus_relations", &key).payload(payload)])
    };
    let work = work.await;
    change.finish(state, caller, work).await?;
    let all = describe::relations(state, &many.name).await?;
    let made = all.as_array().and_then(|all| all.iter().find(|relation| relation["field"] == *field.name));
    made.cloned().ok_or_else(|| Error::internal().into())
}
