//! `/users/me`, `/roles/me`: the caller himself.

use axum::extract::State;
use axum::response::Response;
use model::{Error, ErrorCode, Filter, Operator};
use proto::items::v1::ReadItemRequest;
use query::{Meta, Query};
use serde_json::{Value, json};

use super::items::{self, Item};
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::export;
use crate::failure::Failure;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::read_query::{ReadQuery, Wanted};
use crate::state::Gateway;

/// GET /users/me: the caller's own item, or his id alone when he may not read it.
pub async fn me(
    State(gateway): State<Gateway>,
    caller: Caller,
    Wanted { query, export, .. }: Wanted,
) -> Result<Response, Failure> {
    let user = himself(&caller)?;
    let collection = "directus_users".to_owned();
    let request = ReadItemRequest { collection, key: user.clone(), query, tags: false };
    match gateway.read_item(&caller, request).await.map_err(Failure::from) {
        Ok(found) => {
            let response = export::answer(&gateway, export, "directus_users", &found.item)?;
            Ok(answer::versioned(response, found.version))
        }
        Err(failure) if failure.code() == ErrorCode::Forbidden && !caller.accountability.admin => {
            Ok(answer::value(&json!({ "id": user })))
        }
        Err(failure) => Err(failure),
    }
}

/// PATCH /users/me: the caller changes his own item.
pub async fn update_me(
    State(gateway): State<Gateway>,
    caller: Caller,
    ReadQuery(query): ReadQuery,
    precautions: (IdempotencyKey, IfMatch),
    body: JsonBody,
) -> Result<Response, Failure> {
    let (collection, key) = ("directus_users".to_owned(), himself(&caller)?);
    items::update_one(&gateway, &caller, Item { collection, key }, query, precautions, &body).await
}

/// GET /roles/me: the caller's role and those above it, or their ids alone when he may not read them.
pub async fn my_roles(
    State(gateway): State<Gateway>,
    caller: Caller,
    Wanted { query, export, .. }: Wanted,
) -> Result<Response, Failure> {
    if caller.accountability.user.is_none() {
        return Err(Error::forbidden().into());
    }
    let ids: Vec<String> = caller.accountability.roles.iter().map(ToString::to_string).collect();
    let mut query = if query.is_empty() { Query::default() } else { Query::from_bytes(&query)? };
    let own =
        Filter::Compare { field: "id".to_owned(), function: None, operator: Operator::In, value: json!(ids) };
    query.filter = Some(Filter::And(query.filter.into_iter().chain([own]).collect()));
    let collection = "directus_roles".to_owned();
    query.meta = Meta::default();
    let wanted = Wanted::new(&query, export);
    match items::read_items(&gateway, &caller, collection, wanted, None).await {
        Err(failure) if failure.code() == ErrorCode::Forbidden && !caller.accountability.admin => {
            // The topmost role comes first.
            let ids = ids.into_iter().rev().map(|id| json!({ "id": id }));
            Ok(answer::value(&ids.collect::<Value>()))
        }
        answered => answered,
    }
}

/// The id of the user who calls.
fn himself(caller: &Caller) -> Result<String, Error> {
    let user = caller.accountability.user.map(|user| user.to_string());
    user.ok_or_else(|| Error::new(ErrorCode::InvalidCredentials))
}
