//! Reading: query -> plan -> one statement -> JSON bytes.

use std::borrow::Cow;

use bytes::Bytes;
use model::{Collection, Error, ErrorCode, Errors, Filter, Operator};
use planner::{Limits, Reader};
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
pub fn of_the_query(mut errors: Errors) -> Errors {
    for error in &mut errors.0 {
        if matches!(error.code, ErrorCode::InvalidPayload | ErrorCode::ValueOutOfRange) {
            *error = Error::invalid_query("A value does not fit the type of its field");
        }
    }
    errors
}

/// Permissions are listed whole, as in the original: half of somebody's rules says nothing.
const WHOLE: &str = "directus_permissions";

/// Who reads a collection, and how much of it.
pub fn bounds<'a>(reader: Reader<'a>, collection: &Collection) -> Reader<'a> {
    let max = reader.limits.max.filter(|_| collection.name != WHOLE);
    Reader { limits: Limits { max, ..reader.limits }, ..reader }
}

/// A list that is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of these items,
    pub collection: String,
    /// those that fit,
    pub query: Query,
    /// with these keys only, where some are named.
    pub keys: Option<pb::Keys>,
}

impl Wanted {
    /// The query that says it all.
    pub fn query(&self, collection: &Collection) -> Result<Cow<'_, Query>, Error> {
        let query = match collection.name == WHOLE {
            true => Cow::Owned(Query { limit: Some(-1), ..self.query.clone() }),
            false => Cow::Borrowed(&self.query),
        };
        match &self.keys {
            Some(keys) => limited(&query, &keys.keys, collection).map(Cow::Owned),
            None => Ok(query),
        }
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
pub fn count(row: &PgRow, wanted: bool, name: &str) -> Result<Option<i64>, sqlx::Error> {
    wanted.then(|| row.try_get(name)).transpose()
}

/// How many items PostgreSQL expects to fit, where the query asked for that.
async fn estimate(
    state: &State,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Option<i64>, Failure> {
    if !query.meta.filter_count_estimate {
        return Ok(None);
    }
    let rows = execute::rows_alone(&state.db, &planner::plan_estimate(query, collection, reader)?).await?;
    expected(&rows).map(Some)
}

/// What a plan of PostgreSQL's says.
pub fn expected(rows: &[PgRow]) -> Result<i64, Failure> {
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
    let wanted = Wanted { collection: request.collection, query, keys: request.keys };
    let asking = state.asking(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let collection = snapshot.collection(&wanted.collection)?;
            let reader = bounds(asking.reader(&snapshot), collection);
            let query = wanted.query(collection)?;
            let cursor = Cursor::of(&query, collection, reader, &state.cursors)?;
            let plan = match &cursor {
                Some(cursor) => planner::plan_page(&query, collection, reader, cursor.after())?,
                None => planner::plan_read(&query, collection, reader)?,
            };
            // Only after the plan: who may not read learns nothing.
            if cursor.is_none() && planner::is_large(&query, collection, reader.limits)? {
                return Ok(pb::ReadItemsResponse { too_many: true, ..pb::ReadItemsResponse::default() });
            }
            let estimate = estimate(state, &query, collection, reader).await?;
            let rows = execute::rows_alone(&state.db, &plan.statement).await?;
            let row = rows.first().ok_or_else(Error::internal)?;
            Ok(pb::ReadItemsResponse {
                items: Bytes::from(row.try_get::<String, _>("items").map_err(Failure::Sql)?),
                total_count: count(row, query.meta.total_count, "total_count")?,
                filter_count: count(row, query.meta.filter_count, "filter_count")?,
                too_many: false,
                filter_count_estimate: estimate,
                next_cursor: cursor.map(|cursor| cursor.next(row, &state.cursors)).transpose()?,
            })
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &wanted.collection).await.map_err(of_the_query)?;
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
