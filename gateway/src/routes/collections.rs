//! `/collections`: the user's schema, one collection at a time.

use axum::extract::State;
use axum::response::Response;
use proto::schema::v1::{
    CollectionRequest, CreateCollectionRequest, ListCollectionsRequest, UpdateCollectionRequest,
    UpdateCollectionsRequest,
};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::export;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::{ConcurrentIndexes, Form};
use crate::state::Gateway;

/// GET /collections
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    Form(form): Form,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ListCollectionsRequest {});
    let found = gateway.schema().list_collections(request).await?.into_inner();
    export::answer(&gateway, form, export::OF_SCHEMA, &found.json)
}

/// GET /collections/:collection
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, CollectionRequest { collection });
    Ok(answer::of(&gateway.schema().get_collection(request).await?.into_inner().json))
}

/// POST /collections
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    ConcurrentIndexes(concurrent_indexes): ConcurrentIndexes,
    body: JsonBody,
) -> Result<Response, Failure> {
    let message = CreateCollectionRequest { definition: body.0, concurrent_indexes };
    let request = gateway.call(&caller, message);
    Ok(answer::of(&gateway.schema().create_collection(request).await?.into_inner().json))
}

/// PATCH /collections/:collection
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, UpdateCollectionRequest { collection, changes: body.0 });
    Ok(answer::of(&gateway.schema().update_collection(request).await?.into_inner().json))
}

/// PATCH /collections
pub async fn update_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, UpdateCollectionsRequest { changes: body.0 });
    Ok(answer::of(&gateway.schema().update_collections(request).await?.into_inner().json))
}

/// DELETE /collections/:collection
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, CollectionRequest { collection });
    gateway.schema().delete_collection(request).await?;
    Ok(answer::empty())
}
