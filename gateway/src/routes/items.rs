//! `/items/:collection[/:key]` and the routes of system collections: items, whatever collection they are of.

mod place;
mod target;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use model::Error;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{
    CreateItemsRequest, DeleteItemsRequest, ExplainItemsRequest, Keys, ReadItemRequest, ReadItemsRequest,
    UpdateItemsRequest, UpsertItemsRequest, WriteItemsResponse, delete_items_request,
};

use super::other;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::export;
use crate::failure::Failure;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::read_query::{Explain, Parameters, ReadQuery, Wanted};
use crate::state::Gateway;
use crate::streamed;

use target::Search;

pub use place::{InCollection, Item, Of};

type Answer = Result<Response, Failure>;

/// GET /items/:collection
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    InCollection(collection): InCollection,
    wanted: Wanted,
    explain: Explain,
) -> Answer {
    if let Some(analyze) = explain.0 {
        return explained(&gateway, &caller, (collection, wanted.query, None), analyze).await;
    }
    read_items(&gateway, &caller, collection, wanted, None).await
}

/// SEARCH /items/:collection, and what the route says to unknown methods.
pub async fn search(gateway: Gateway, request: Request, allowed: &'static str) -> Response {
    if request.method().as_str() != "SEARCH" {
        return other(request.method(), request.uri(), allowed);
    }
    search_items(&gateway, request).await.into_response()
}

async fn search_items(gateway: &Gateway, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, gateway).await?;
    let InCollection(collection) = InCollection::from_request_parts(&mut parts, gateway).await?;
    let mut written = parts.clone();
    let explain = Explain::from_request_parts(&mut parts, gateway).await?;
    let body = JsonBody::from_request(Request::from_parts(parts, body), gateway).await?;
    let Search { wanted, keys } = target::search(&body)?;
    // A body that asks for something stands for all that the address asks for.
    let wanted = match (wanted, &keys) {
        (Some(wanted), _) => wanted,
        (None, Some(_)) => Wanted::default(),
        (None, None) => Wanted::from_request_parts(&mut written, gateway).await?,
    };
    if let Some(analyze) = explain.0 {
        return explained(gateway, &caller, (collection, wanted.query, keys), analyze).await;
    }
    read_items(gateway, &caller, collection, wanted, keys).await
}

/// GET /items/:collection/:key
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Item { collection, key }: Item,
    wanted: Wanted,
) -> Answer {
    let (name, query, tags) = (collection.clone(), wanted.query, caller.is_public());
    let request = ReadItemRequest { collection, key, query, tags };
    let found = gateway.read_item(&caller, request).await?;
    let response = export::answer(&gateway, wanted.export, &name, &found.item)?;
    Ok(answer::versioned(answer::tagged(response, &found.tags), found.version))
}

/// POST /items/:collection
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    InCollection(collection): InCollection,
    ReadQuery(query): ReadQuery,
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    condition.refuse()?;
    let many = body.is_array();
    let request = CreateItemsRequest { collection, payload: body.0, query, idempotency_key };
    let made = gateway.create_items(&caller, request).await?;
    Ok(if many { all(&made) } else { one(&made) })
}

/// PUT /items/:collection: items are changed where they are there, else made.
pub async fn upsert(
    State(gateway): State<Gateway>,
    caller: Caller,
    InCollection(collection): InCollection,
    ReadQuery(query): ReadQuery,
    parameters: Parameters,
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    condition.refuse()?;
    let (many, on_conflict) = (body.is_array(), parameters.list("on_conflict"));
    let request = UpsertItemsRequest { collection, payload: body.0, query, on_conflict, idempotency_key };
    let written = gateway.items().upsert_items(gateway.call(&caller, request)).await?.into_inner();
    Ok(if many { all(&written) } else { one(&written) })
}

/// PATCH /items/:collection/:key
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Item { collection, key }: Item,
    ReadQuery(query): ReadQuery,
    precautions: (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    update_one(&gateway, &caller, Item { collection, key }, query, precautions, &body).await
}

