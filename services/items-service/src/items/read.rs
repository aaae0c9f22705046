//! Reading: query -> plan -> one statement -> JSON bytes.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use model::{Collection, Error, ErrorCode, Errors, Filter, Operator};
use planner::{Reader, Statement};
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::update::checked_keys;
use super::write::Tries;
use super::{slow, tags};
use crate::execute;
use crate::failure::Failure;
use crate::plans::{Asked, Kept, Plan, Ready};
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

/// The plan of a list, and the query that it is for.
pub fn list(
    bytes: &[u8],
    keys: Option<&pb::Keys>,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<(Plan, Query), Error> {
    let query = query(bytes)?;
    let query = whole(&query, &collection.name);
    let query = match keys {
        Some(keys) => limited(&query, &keys.keys, collection)?,
        None => query.into_owned(),
    };
    Ok((Plan::List(planner::plan_read(&query, collection, reader)?, query.meta), query))
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
        self.asking.reader(self.snapshot)
    }

    /// The plan for what is asked, perhaps from before.
    fn plan(
        &self,
        one: bool,
        query: &Bytes,
        make: impl FnOnce() -> Result<Plan, Error>,
    ) -> Result<Ready, Error> {
        let Asking { access, variables } = self.asking;
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

    fn tags(&self, wanted: bool, kept: &Kept, answer: &str) -> Vec<String> {
        if !wanted {
            return Vec::new();
        }
        let collections = kept.collections.get_or_init(|| {
            let query = query(self.query).unwrap_or_default();
            planner::tree(&query, self.collection, self.reader()).collections.into_iter().collect()
        });
        tags::of(answer, collections, self.collection, &self.snapshot.schema)
    }
}

/// A count, where the query asked for it.
fn count(row: &PgRow, wanted: bool, name: &str) -> Result<Option<i64>, sqlx::Error> {
    wanted.then(|| row.try_get(name)).transpose()
}

/// Answers a list.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::ReadItemsRequest,
) -> Result<pb::ReadItemsResponse, Errors> {
    let asking = state.asking(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = &*state.snapshots.present();
            let collection = snapshot.collection(&request.collection)?;
            let reading =
                Reading { state, caller, snapshot, asking: &asking, collection, query: &request.query };
            let make = || {
                list(&request.query, request.keys.as_ref(), collection, reading.reader()).map(|made| made.0)
            };
            let ready = match &request.keys {
                // Keys are as many as there are requests.
                Some(_) => Ready {
                    kept: Kept { plan: make()?, collections: OnceLock::new() }.into(),
                    prepared: true,
                },
                None => reading.plan(false, &request.query, make)?,
            };
            let Plan::List(plan, meta) = &ready.kept.plan else { return Err(Error::internal().into()) };
            let row = reading.row(&plan.statement, ready.prepared).await?.ok_or_else(Error::internal)?;
            let items: String = row.try_get("items")?;
            Ok::<_, Failure>(pb::ReadItemsResponse {
                tags: reading.tags(request.tags, &ready.kept, &items),
                items: Bytes::from(items),
                total_count: count(&row, meta.total_count, "total_count")?,
                filter_count: count(&row, meta.filter_count, "filter_count")?,
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
    let asking = state.asking(caller);
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = &*state.snapshots.present();
            let collection = snapshot.collection(&request.collection)?;
            let reading =
                Reading { state, caller, snapshot, asking: &asking, collection, query: &request.query };
            let ready = reading.plan(true, &request.query, || {
                Ok(Plan::One(planner::plan_read_one(&query(&request.query)?, collection, reading.reader())?))
            })?;
            let Plan::One(plan) = &ready.kept.plan else { return Err(Error::internal().into()) };
            let statement = plan.of(&request.key, collection)?;
            let row = reading.row(&statement, ready.prepared).await?.ok_or_else(Error::forbidden)?;
            let item: String = row.try_get("item")?;
            let mut tags = reading.tags(request.tags, &ready.kept, &item);
            // Who asked for it knows its key.
            let key = collection.key().and_then(|field| planner::parse_key(&request.key, field).ok());
            tags.extend(key.filter(|key| request.tags && !tags.contains(key)));
            Ok::<_, Failure>(pb::ReadItemResponse { tags, item: Bytes::from(item) })
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}
