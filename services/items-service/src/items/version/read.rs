//! Reading an item as a version would have it: `?version=<key>`.

use bytes::Bytes;
use model::{Collection, Error, Filter, Operator};
use planner::{Payload, Statement};
use query::Query;
use rpc::Caller;
use sqlx::Row as _;

use super::compare::raw;
use super::unborn::Unborn;
use super::{VERSIONS, Version, json, main_item, parsed, unmarked};
use crate::execute;
use crate::failure::Failure;
use crate::items::nested::{self, Place, Wanted, Whose};
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

/// The query, if it asks for another version than the item itself.
pub fn asked(query: &[u8]) -> Result<Option<Query>, Error> {
    // Nearly every query asks for none: they are not parsed here.
    const NAME: &[u8] = b"\"version\":";
    if !query.windows(NAME.len()).any(|window| window == NAME) {
        return Ok(None);
    }
    let query = Query::from_bytes(query)?;
    Ok(Some(query).filter(|query| query.version.as_deref().is_some_and(|version| version != "main")))
}

/// The item as the version would have it: one item by its key, or the one item of a singleton. Who may not read
/// versions, or not the item, is told 403, as when there is no such version.
pub async fn item(
    state: &State,
    caller: &Caller,
    (snapshot, asking): (&Snapshot, &Asking),
    (collection, key): (&Collection, Option<&str>),
    query: &Query,
) -> Result<(String, Bytes), Failure> {
    let reader = asking.reader(snapshot);
    let versions = snapshot.collection(VERSIONS)?;
    let field = collection.key().ok_or_else(Error::internal)?;
    let key = key.map(|key| planner::parse_key(key, field)).transpose()?;
    let wanted =
        [("collection", Some(collection.name.clone())), ("key", query.version.clone()), ("item", key)];
    let conditions = wanted.into_iter().filter_map(|(field, value)| Some(is(field, value?)));
    let one = Query { filter: Some(Filter::And(conditions.collect())), limit: Some(1), ..Version::query() };
    let plan = planner::plan_read(&one, versions, reader)?;
    let db = state.reading.of(&caller.accountability);
    let row = execute::row_alone(db, &plan.statement, true).await?.ok_or_else(Error::internal)?;
    let found: Vec<Version> = parsed(&row.try_get::<String, _>("items")?)?;
    let found = found.into_iter().next().ok_or_else(Error::forbidden)?;
    if query.version_raw {
        let plain = Query { version: None, ..query.clone() };
        let mut item = main_item(state, caller, &found.item, &plain, (collection, reader)).await?;
        let kept = found.kept(collection, reader);
        if !kept.is_empty() {
            item.put(&collection.primary_key, &raw(&found.item)?);
        }
        item.overlay(&kept);
        return Ok((found.item, json(&item)?));
    }
    let (own, nested) = planner::apart(&unmarked(&found.delta.unwrap_or_default(), collection)?, collection);
    let plan = planner::plan_read_version(&found.item, &own, query, collection, reader)?;
    if !nested.is_empty() {
        let stamp = state.stamp(caller);
        let place = Place { state, caller, snapshot, reader, stamp: &stamp };
        let item = rehearsed(place, collection, (&found.item, nested), (query, &plan)).await?;
        return Ok((found.item, item));
    }
    let row = execute::row_alone(db, &plan, false).await?.ok_or_else(Error::forbidden)?;
    Ok((found.item, Bytes::from(row.try_get::<String, _>("item")?)))
}

/// The item after what the version keeps within it was written by the reader, which is taken back at once: who may not
/// write it is not shown what it would be like.
async fn rehearsed(
    place: Place<'_>,
    collection: &Collection,
    (key, nested): (&str, Payload),
    (query, plan): (&Query, &Statement),
) -> Result<Bytes, Failure> {
    let Place { state, snapshot, .. } = place;
    let mut tx = execute::begin(&state.db).await?;
    let wanted = vec![Wanted::top(nested, Whose::Named(key.to_owned()))];
    let new = nested::rehearse(&mut tx, place, collection, wanted).await?;
    let rows = execute::rows(&mut tx, plan).await?;
    let item = rows.first().ok_or_else(Error::forbidden)?.try_get::<String, _>("item")?;
    tx.rollback().await?;
    let unborn = Unborn { new: &new, schema: &snapshot.schema };
    json(&unborn.item(&parsed(&item)?, collection, Some(query))?)
}

fn is(field: &str, value: String) -> Filter {
    Filter::Compare { field: field.to_owned(), function: None, operator: Operator::Eq, value: value.into() }
}
