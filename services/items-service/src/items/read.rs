//! Reading: query -> plan -> one statement -> JSON bytes.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use model::{Collection, Error, ErrorCode, Errors, Filter, Operator};
use planner::{Limits, ReadPlan, Reader, Statement};
use proto::items::v1 as pb;
use query::{Meta, Query};
use rpc::Caller;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::cursor::Cursor;
use super::update::checked_keys;
use super::write::Tries;
use super::{moment, slow, tags, version};
use crate::execute;
use crate::failure::Failure;
use crate::permissions::with_least;
use crate::plans::{Asked, Kept, ListPlan, Plan, Ready};
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

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

/// The plan of a list without a cursor. Only after the plan it is said that there may be many: who may not read learns
/// nothing.
pub fn list(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<ListPlan, Error> {
    let plan = planner::plan_read(query, collection, reader)?;
    // Permissions are few, and are all one document: those that stand in no table are a part of it.
    let is_large = collection.name != WHOLE && planner::is_large(query, collection, reader.limits)?;
    Ok(ListPlan { plan, meta: query.meta, is_large })
}

/// What one statement reads, and what is told of it.
struct Reading<'a> {
    state: &'a State,
    caller: &'a Caller,
    snapshot: &'a Snapshot,
    asking: &'a Asking,
    collection: &'a Collection,
    query: &'a [u8],
}

impl<'a> Reading<'a> {
    fn reader(&self) -> Reader<'a> {
        bounds(self.asking.reader(self.snapshot), self.collection)
    }

    /// The plan for what is asked, perhaps from before; nothing when `make` makes none that may be kept.
    fn plan(
        &self,
        one: bool,
        query: Option<&Bytes>,
        make: impl FnOnce() -> Result<Option<Plan>, Error>,
    ) -> Result<Option<Ready>, Error> {
        let Some(query) = query else { return make().map(|_| None) };
        let Asking { access, variables, .. } = self.asking;
        let asked = Asked { one, collection: &self.collection.name, query, access, variables };
        self.snapshot.plans.of(&asked, make)
    }

    async fn row(&self, statement: &Statement, prepared: bool) -> Result<Option<PgRow>, sqlx::Error> {
        let db = self.state.reading.of(&self.caller.accountability);
        let begun = Instant::now();
        let row = execute::row_alone(db, statement, prepared).await;
        let slow = self.state.reading.slow;
        if !slow.is_zero() && begun.elapsed() >= slow {
            slow::tell(statement.name, begun.elapsed(), self.query, self.collection, self.reader());
        }
        row
    }

    fn tags(&self, wanted: bool, kept: Option<&Kept>, answer: &str) -> Vec<String> {
        if !wanted {
            return Vec::new();
        }
        let find = || -> Vec<String> {
            let query = query(self.query).unwrap_or_default();
            planner::tree(&query, self.collection, self.reader()).collections.into_iter().collect()
        };
        let schema = &self.snapshot.schema;
        match kept {
            Some(kept) => tags::of(answer, kept.collections.get_or_init(find), self.collection, schema),
            None => tags::of(answer, &find(), self.collection, schema),
        }
    }
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

/// The answer of a list, as one document.
fn document(
    reading: &Reading<'_>,
    request: &pb::ReadItemsRequest,
    row: &PgRow,
    (kept, meta): (Option<&Kept>, Meta),
) -> Result<pb::ReadItemsResponse, Failure> {
    let items: String = row.try_get("items")?;
    // Figures over a singleton have none.
    let versioned = reading.collection.singleton.then(|| row.try_get::<Option<i64>, _>("version").ok());
    let version = versioned.flatten().flatten().unwrap_or_default();
    Ok(pb::ReadItemsResponse {
        version,
        tags: reading.tags(request.tags, kept, &items),
        items: Bytes::from(items),
        total_count: count(row, meta.total_count, "total_count")?,
        filter_count: count(row, meta.filter_count, "filter_count")?,
        ..pb::ReadItemsResponse::default()
    })
}

/// A list whose plan was kept, or may be.
async fn again(
    reading: &Reading<'_>,
    request: &pb::ReadItemsRequest,
    ready: &Ready,
) -> Result<pb::ReadItemsResponse, Failure> {
    let Plan::List(ListPlan { plan, meta, is_large }) = &ready.kept.plan else {
        return Err(Error::internal().into());
    };
    if *is_large {
        return Ok(pb::ReadItemsResponse { too_many: true, ..pb::ReadItemsResponse::default() });
    }
    let row = reading.row(&plan.statement, ready.prepared).await?.ok_or_else(Error::internal)?;
    document(reading, request, &row, (Some(&ready.kept), *meta))
}

/// A list with something that is of this request alone: keys, a moment, a cursor, an estimate.
async fn once(
    reading: &Reading<'_>,
    request: &pb::ReadItemsRequest,
    wanted: &Wanted,
) -> Result<pb::ReadItemsResponse, Failure> {
    let state = reading.state;
    let query = wanted.query(reading.collection)?;
    let past = moment::schema(state, reading.snapshot, &query).await?;
    let (collection, reader) = moment::within(past.as_ref(), reading.collection, reading.reader())?;
    let cursor = Cursor::of(&query, collection, reader, &state.cursors)?;
    let plan: ReadPlan = match &cursor {
        Some(cursor) => planner::plan_page(&query, collection, reader, cursor.after())?,
        None => {
            let ListPlan { plan, is_large, .. } = list(&query, collection, reader)?;
            if is_large {
                return Ok(pb::ReadItemsResponse { too_many: true, ..pb::ReadItemsResponse::default() });
            }
            plan
        }
    };
    let filter_count_estimate = estimate(state, &query, collection, reader).await?;
    let row = reading.row(&plan.statement, past.is_none()).await?.ok_or_else(Error::internal)?;
    let next_cursor = cursor.map(|cursor| cursor.next(&row, &state.cursors)).transpose()?;
    let answer = document(reading, request, &row, (None, query.meta))?;
    // What was is no ground for a change of what is.
    let version = if past.is_none() { answer.version } else { 0 };
    Ok(pb::ReadItemsResponse { filter_count_estimate, next_cursor, version, ..answer })
}

