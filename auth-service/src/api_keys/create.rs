//! Operation `CreateApiKey`. Its answer alone holds the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Error as Told;
use proto::auth::v1::{CreateApiKeyRequest, CreateApiKeyResponse};
use rpc::Caller;

use super::{
    PREFIX, SHOWN, checked_end, checked_name, checked_policies, columns, hashed, id, read, told, whose,
};
use crate::state::State;
use crate::{Error, events};

const CREATE: &str = concat!(
    r#"INSERT INTO eventus.api_keys (id, name, hash, prefix, "user", policies, read_only, expires, created, created_by)
       SELECT $1, $2, $3, $4, u.id, $6, $7, $8, $9, $10 FROM directus_users u WHERE u.id = $5 FOR KEY SHARE
       RETURNING "#,
    columns!()
);

/// Makes a key.
pub async fn create(
    state: &State,
    caller: &Caller,
    request: CreateApiKeyRequest,
) -> Result<CreateApiKeyResponse, Error> {
    let (own, by) = (whose(caller)?, caller.accountability.user);
    let user = match &request.user {
        Some(text) => id(text).ok(),
        None => by,
    };
    let user = user.filter(|user| own.is_none_or(|own| own == *user)).ok_or_else(Told::forbidden)?;
    let now = state.clock.now();
    checked_name(&request.name)?;
    let expires = request.expires.as_deref().map(|text| checked_end(text, now)).transpose()?;
    let mut random = [0; 32];
    secrets::random(&mut random)?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let mut transaction = state.db.begin().await?;
    let policies = checked_policies(&mut transaction, user, request.policies).await?;
    let row = sqlx::query(CREATE)
        .bind(state.ids.ordered())
        .bind(&request.name)
        .bind(hashed(&key))
        .bind(&key[..SHOWN])
        .bind(user)
        .bind(policies)
        .bind(request.read_only)
        .bind(expires)
        .bind(now)
        .bind(by)
        .fetch_optional(&mut *transaction)
        .await?;
    let made = read(&row.ok_or_else(Told::forbidden)?)?;
    events::api_key(&mut transaction, state, caller, "create", &made.id, Some(told(&made))).await?;
    transaction.commit().await?;
    state.appended().await;
    Ok(CreateApiKeyResponse { api_key: Some(made), key })
}
