//! How a list would be answered: the plan, its SQL, and PostgreSQL's own plan. Values are not told, but for those that
//! PostgreSQL shows in its conditions.

use bytes::Bytes;
use model::{Error, Errors};
use planner::Reader;
use proto::items::v1 as pb;
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::cursor::Cursor;
use super::moment;
use super::read::{Wanted, bounds, of_the_query, query};
use super::write::Tries;
use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Explains a list, to administrators.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::ExplainItemsRequest,
) -> Result<pb::ExplainItemsResponse, Errors> {
    if !caller.accountability.admin {
        return Err(Error::forbidden().into());
    }
    let asking = state.asking(caller).await?;
    let mut tries = Tries::default();
    loop {
        let snapshot = state.snapshots.present();
        match explain(state, &request, &snapshot, asking.reader(&snapshot)).await {
            Ok(explanation) => {
                return Ok(pb::ExplainItemsResponse { explanation: Bytes::from(explanation.to_string()) });
            }
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

async fn explain(
    state: &State,
    request: &pb::ExplainItemsRequest,
    snapshot: &Snapshot,
    reader: Reader<'_>,
) -> Result<Value, Failure> {
    let name = &request.collection;
    let collection = reader.schema.collection(name).ok_or_else(|| Error::forbidden_collection(name))?;
    let reader = bounds(reader, collection);
    let wanted =
        Wanted { collection: name.clone(), query: query(&request.query)?, keys: request.keys.clone() };
    let query = wanted.query(collection)?;
    let past = moment::schema(state, snapshot, &query).await?;
    let (collection, reader) = moment::within(past.as_ref(), collection, reader)?;
    let cursor = Cursor::of(&query, collection, reader, &state.cursors)?;
    let plan = match &cursor {
        Some(cursor) => planner::plan_page(&query, collection, reader, cursor.after())?,
        None => planner::plan_read(&query, collection, reader)?,
    };
    let statement = plan.statement;
    let mut transaction = execute::begin(&state.db).await?;
    sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *transaction).await?;
    let rows = execute::rows_passing(&mut transaction, &statement.explained(request.analyze)).await?;
    transaction.rollback().await?;
    let row = rows.first().ok_or_else(Error::internal)?;
    let types: Vec<&str> = statement.bindings.iter().map(planner::Binding::type_name).collect();
    Ok(json!({
        "plan": planner::tree(&query, collection, reader).shape,
        "statement": statement.name,
        "sql": &*statement.sql,
        "bindings": types,
        "explain": row.try_get::<Value, _>(0)?,
    }))
}
