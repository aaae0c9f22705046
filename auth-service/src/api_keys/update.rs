//! Operation `UpdateApiKey`. Its text stays as it is.

use model::Error as Told;
use proto::auth::v1::{ApiKey, UpdateApiKeyRequest};
use rpc::Caller;
use uuid::Uuid;

use super::{checked_end, checked_name, checked_policies, columns, id, read, told, whose};
use crate::state::State;
use crate::{Error, events};

/// `$3`, `$5`, `$7`: whether what follows is to be set.
const UPDATE: &str = concat!(
    "UPDATE eventus.api_keys SET name = coalesce($2, name),
        policies = CASE WHEN $3 THEN $4 ELSE policies END, read_only = coalesce($5, read_only),
        expires = CASE WHEN $6 THEN $7 ELSE expires END
     WHERE id = $1 RETURNING ",
    columns!()
);

/// Changes a key.
pub async fn update(state: &State, caller: &Caller, request: UpdateApiKeyRequest) -> Result<ApiKey, Error> {
    const LOCK: &str = r#"SELECT "user" FROM eventus.api_keys
        WHERE id = $1 AND ($2::uuid IS NULL OR "user" = $2) FOR UPDATE"#;
    let (own, id) = (whose(caller)?, id(&request.id)?);
    request.name.as_deref().map(checked_name).transpose()?;
    let end = request.expires.as_deref().filter(|text| !text.is_empty());
    let end = end.map(|text| checked_end(text, state.clock.now())).transpose()?;
    let mut transaction = state.db.begin().await?;
    let user: Option<Uuid> =
        sqlx::query_scalar(LOCK).bind(id).bind(own).fetch_optional(&mut *transaction).await?;
    let user = user.ok_or_else(Told::forbidden)?;
    let narrows = request.policies.is_some();
    let policies = checked_policies(&mut transaction, user, request.policies).await?;
    let row = sqlx::query(UPDATE)
        .bind(id)
        .bind(&request.name)
        .bind(narrows)
        .bind(policies)
        .bind(request.read_only)
        .bind(request.expires.is_some())
        .bind(end)
        .fetch_one(&mut *transaction)
        .await?;
    let changed = read(&row)?;
    db::control::bump(&mut transaction, "sessions").await?;
    events::api_key(&mut transaction, state, caller, "update", &changed.id, Some(told(&changed))).await?;
    transaction.commit().await?;
    state.session_ended().await;
    Ok(changed)
}
