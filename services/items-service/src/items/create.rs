//! Creating: payload -> filter hooks -> plan -> one statement.

use std::borrow::Cow;
use std::sync::Arc;

use access::Action;
use bytes::{BufMut as _, Bytes, BytesMut};
use model::{Collection, Errors, KeySource};
use planner::{CreateNeeds, Once, Payload, Reader, Stamp, Statement};
use prost::Message as _;
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;

use super::judge::Judging;
use super::nested::{self, Place, Wanted, Whose};
use super::once;
use super::read::query;
use super::singleton;
use super::together::{self, By, Turn};
use super::version::VERSIONS;
use super::write::{CHUNK, Ending, Tries, run};
use crate::failure::Failure;
use crate::filter::Question;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};
use crate::system::rules::Rules;
use crate::system::{self, payload, versions};

/// Creates one or many items. A singleton is written otherwise.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::CreateItemsRequest,
) -> Result<pb::WriteItemsResponse, Errors> {
    if singleton::is(state, &request.collection) {
        return Err(singleton::no_route(&request.collection, None).into());
    }
    let asked = || pb::CreateItemsRequest { idempotency_key: String::new(), ..request.clone() };
    let asked = || [&b"create"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), make(state, caller, request, once.as_ref())).await
}

/// Creates items of any collection; the answer is kept under the key, if there is one.
pub async fn make(
    state: &State,
    caller: &Caller,
    request: pb::CreateItemsRequest,
    once: Option<&Once>,
) -> Result<pb::WriteItemsResponse, Errors> {
    let query = query(&request.query)?;
    let asking = Arc::new(state.asking(caller).await?);
    let stamp = state.stamp(caller);
    let payloads = prepared(state, caller, &request, (&asking, &stamp)).await?;
    let mut tries = Tries::default();
    loop {
        let attempt = async {
            let snapshot = state.snapshots.present();
            let reader = asking.reader(&snapshot);
            let collection: &Collection = writable(&snapshot, &request.collection, Action::Create)?;
            let read_back = Some((&query, collection, reader));
            let sees_itself = planner::sees_itself(&query, collection, reader);
            let ending = Ending { read_back, once, sees_itself, ..Ending::default() };
            if nested::any(&payloads, collection) {
                let place = Place { state, caller, snapshot: &snapshot, reader, stamp: &stamp };
                let new = |payload: &Payload| Wanted::top(payload.clone(), Whose::New);
                let wanted = payloads.iter().map(new).collect();
                return nested::write(place, collection, wanted, None, ending).await.map(Into::into);
            }
            let rules = Rules::create(collection, &payloads);
            let query_sent = &request.query;
            let by = By {
                caller,
                asking: &asking,
                snapshot: &snapshot,
                collection,
                query: query_sent,
                stamp: &stamp,
            };
            let offer = match payloads.as_slice() {
                [payload] if ending.goes_together(&rules) => by.create(payload),
                _ => None,
            };
            let place = match together::turn(state, offer).await {
                Turn::Done(done) => return Ok(done?.into()),
                Turn::Alone(place) => place,
            };
            let stamp = ending.stamp(&stamp, payloads.chunks(CHUNK).len(), &rules);
            let plan = statements(state, &payloads, &query, collection, reader, &stamp)?;
            let written = run(state, &plan, ending, rules).await;
            drop(place);
            written.map(Into::into)
        };
        match attempt.await {
            Ok(done) => return Ok(done),
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

/// A collection whose items are written so.
pub fn writable<'a>(
    snapshot: &'a Snapshot,
    name: &str,
    action: Action,
) -> Result<&'a Arc<Collection>, Failure> {
    let collection = snapshot.collection(name)?;
    if !system::is_writable(collection, action) {
        return Err(model::Error::forbidden_collection(name).into());
    }
    Ok(collection)
}

/// The payloads after the filter hooks, if any is registered, ready for planning. The right to create is checked
/// before anybody sees them.
async fn prepared(
    state: &State,
    caller: &Caller,
    request: &pb::CreateItemsRequest,
    (asking, stamp): (&Asking, &Stamp),
) -> Result<Vec<Payload>, Errors> {
    let (mut payloads, one) = planner::parse_payloads(&request.payload)?;
    let snapshot = state.snapshots.present();
    let Some(collection) = snapshot.schema.collection(&request.collection) else { return Ok(payloads) };
    let reader = asking.reader(&snapshot);
    if !system::is_writable(collection, Action::Create)
        || !reader.access.allows(&collection.name, Action::Create)
    {
        return Err(model::Error::forbidden_collection(&collection.name).into());
    }
    state.limits.check_batch(payloads.len())?;
    let event = format!("{}.create", collection.scope());
    if !payloads.is_empty() && snapshot.has_filter(&event, &collection.name) {
        let payload = as_array(&request.payload, one);
        let question = Question { event: &event, collection: &collection.name, payload, keys: &[] };
        let answer = state.filters.ask(question, caller).await?;
        let (changed, _) = planner::parse_payloads(&answer)?;
        if changed.len() != payloads.len() {
            return Err(model::Error::internal().into());
        }
        payloads = changed;
    }
    let told = |failure: Failure| failure.told(state, &collection.name);
    if collection.name == VERSIONS {
        versions::made(state, &snapshot, reader, &mut payloads).await.map_err(told)?;
    }
    let judging =
        Judging::init(&state.db, (collection, Action::Create), reader, stamp).await.map_err(told)?;
    judging.admit(&mut payloads).map_err(told)?;
    payload::prepare(&mut payloads, collection, Action::Create, state.storing(judging.reader)).await?;
    Ok(payloads)
}

/// One object as an array of one.
pub fn as_array(payload: &Bytes, one: bool) -> Bytes {
    if !one {
        return payload.clone();
    }
    let mut array = BytesMut::with_capacity(payload.len() + 2);
    array.put_u8(b'[');
    array.put_slice(payload);
    array.put_u8(b']');
    array.freeze()
}

/// The statements that make these items, in their order.
pub fn statements(
    state: &State,
    payloads: &[Payload],
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Vec<Statement>, Errors> {
    if payloads.is_empty() && !reader.access.allows(&collection.name, Action::Create) {
        return Err(model::Error::forbidden_collection(&collection.name).into());
    }
    let chunk = |(index, payloads): (usize, &[Payload])| {
        let event_ids: Vec<_> = payloads.iter().map(|_| state.ids.ordered()).collect();
        let fresh_keys: Vec<_> = match collection.key_source {
            KeySource::Uuid => payloads.iter().map(|_| state.ids.random()).collect(),
            _ => Vec::new(),
        };
        let needs = CreateNeeds { event_ids: &event_ids, fresh_keys: &fresh_keys };
        let stamp = if index == 0 { Cow::Borrowed(stamp) } else { Cow::Owned(stamp.further(index * CHUNK)) };
        planner::plan_create(payloads, &needs, query, collection, reader, &stamp)
    };
    payloads.chunks(CHUNK).enumerate().map(chunk).collect()
}
