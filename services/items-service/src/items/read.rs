//! Reading: query -> plan -> one statement -> JSON bytes.

use std::borrow::Cow;

use bytes::Bytes;
use model::{Collection, Error, ErrorCode, Errors, Filter, Operator};
use planner::Statement;
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::cursor::Cursor;
use super::update::checked_keys;
use super::write::Tries;
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// The query of a request; absent means the default one.
pub fn query(bytes: &[u8]) -> Result<Query, Error> {
    if bytes.is_empty() { Ok(Query::default()) } else { Query::from_bytes(bytes) }
}

/// Nothing is written here: a value that PostgreSQL can't read stands in the filter.
pub(super) fn of_the_query(mut errors: Errors) -> Errors {
    for error in &mut errors.0 {
        if matches!(error.code, ErrorCode::InvalidPayload | ErrorCode::ValueOutOfRange) {
            *error = Error::invalid_query("A value does not fit the type of its field");
        }
    }
    errors
}

/// Permissions are listed whole, as in the original: half of somebody's rules says nothing.
fn whole<'a>(query: &'a Query, collection: &str) -> Cow<'a, Query> {
    match collection {
        "directus_permissions" => Cow::Owned(Query { limit: Some(-1), ..query.clone() }),
        _ => Cow::Borrowed(query),
    }
}

/// The query, of the items with these keys only.
fn limited(query: &Query, keys: &[String], collection: &Collection) -> Result<Query, Error> {
    let keys = checked_keys(keys, collection)?;
    let own = Filter::Compare {
        field: collection.primary_key.clone(),
        function: None,
        operator: Operator::In,
        value: keys.into(),
    };
    let filter = query.filter.clone().into_iter().chain([own]).collect();
    Ok(Query { filter: Some(Filter::And(filter)), ..query.clone() })
}

/// A count, where the query asked for it.
pub(super) fn count(row: &PgRow, wanted: bool, name: &str) -> Result<Option<i64>, sqlx::Error> {
    wanted.then(|| row.try_get(name)).transpose()
}

/// How many items PostgreSQL expects.
async fn estimated(state: &State, statement: &Statement) -> Result<i64, Failure> {
    let rows = execute::rows_alone(&state.db, statement).await?;
    let plan: Value = rows.first().ok_or_else(Error::internal)?.try_get(0)?;
    plan[0]["Plan"]["Plan Rows"].as_i64().ok_or_else(|| Error::internal().into())
}

/// Answers a list.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::ReadItemsRequest,
) -> Result<pb::ReadItemsResponse, Errors> {
    let query = query(&request.query)?;
    let asking = state.asking(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let reader = asking.reader(&snapshot);
            let collection = snapshot.collection(&request.collection)?;
            let query = whole(&query, &collection.name);
            let query = match &request.keys {
                Some(keys) => Cow::Owned(limited(&query, &keys.keys, collection)?),
                None => query,
            };
            let cursor = Cursor::of(&query, collection, reader, &state.cursors)?;
            let plan = match &cursor {
                Some(cursor) => planner::plan_page(&query, collection, reader, cursor.after())?,
                None => planner::plan_read(&query, collection, reader)?,
            };
            let estimate = match query.meta.filter_count_estimate {
                true => Some(estimated(state, &planner::plan_estimate(&query, collection, reader)?).await?),
                false => None,
            };
            let rows = execute::rows_alone(&state.db, &plan.statement).await?;
            let row = rows.first().ok_or_else(Error::internal)?;
            Ok(pb::ReadItemsResponse {
                items: Bytes::from(row.try_get::<String, _>("items").map_err(Failure::Sql)?),
                total_count: count(row, query.meta.total_count, "total_count")?,
                filter_count: count(row, query.meta.filter_count, "filter_count")?,
                filter_count_estimate: estimate,
                next_cursor: cursor.map(|cursor| cursor.next(row, &state.cursors)).transpose()?,
            })
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

/// Answers for one item.
pub async fn item(
    state: &State,
    caller: &Caller,
    request: pb::ReadItemRequest,
) -> Result<pb::ReadItemResponse, Errors> {
    let query = query(&request.query)?;
    let asking = state.asking(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let reader = asking.reader(&snapshot);
            let collection = snapshot.collection(&request.collection)?;
            let plan = planner::plan_read_one(&request.key, &query, collection, reader)?;
            let rows = execute::rows_alone(&state.db, &plan.statement).await?;
            let row = rows.first().ok_or_else(Error::forbidden)?;
            Ok(pb::ReadItemResponse { item: Bytes::from(row.try_get::<String, _>("item")?) })
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}
