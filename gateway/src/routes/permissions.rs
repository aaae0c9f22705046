//! `/permissions/me` and `/policies/me/globals`: what the caller may do.

use axum::extract::State;
use axum::response::Response;
use proto::schema::v1::{GetItemPermissionsRequest, GetPermissionsRequest};

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

type Answer = Result<Response, Failure>;

/// GET /permissions/me
pub async fn mine(State(gateway): State<Gateway>, caller: Caller) -> Answer {
    let request = gateway.call(&caller, GetPermissionsRequest {});
    Ok(answer::of(&gateway.schema().get_permissions(request).await?.into_inner().json))
}

/// GET /permissions/me/:collection
pub async fn of_singleton(
    gateway: State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
) -> Answer {
    of(gateway, caller, GetItemPermissionsRequest { collection, key: None }).await
}

/// GET /permissions/me/:collection/:key
pub async fn of_item(
    gateway: State<Gateway>,
    caller: Caller,
    Names((collection, key)): Names<(String, String)>,
) -> Answer {
    of(gateway, caller, GetItemPermissionsRequest { collection, key: Some(key) }).await
}

async fn of(State(gateway): State<Gateway>, caller: Caller, request: GetItemPermissionsRequest) -> Answer {
    let request = gateway.call(&caller, request);
    Ok(answer::of(&gateway.schema().get_item_permissions(request).await?.into_inner().json))
}

/// GET /policies/me/globals
pub async fn globals(State(gateway): State<Gateway>, caller: Caller) -> Answer {
    let request = gateway.call(&caller, GetPermissionsRequest {});
    Ok(answer::of(&gateway.schema().get_globals(request).await?.into_inner().json))
}
