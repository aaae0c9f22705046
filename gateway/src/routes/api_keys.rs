//! `/api-keys`: keys for programs, with a user's rights or less. Everybody's own; administrators' everybody's.

use axum::extract::State;
use axum::response::Response;
use proto::auth::v1::{
    ApiKey, ApiKeyPolicies, ApiKeyRequest, CreateApiKeyRequest, ListApiKeysRequest, UpdateApiKeyRequest,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::Parameters;
use crate::state::Gateway;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    user: Option<String>,
    policies: Option<Vec<String>>,
    #[serde(default)]
    read_only: bool,
    expires: Option<String>,
}

/// What is absent stays, what is null is taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    policies: Option<Option<Vec<String>>>,
    read_only: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    expires: Option<Option<String>>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// GET /api-keys?limit=&offset=&user=
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let user = Some(parameters.text("user")).filter(|user| !user.is_empty());
    let limit = parameters.number("limit")?.unwrap_or_default();
    let request =
        ListApiKeysRequest { limit, offset: parameters.number("offset")?.unwrap_or_default(), user };
    let found = gateway.api_keys().list_api_keys(gateway.call(&caller, request)).await?.into_inner();
    Ok(answer::value(&found.api_keys.into_iter().map(shown).collect::<Vec<Value>>()))
}

/// GET /api-keys/:id
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ApiKeyRequest { id });
    Ok(answer::value(&shown(gateway.api_keys().get_api_key(request).await?.into_inner())))
}

/// POST /api-keys: the answer alone shows the key.
pub async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    let NewKey { name, user, policies, read_only, expires } = body.parse()?;
    let policies = policies.map(|ids| ApiKeyPolicies { all: false, ids });
    let request = CreateApiKeyRequest { name, user, policies, read_only, expires };
    let made = gateway.api_keys().create_api_key(gateway.call(&caller, request)).await?.into_inner();
    let mut answered = shown(made.api_key.unwrap_or_default());
    answered["key"] = Value::from(made.key);
    Ok(answer::value(&answered))
}

/// PATCH /api-keys/:id
pub async fn update(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
    body: JsonBody,
) -> Result<Response, Failure> {
    let Changes { name, policies, read_only, expires } = body.parse()?;
    let policies = policies.map(|ids| ApiKeyPolicies { all: ids.is_none(), ids: ids.unwrap_or_default() });
    let expires = expires.map(Option::unwrap_or_default);
    let request = UpdateApiKeyRequest { id, name, policies, read_only, expires };
    Ok(answer::value(&shown(
        gateway.api_keys().update_api_key(gateway.call(&caller, request)).await?.into_inner(),
    )))
}

/// DELETE /api-keys/:id
pub async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    gateway.api_keys().delete_api_key(gateway.call(&caller, ApiKeyRequest { id })).await?;
    Ok(answer::empty())
}

fn shown(key: ApiKey) -> Value {
    let policies = key.policies.filter(|policies| !policies.all).map(|policies| policies.ids);
    json!({
        "id": key.id, "name": key.name, "prefix": key.prefix, "user": key.user, "policies": policies,
        "read_only": key.read_only, "expires": key.expires, "last_used": key.last_used,
        "created": key.created, "created_by": key.created_by,
    })
}
