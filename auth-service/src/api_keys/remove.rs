//! Operation `DeleteApiKey`.

use model::Error as Told;
use proto::auth::v1::{ApiKeyRequest, DeleteApiKeyResponse};
use rpc::Caller;

use super::{id, whose};
use crate::state::State;
use crate::{Error, events};

/// Ends a key for ever; every process that remembers it learns so from the control row.
pub async fn remove(
    state: &State,
    caller: &Caller,
    request: ApiKeyRequest,
) -> Result<DeleteApiKeyResponse, Error> {
    const DELETE: &str =
        r#"DELETE FROM eventus.api_keys WHERE id = $1 AND ($2::uuid IS NULL OR "user" = $2)"#;
    let (own, id) = (whose(caller)?, id(&request.id)?);
    let mut transaction = state.db.begin().await?;
    let gone = sqlx::query(DELETE).bind(id).bind(own).execute(&mut *transaction).await?;
    if gone.rows_affected() == 0 {
        return Err(Told::forbidden().into());
    }
    db::control::bump(&mut transaction, "sessions").await?;
    events::api_key(&mut transaction, state, caller, "delete", &id.to_string(), None).await?;
    transaction.commit().await?;
    state.session_ended().await;
    Ok(DeleteApiKeyResponse {})
}
