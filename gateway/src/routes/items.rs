//! `/items/:collection[/:key]`: items of user collections.

mod target;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use model::Error;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{
    CreateItemsRequest, DeleteItemsRequest, Keys, ReadItemRequest, ReadItemsRequest, UpdateItemsRequest,
    delete_items_request,
};

use super::other;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::ReadQuery;
use crate::state::Gateway;

type Answer = Result<Response, Failure>;

const ALLOWED: &str = "POST,SEARCH,GET,HEAD,PATCH,DELETE";

/// GET /items/:collection
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    ReadQuery(query): ReadQuery,
) -> Answer {
    read_items(&gateway, &caller, collection, query).await
}

/// SEARCH /items/:collection, and what the route says to unknown methods.
pub async fn search(State(gateway): State<Gateway>, request: Request) -> Response {
    if request.method().as_str() != "SEARCH" {
        return other(request.method(), request.uri(), ALLOWED);
    }
    search_items(&gateway, request).await.into_response()
}

async fn search_items(gateway: &Gateway, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, gateway).await?;
    let Names(collection) = Names::<String>::from_request_parts(&mut parts, gateway).await?;
    let body = JsonBody::from_request(Request::from_parts(parts, body), gateway).await?;
    let query = target::search(&body)?;
    read_items(gateway, &caller, collection, query).await
}

/// GET /items/:collection/:key
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, key)): Names<(String, String)>,
    ReadQuery(query): ReadQuery,
) -> Answer {
    let collection = user_collection(collection)?;
    let request = gateway.call(&caller, ReadItemRequest { collection, key, query });
    let found = gateway.items().read_item(request).await?.into_inner();
    Ok(answer::of(&found.item))
}

/// POST /items/:collection
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    ReadQuery(query): ReadQuery,
    body: JsonBody,
) -> Answer {
    let (collection, many) = (user_collection(collection)?, body.is_array());
    let request = gateway.call(&caller, CreateItemsRequest { collection, payload: body.0, query });
    let made = gateway.items().create_items(request).await?.into_inner();
    Ok(if many { answer::written(&made.items) } else { answer::only(&made.items) })
}

/// PATCH /items/:collection/:key
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, key)): Names<(String, String)>,
    ReadQuery(query): ReadQuery,
    body: JsonBody,
) -> Answer {
    let collection = user_collection(collection)?;
    if body.is_array() {
        return Err(Error::invalid_payload("The changes of one item must be an object").into());
    }
    let target = Some(Target::Keys(Keys { keys: vec![key] }));
    let request = gateway.call(&caller, UpdateItemsRequest { collection, target, payload: body.0, query });
    let changed = gateway.items().update_items(request).await?.into_inner();
    Ok(answer::only(&changed.items))
}

/// PATCH /items/:collection
pub async fn update_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    ReadQuery(query): ReadQuery,
    body: JsonBody,
) -> Answer {
    let collection = user_collection(collection)?;
    let (target, payload) = target::update(&body)?;
    let request = UpdateItemsRequest { collection, target: Some(target), payload, query };
    let request = gateway.call(&caller, request);
    let changed = gateway.items().update_items(request).await?.into_inner();
    Ok(answer::written(&changed.items))
}

/// DELETE /items/:collection/:key
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, key)): Names<(String, String)>,
) -> Answer {
    let target = delete_items_request::Target::Keys(Keys { keys: vec![key] });
    delete_items(&gateway, &caller, collection, target).await
}

/// DELETE /items/:collection
pub async fn delete_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    body: JsonBody,
) -> Answer {
    let target = target::delete(&body)?;
    delete_items(&gateway, &caller, collection, target).await
}

async fn read_items(gateway: &Gateway, caller: &Caller, collection: String, query: Bytes) -> Answer {
    let collection = user_collection(collection)?;
    let request = gateway.call(caller, ReadItemsRequest { collection, query });
    let found = gateway.items().read_items(request).await?.into_inner();
    Ok(answer::list(&found.items, found.total_count, found.filter_count))
}

async fn delete_items(
    gateway: &Gateway,
    caller: &Caller,
    collection: String,
    target: delete_items_request::Target,
) -> Answer {
    let collection = user_collection(collection)?;
    let request = gateway.call(caller, DeleteItemsRequest { collection, target: Some(target) });
    gateway.items().delete_items(request).await?;
    Ok(answer::empty())
}

/// System collections have routes of their own.
fn user_collection(name: String) -> Result<String, Error> {
    if name.starts_with("directus_") { Err(Error::forbidden()) } else { Ok(name) }
}
