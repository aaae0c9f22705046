//! `/fields`: fields of one collection or of all.

use axum::extract::State;
use axum::response::Response;
use proto::schema::v1::{
    CreateFieldRequest, FieldRequest, ListFieldsRequest, UpdateFieldRequest, UpdateFieldsRequest,
};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::export;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::{ConcurrentIndexes, Form};
use crate::state::Gateway;

/// GET /fields
pub async fn list(gateway: State<Gateway>, caller: Caller, form: Form) -> Result<Response, Failure> {
    list_of(gateway, caller, form, Names(String::new())).await
}

/// GET /fields/:collection
pub async fn list_of(
    State(gateway): State<Gateway>,
    caller: Caller,
    Form(form): Form,
    Names(collection): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ListFieldsRequest { collection });
    let found = gateway.schema().list_fields(request).await?.into_inner();
    export::answer(&gateway, form, export::OF_SCHEMA, &found.json)
}

/// GET /fields/:collection/:field
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, FieldRequest { collection, field });
    Ok(answer::of(&gateway.schema().get_field(request).await?.into_inner().json))
}

/// POST /fields/:collection
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    ConcurrentIndexes(concurrent_indexes): ConcurrentIndexes,
    body: JsonBody,
) -> Result<Response, Failure> {
    let message = CreateFieldRequest { collection, definition: body.0, concurrent_indexes };
    let request = gateway.call(&caller, message);
    Ok(answer::of(&gateway.schema().create_field(request).await?.into_inner().json))
}

/// PATCH /fields/:collection/:field
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
    ConcurrentIndexes(concurrent_indexes): ConcurrentIndexes,
    body: JsonBody,
) -> Result<Response, Failure> {
    let message = UpdateFieldRequest { collection, field, changes: body.0, concurrent_indexes };
    let request = gateway.call(&caller, message);
    Ok(answer::of(&gateway.schema().update_field(request).await?.into_inner().json))
}

/// PATCH /fields/:collection
pub async fn update_many(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, UpdateFieldsRequest { collection, changes: body.0 });
    Ok(answer::of(&gateway.schema().update_fields(request).await?.into_inner().json))
}

/// DELETE /fields/:collection/:field
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, FieldRequest { collection, field });
    gateway.schema().delete_field(request).await?;
    Ok(answer::empty())
}
