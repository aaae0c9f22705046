//! Changing: keys, query or items with their own changes -> filter hooks -> plan -> statements.

use std::sync::Arc;

use access::Action;
use model::{Collection, Error, Errors, Filter};
use planner::{Once, Payload, Reader, Stamp, parse_key};
use prost::Message as _;
use proto::items::v1 as pb;
use proto::items::v1::update_items_request::Target;
use query::Query;
use rpc::Caller;
use sqlx::Row as _;

use super::create::{as_array, writable};
use super::judge::Judging;
use super::nested::{self, Place, Wanted, Whose};
use super::read::query;
use super::singleton;
use super::together::{self, By, Turn};
use super::version::VERSIONS;
use super::write::{Ending, Tries, Written, run, shown, unchanged};
use super::{condition, once};
use crate::execute;
use crate::failure::Failure;
use crate::filter::Question;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};
use crate::system::payload;
use crate::system::rules::Rules;
use crate::system::versions;

use groups::statements;

pub use groups::{Group, groups, within};

mod groups;

/// Changes items; of a singleton its one item.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::UpdateItemsRequest,
) -> Result<pb::WriteItemsResponse, Errors> {
    // A condition is part of the try, not of what is asked: who has read the item again names its new version.
    let asked =
        || pb::UpdateItemsRequest { idempotency_key: String::new(), condition: None, ..request.clone() };
    let asked = || [&b"update"[..], &asked().encode_to_vec()].concat();
    let once = &once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    let is_single = singleton::is(state, &request.collection);
    let work = async {
        match is_single {
            true => singleton::write(state, caller, request, once.as_ref()).await,
            false => change(state, caller, request, once.as_ref()).await,
        }
    };
    let done = once::answered(state, once.as_ref(), work).await?;
    Ok(if is_single { singleton::alone(done) } else { done })
}