/// Changes one item.
pub async fn update_one(
    gateway: &Gateway,
    caller: &Caller,
    Item { collection, key }: Item,
    query: Bytes,
    (IdempotencyKey(idempotency_key), IfMatch(condition)): (IdempotencyKey, IfMatch),
    body: &JsonBody,
) -> Answer {
    if body.is_array() {
        return Err(Error::invalid_payload("The changes of one item must be an object").into());
    }
    let (payload, target) = (body.0.clone(), Some(Target::Keys(Keys { keys: vec![key] })));
    let request = UpdateItemsRequest {
        collection,
        target,
        payload,
        query,
        singleton: None,
        idempotency_key,
        condition,
    };
    let changed = gateway.update_items(caller, request).await?;
    Ok(one(&changed))
}

/// PATCH /items/:collection: many, or the one item of a singleton.
pub async fn update_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    InCollection(collection): InCollection,
    ReadQuery(query): ReadQuery,
    (IdempotencyKey(idempotency_key), IfMatch(condition)): (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    let target::Update { target, payload, singleton } = target::update(&body)?;
    let request =
        UpdateItemsRequest { collection, target, payload, query, singleton, idempotency_key, condition };
    let changed = gateway.update_items(&caller, request).await?;
    Ok(all(&changed))
}

/// DELETE /items/:collection/:key
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Item { collection, key }: Item,
    precautions: (IdempotencyKey, IfMatch),
) -> Answer {
    let target = delete_items_request::Target::Keys(Keys { keys: vec![key] });
    delete_items(&gateway, &caller, (collection, target), precautions).await
}

/// DELETE /items/:collection
pub async fn delete_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    InCollection(collection): InCollection,
    precautions: (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Answer {
    let target = target::delete(&body)?;
    delete_items(&gateway, &caller, (collection, target), precautions).await
}

/// The one item that was written.
fn one(written: &WriteItemsResponse) -> Response {
    answer::replayed(answer::versioned(answer::only(&written.items), written.version), written.replayed)
}

/// The items that were written; of a singleton its one item.
fn all(written: &WriteItemsResponse) -> Response {
    let response = answer::written(&written.items);
    // A list has no version, be it of one.
    let version = if written.items.starts_with(b"[") { 0 } else { written.version };
    answer::replayed(answer::versioned(response, version), written.replayed)
}

/// How a list would be made.
async fn explained(
    gateway: &Gateway,
    caller: &Caller,
    (collection, query, keys): (String, Bytes, Option<Keys>),
    analyze: bool,
) -> Answer {
    let request = gateway.call(caller, ExplainItemsRequest { collection, query, keys, analyze });
    let found = gateway.items().explain_items(request).await?.into_inner();
    Ok(answer::of(&found.explanation))
}

/// Reads a list: as one document, or item by item where a file is wanted or where there may be many.
pub async fn read_items(
    gateway: &Gateway,
    caller: &Caller,
    collection: String,
    Wanted { query, export, many }: Wanted,
    keys: Option<Keys>,
) -> Answer {
    let request = ReadItemsRequest { collection, query, keys, tags: caller.is_public() };
    if export.is_some() || many {
        return streamed::items(gateway, caller, request, export).await;
    }
    let found = gateway.read_items(caller, request.clone()).await?;
    if found.too_many {
        return streamed::items(gateway, caller, request, None).await;
    }
    Ok(answer::versioned(answer::tagged(answer::list(&found), &found.tags), found.version))
}

async fn delete_items(
    gateway: &Gateway,
    caller: &Caller,
    (collection, target): (String, delete_items_request::Target),
    (IdempotencyKey(idempotency_key), IfMatch(condition)): (IdempotencyKey, IfMatch),
) -> Answer {
    let request = DeleteItemsRequest { collection, target: Some(target), idempotency_key, condition };
    let gone = gateway.delete_items(caller, request).await?;
    Ok(answer::replayed(answer::empty(), gone.replayed))
}
