//! `/users/me`: the caller himself.

use axum::extract::State;
use axum::response::Response;
use model::{Error, ErrorCode};
use proto::items::v1::ReadItemRequest;
use serde_json::json;

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::read_query::ReadQuery;
use crate::state::Gateway;

/// GET /users/me: the caller's own item, or his id alone when he may not read it.
pub async fn me(
    State(gateway): State<Gateway>,
    caller: Caller,
    ReadQuery(query): ReadQuery,
) -> Result<Response, Failure> {
    let Some(user) = caller.accountability.user else {
        return Err(Error::new(ErrorCode::InvalidCredentials).into());
    };
    let collection = "directus_users".to_owned();
    let request = gateway.call(&caller, ReadItemRequest { collection, key: user.to_string(), query });
    match gateway.items().read_item(request).await.map_err(Failure::from) {
        Ok(found) => Ok(answer::of(&found.into_inner().item)),
        Err(failure) if failure.code() == ErrorCode::Forbidden && !caller.accountability.admin => {
            Ok(answer::value(&json!({ "id": user.to_string() })))
        }
        Err(failure) => Err(failure),
    }
}