/// Changes items of any collection; the answer is kept under the key, if there is one.
pub async fn change(
    state: &State,
    caller: &Caller,
    request: pb::UpdateItemsRequest,
    once: Option<&Once>,
) -> Result<pb::WriteItemsResponse, Errors> {
    let asked = Asked {
        caller,
        request: &request,
        query: &query(&request.query)?,
        asking: &Arc::new(state.asking(caller).await?),
        stamp: &state.stamp(caller),
        once,
    };
    let mut tries = Tries::default();
    loop {
        match attempt(state, asked).await {
            Ok(done) => return Ok(done),
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

/// A call.
#[derive(Clone, Copy)]
struct Asked<'a> {
    caller: &'a Caller,
    request: &'a pb::UpdateItemsRequest,
    query: &'a Query,
    asking: &'a Arc<Asking>,
    stamp: &'a Stamp,
    once: Option<&'a Once>,
}

async fn attempt(state: &State, asked: Asked<'_>) -> Result<pb::WriteItemsResponse, Failure> {
    let Asked { caller, request, query, asking, stamp, once } = asked;
    let snapshot = state.snapshots.present();
    let reader = asking.reader(&snapshot);
    let collection = writable(&snapshot, &request.collection, Action::Update)?;
    let (payloads, one) = planner::parse_payloads(&request.payload)?;
    let (keys, filter) = target(state, request, &payloads, collection, reader).await?;
    state.limits.check_batch(keys.len())?;
    let judging = Judging::init(&state.db, (collection, Action::Update), reader, stamp).await?;
    let condition = request.condition.as_ref();
    condition::check(state, caller, collection, (condition, is_one(&request.target)))?;
    let question = Change { caller, request, one, keys: &keys };
    let (payloads, plain) = prepared(state, &snapshot, &judging, payloads, question).await?;
    let each = matches!(request.target, Some(Target::Each(_)));
    let held = judging.held(plain.map(|plain| groups(&keys, plain, each)), filter.as_ref());
    if nested::any(&payloads, collection) {
        let place = Place { state, caller, snapshot: &snapshot, reader, stamp };
        let wanted = wanted(keys, payloads, each);
        let read_back = Some((query, &**collection, reader));
        let ending = Ending { read_back, condition, once, held: held.as_ref(), ..Ending::default() };
        let written = nested::write(place, collection, wanted, filter.as_ref(), ending).await;
        return written.map(Into::into);
    }
    let rules = Rules::update(collection, &keys, &payloads, &caller.accountability);
    let groups = groups(&keys, payloads, each);
    let reached = (!reader.access.skips_missing() && filter.is_none()).then(|| distinct(&keys));
    let ending = Ending {
        read_back: Some((query, collection, reader)),
        reached,
        condition,
        once,
        held: held.as_ref(),
        sees_itself: planner::sees_itself(query, collection, reader),
    };
    let query_sent = &request.query;
    let by = By { caller, asking, snapshot: &snapshot, collection, query: query_sent, stamp };
    let alike = ending.goes_together(&rules) && filter.is_none();
    let place = match together::turn(state, alike.then(|| offer(&groups, by)).flatten()).await {
        Turn::Done(done) => return Ok(done?.into()),
        Turn::Alone(place) => place,
    };
    let stamp = ending.stamp(stamp, groups.len(), &rules);
    let statements = statements(state, &groups, filter.as_ref(), query, collection, reader, &stamp)?;
    if statements.is_empty() && !keys.is_empty() {
        return read_only(state, &keys, query, (collection, reader), ending).await.map(Into::into);
    }
    let written = run(state, &statements, ending, rules).await;
    drop(place);
    written.map(Into::into)
}

/// The change of one item, which may go with others.
fn offer<'a>(groups: &'a [Group], by: By<'a>) -> Option<together::Offer<'a>> {
    let [Group { keys, payloads }] = groups else { return None };
    let ([key], [payload]) = (keys.as_slice(), payloads.as_slice()) else { return None };
    by.update(key, payload)
}

/// The items that are changed, each in its own way or all in the same.
fn wanted(keys: Vec<String>, payloads: Vec<Payload>, each: bool) -> Vec<Wanted> {
    if each {
        let own = keys.into_iter().zip(payloads);
        return own.map(|(key, payload)| Wanted::top(payload, Whose::These(vec![key]))).collect();
    }
    let all = payloads.into_iter().map(|payload| Wanted::top(payload, Whose::These(keys.clone())));
    all.collect()
}

/// What a change is about.
pub struct Change<'a> {
    /// On whose behalf.
    pub caller: &'a Caller,
    /// As it was asked for.
    pub request: &'a pb::UpdateItemsRequest,
    /// The payload is one object.
    pub one: bool,
    /// Keys of the items.
    pub keys: &'a [String],
}

/// The payloads after the filter hooks, if any is registered, ready for planning; and as they were before secrets were
/// hashed, where rules may have to look at them once more.
pub async fn prepared(
    state: &State,
    snapshot: &Snapshot,
    judging: &Judging<'_>,
    mut payloads: Vec<Payload>,
    change: Change<'_>,
) -> Result<(Vec<Payload>, Option<Vec<Payload>>), Failure> {
    let Change { caller, request, one, keys } = change;
    let collection = judging.collection;
    let event = format!("{}.update", collection.scope());
    if !keys.is_empty() && snapshot.has_filter(&event, &collection.name) {
        let payload = as_array(&request.payload, one);
        let question = Question { event: &event, collection: &collection.name, payload, keys };
        let before = payloads.len();
        payloads = planner::parse_payloads(&state.filters.ask(question, caller).await?)?.0;
        if payloads.len() != before {
            return Err(Error::internal().into());
        }
    }
    if collection.name == VERSIONS {
        versions::changed(&payloads, matches!(request.target, Some(Target::Each(_))))?;
    }
    judging.admit(&mut payloads)?;
    let plain = judging.has_rules().then(|| payloads.clone());
    payload::prepare(&mut payloads, collection, Action::Update, state.storing(judging.reader)).await?;
    Ok((payloads, plain))
}

/// The request names one item.
fn is_one(target: &Option<Target>) -> bool {
    matches!(target, Some(Target::Keys(keys)) if keys.keys.len() == 1)
}

/// Nothing that is stored was changed: the items as they are.
async fn read_only(
    state: &State,
    keys: &[String],
    query: &Query,
    (collection, reader): (&Collection, Reader<'_>),
    ending: Ending<'_>,
) -> Result<Written, Failure> {
    // He may change none of their fields now, but he may change them.
    if !reader.access.skips_missing() {
        let key = collection.key().into_iter().collect::<Vec<_>>();
        let held = planner::plan_held(keys, &key, None, collection, reader)?;
        if execute::rows_alone(&state.db, &held).await?.len() < distinct(keys) {
            return Err(Error::forbidden().into());
        }
    }
    let only = keys.first().filter(|_| keys.len() == 1);
    let version = condition::version_of(&state.db, collection, only).await?;
    let plan = shown(planner::plan_read_keys(keys, query, collection, reader), reader)?;
    let rows = match plan {
        Some(plan) => execute::rows_alone(&state.db, &plan.statement).await?,
        None => Vec::new(),
    };
    let items: String = rows.first().map_or(Ok(String::new()), |row| row.try_get("items"))?;
    let version = version.filter(|_| items != "[]");
    condition::hold(ending.condition, version)?;
    unchanged(state, Written { items, keys: keys.to_vec(), version }, ending.once).await
}

async fn target(
    state: &State,
    request: &pb::UpdateItemsRequest,
    payloads: &[Payload],
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<(Vec<String>, Option<Filter>), Failure> {
    if !reader.access.allows(&collection.name, Action::Update) {
        return Err(Error::forbidden_collection(&collection.name).into());
    }
    if !matches!(request.target, Some(Target::Each(_))) && payloads.len() != 1 {
        return Err(Error::invalid_payload("The changes must be one object").into());
    }
    match &request.target {
        Some(Target::Keys(keys)) => Ok((in_order(checked_keys(&keys.keys, collection)?), None)),
        Some(Target::Matching(bytes)) => {
            let query = query(bytes)?;
            let sent = payloads.iter().flat_map(Payload::iter).map(|(name, _)| name);
            let own = |name: &&str| *name != collection.primary_key && collection.field(name).is_some();
            let sent: Vec<&str> = sent.filter(own).collect();
            let (keys, filter) =
                matching_keys(state, &query, collection, reader, (Action::Update, &sent)).await?;
            Ok((in_order(keys), filter))
        }
        Some(Target::Each(_)) => {
            let keys = payloads.iter().map(|payload| own_key(payload, collection));
            Ok((keys.collect::<Result<_, Failure>>()?, None))
        }
        None => Err(Error::invalid_payload("\"value\" must contain at least one of [query, keys]").into()),
    }
}

/// The items that one change is made to are changed in the order of their keys' texts: each takes what is nested in the
/// change from the one before it, and the last keeps it.
fn in_order(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_unstable();
    keys
}

/// The key that an item of a batch names itself by.
pub fn own_key(payload: &Payload, collection: &Collection) -> Result<String, Failure> {
    let missing = || {
        Error::invalid_payload(format!("Item in update misses primary key \"{}\"", collection.primary_key))
    };
    Ok(planner::own_key(payload, collection)?.ok_or_else(missing)?)
}

/// Keys as PostgreSQL prints them, without doubles, order kept.
pub fn checked_keys(keys: &[String], collection: &Collection) -> Result<Vec<String>, Error> {
    let field = collection.key().ok_or_else(Error::internal)?;
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    let mut checked = Vec::with_capacity(keys.len());
    for key in keys {
        let key = parse_key(key, field)?;
        if seen.insert(key.clone()) {
            checked.push(key);
        }
    }
    Ok(checked)
}

/// Keys of the items that fit a query now, and the filter that they must still fit once they are locked.
///
/// # Errors
/// 403: to one of them he may not do it, or not with these fields.
pub async fn matching_keys(
    state: &State,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    action: (Action, &[&str]),
) -> Result<(Vec<String>, Option<Filter>), Failure> {
    let mut query = query.clone();
    // A change by query reaches everything that fits, as in the original, unless the query itself limits it.
    query.limit = query.limit.or(Some(-1));
    let statement = planner::plan_keys(&query, collection, reader, action)?;
    let rows = execute::rows_alone(&state.db, &statement).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in &rows {
        if !row.try_get::<bool, _>("within_reach")? {
            return Err(Error::forbidden().into());
        }
        keys.push(row.try_get("key")?);
    }
    Ok((keys, query.filter))
}

fn distinct(keys: &[String]) -> usize {
    keys.iter().collect::<std::collections::HashSet<_>>().len()
}
