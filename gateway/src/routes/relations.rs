//! `/relations`: references between collections.

use axum::extract::State;
use axum::response::Response;
use proto::schema::v1::{CreateRelationRequest, FieldRequest, ListFieldsRequest, UpdateFieldRequest};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::export;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::Form;
use crate::state::Gateway;

/// GET /relations
pub async fn list(gateway: State<Gateway>, caller: Caller, form: Form) -> Result<Response, Failure> {
    list_of(gateway, caller, form, Names(String::new())).await
}

/// GET /relations/:collection
pub async fn list_of(
    State(gateway): State<Gateway>,
    caller: Caller,
    Form(form): Form,
    Names(collection): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ListFieldsRequest { collection });
    let found = gateway.schema().list_relations(request).await?.into_inner();
    export::answer(&gateway, form, export::OF_SCHEMA, &found.json)
}

/// POST /relations
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, CreateRelationRequest { definition: body.0 });
    Ok(answer::of(&gateway.schema().create_relation(request).await?.into_inner().json))
}

/// GET /relations/:collection/:field
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, FieldRequest { collection, field });
    Ok(answer::of(&gateway.schema().get_relation(request).await?.into_inner().json))
}

/// PATCH /relations/:collection/:field
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let request = gateway
        .call(&caller, UpdateFieldRequest { collection, field, changes: body.0, concurrent_indexes: false });
    Ok(answer::of(&gateway.schema().update_relation(request).await?.into_inner().json))
}

/// DELETE /relations/:collection/:field
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names((collection, field)): Names<(String, String)>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, FieldRequest { collection, field });
    gateway.schema().delete_relation(request).await?;
    Ok(answer::empty())
}