async fn attempt(
    state: &State,
    caller: &Caller,
    asking: &Asking,
    request: &pb::ReadItemsRequest,
) -> Result<pb::ReadItemsResponse, Failure> {
    let snapshot = &*state.snapshots.present();
    let collection = snapshot.collection(&request.collection)?;
    if collection.singleton
        && let Some(query) = version::asked(&request.query)?
    {
        let place = (collection.as_ref(), None);
        let (key, items) = version::item(state, caller, (snapshot, asking), place, &query).await?;
        let tags = [collection.name.clone(), key].into_iter().filter(|_| request.tags).collect();
        return Ok(pb::ReadItemsResponse { tags, items, ..pb::ReadItemsResponse::default() });
    }
    let reading = Reading { state, caller, snapshot, asking, collection, query: &request.query };
    let mut special = None;
    let ready = reading.plan(false, request.keys.is_none().then_some(&request.query), || {
        let (query, keys) = (query(&request.query)?, request.keys.clone());
        let wanted = Wanted { collection: request.collection.clone(), query, keys };
        let Query { cursor, as_of, meta, .. } = &wanted.query;
        let special_query = cursor.is_some() || as_of.is_some() || meta.filter_count_estimate;
        if wanted.keys.is_some() || special_query {
            special = Some(wanted);
            return Ok(None);
        }
        list(&*wanted.query(collection)?, collection, reading.reader()).map(|plan| Some(Plan::List(plan)))
    })?;
    match (ready, special) {
        (Some(ready), _) => again(&reading, request, &ready).await,
        (None, Some(wanted)) => once(&reading, request, &wanted).await,
        (None, None) => Err(Error::internal().into()),
    }
}

/// Answers a list.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::ReadItemsRequest,
) -> Result<pb::ReadItemsResponse, Errors> {
    let asking = state.asking(caller).await?;
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, &asking, &request).await {
            Ok(done) if request.collection == WHOLE => return shown_whole(caller, &request, done),
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

/// Permissions, with those that the app gives to the caller, unless figures were asked for or some keys.
fn shown_whole(
    caller: &Caller,
    request: &pb::ReadItemsRequest,
    done: pb::ReadItemsResponse,
) -> Result<pb::ReadItemsResponse, Errors> {
    let query = query(&request.query)?;
    let figures = !query.aggregate.is_empty() || !query.group.is_empty();
    if !caller.accountability.app || figures || request.keys.is_some() {
        return Ok(done);
    }
    Ok(pb::ReadItemsResponse { items: with_least(done.items, query.filter.as_ref()), ..done })
}

/// Answers for one item.
pub async fn item(
    state: &State,
    caller: &Caller,
    request: pb::ReadItemRequest,
) -> Result<pb::ReadItemResponse, Errors> {
    let asking = state.asking(caller).await?;
    let mut tries = Tries::default();
    loop {
        match attempt_one(state, caller, &asking, &request).await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

async fn attempt_one(
    state: &State,
    caller: &Caller,
    asking: &Asking,
    request: &pb::ReadItemRequest,
) -> Result<pb::ReadItemResponse, Failure> {
    let snapshot = &*state.snapshots.present();
    let collection = snapshot.collection(&request.collection)?;
    if let Some(query) = version::asked(&request.query)? {
        let place = (collection.as_ref(), Some(request.key.as_str()));
        let (key, item) = version::item(state, caller, (snapshot, asking), place, &query).await?;
        let tags = [collection.name.clone(), key].into_iter().filter(|_| request.tags).collect();
        return Ok(pb::ReadItemResponse { tags, item, version: 0 });
    }
    let reading = Reading { state, caller, snapshot, asking, collection, query: &request.query };
    let mut past = None;
    let ready = reading.plan(true, Some(&request.query), || {
        let query = query(&request.query)?;
        if query.as_of.is_some() {
            past = Some(query);
            return Ok(None);
        }
        planner::plan_read_one(&query, collection, reading.reader()).map(|plan| Some(Plan::One(plan)))
    })?;
    let (statement, prepared) = match (&ready, past) {
        (Some(Ready { kept, prepared }), _) => {
            let Plan::One(plan) = &kept.plan else { return Err(Error::internal().into()) };
            (plan.of(&request.key, collection)?, *prepared)
        }
        (None, Some(query)) => {
            let past = moment::schema(state, snapshot, &query).await?;
            let (collection, reader) = moment::within(past.as_ref(), collection, reading.reader())?;
            let plan = planner::plan_read_one(&query, collection, reader)?;
            (plan.of(&request.key, collection)?, false)
        }
        (None, None) => return Err(Error::internal().into()),
    };
    let row = reading.row(&statement, prepared).await?.ok_or_else(Error::forbidden)?;
    let item: String = row.try_get("item")?;
    let mut tags = reading.tags(request.tags, ready.as_ref().map(|ready| &*ready.kept), &item);
    // Who asked for it knows its key.
    let key = collection.key().and_then(|field| planner::parse_key(&request.key, field).ok());
    tags.extend(key.filter(|key| request.tags && !tags.contains(key)));
    // What was is no ground for a change of what is.
    let present = ready.is_some();
    let version = row.try_get::<Option<i64>, _>("version")?.filter(|_| present).unwrap_or_default();
    Ok(pb::ReadItemResponse { tags, item: Bytes::from(item), version })
}
