//! Singletons: one item, made by the first change.

use access::{Access, Action};
use bytes::Bytes;
use model::{Error, ErrorCode, Errors};
use planner::{Once, Reader};
use proto::items::v1 as pb;
use proto::items::v1::update_items_request::Target;
use query::Query;
use rpc::Caller;

use super::condition;
use super::create::{make, writable};
use super::update::{change, matching_keys};
use crate::failure::Failure;
use crate::state::State;

static EVERYTHING: Access = Access::admin();

/// First key of the advisory lock under which a singleton's item is made; the second is the name's hash.
const MAKING: i32 = 730_608_584;

/// Whether the collection is one, as far as is known here.
pub fn is(state: &State, collection: &str) -> bool {
    state.snapshots.present().schema.collection(collection).is_some_and(|collection| collection.singleton)
}

/// What is said to writes that a singleton doesn't have.
pub fn no_route(collection: &str, key: Option<&str>) -> Error {
    let path = match key {
        Some(key) => format!("/items/{collection}/{key}"),
        None => format!("/items/{collection}"),
    };
    Error::new(ErrorCode::RouteNotFound)
        .with_message(format!("Route {path} doesn't exist."))
        .with("path", path)
}

/// Changes the one item, or makes it; the answer is kept under the key, if there is one.
pub async fn write(
    state: &State,
    caller: &Caller,
    request: pb::UpdateItemsRequest,
    once: Option<&Once>,
) -> Result<pb::WriteItemsResponse, Errors> {
    let pb::UpdateItemsRequest { collection, target, query, singleton, condition, .. } = request;
    let Some(payload) = singleton else {
        return Err(match target {
            Some(Target::Keys(keys)) => no_route(&collection, keys.keys.first().map(String::as_str)),
            _ => Error::invalid_payload("The changes of a singleton must be one object"),
        }
        .into());
    };
    let change_of = |key| pb::UpdateItemsRequest {
        collection: collection.clone(),
        target: Some(Target::Keys(pb::Keys { keys: vec![key] })),
        payload: payload.clone(),
        query: query.clone(),
        condition: condition.clone(),
        ..pb::UpdateItemsRequest::default()
    };
    if let Some(key) = present(state, caller, &collection).await? {
        return change(state, caller, change_of(key), once).await;
    }
    condition::hold(condition.as_ref(), None)?;
    let making = state.making.lock().await;
    let told = |error: sqlx::Error| state.failure(&error, &collection);
    let mut held = state.db.begin().await.map_err(|error| {
        tracing::warn!(%error, "a singleton could not be made");
        Error::unavailable("database")
    })?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))").bind(MAKING).bind(&collection);
    lock.execute(&mut *held).await.map_err(told)?;
    let done = match present(state, caller, &collection).await? {
        Some(key) => change(state, caller, change_of(key), once).await,
        None => {
            let collection = collection.clone();
            let request = pb::CreateItemsRequest { collection, payload, query, ..Default::default() };
            make(state, caller, request, once).await
        }
    };
    drop((held, making));
    done
}

/// The key of the one item, if it was made.
async fn present(state: &State, caller: &Caller, name: &str) -> Result<Option<String>, Errors> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let one = Query { limit: Some(1), ..Query::default() };
    let found = async {
        let collection = writable(&snapshot, name, Action::Update)?;
        let reader = asking.reader(&snapshot);
        if !reader.access.allows(name, Action::Update) {
            return Err(Error::forbidden_collection(name).into());
        }
        // It is there whether he may see it or not; his change of it is judged by what he may change.
        let reader = Reader { access: &EVERYTHING, ..reader };
        matching_keys(state, &one, collection, reader, (Action::Update, &[])).await
    };
    match found.await {
        Ok((keys, _)) => Ok(keys.into_iter().next()),
        Err(Failure::Refused(errors)) => Err(errors),
        Err(Failure::Sql(error)) => Err(state.failure(&error, name)),
    }
}

/// The only entry of the answer's list, as it is read.
pub fn alone(answer: pb::WriteItemsResponse) -> pb::WriteItemsResponse {
    let entry = answer.items.strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]"));
    let items = entry.map_or_else(Bytes::new, |entry| answer.items.slice_ref(entry));
    pb::WriteItemsResponse { items, ..answer }
}
