//! Operations `ListApiKeys` and `GetApiKey`.

use model::Error as Told;
use proto::auth::v1::{ApiKey, ApiKeyRequest, ListApiKeysRequest, ListApiKeysResponse};
use rpc::Caller;

use super::{columns, id, read, whose};
use crate::Error;
use crate::state::State;

/// Most keys of one answer, and how many where nothing is said.
const MOST: u32 = 1_000;
const USUAL: u32 = 100;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    r#" FROM eventus.api_keys WHERE ($1::uuid IS NULL OR "user" = $1) ORDER BY created DESC, id LIMIT $2 OFFSET $3"#
);

const ONE: &str = concat!(
    "SELECT ",
    columns!(),
    r#" FROM eventus.api_keys WHERE id = $1 AND ($2::uuid IS NULL OR "user" = $2)"#
);

/// Keys, youngest first.
pub async fn list(
    state: &State,
    caller: &Caller,
    request: ListApiKeysRequest,
) -> Result<ListApiKeysResponse, Error> {
    let own = whose(caller)?;
    let wanted = request.user.as_deref().map(id).transpose()?;
    if own.is_some() && wanted.is_some() && own != wanted {
        return Err(Told::forbidden().into());
    }
    let limit = if request.limit == 0 { USUAL } else { request.limit.min(MOST) };
    let rows = sqlx::query(LIST)
        .bind(own.or(wanted))
        .bind(i64::from(limit))
        .bind(i64::from(request.offset))
        .fetch_all(&state.db)
        .await?;
    Ok(ListApiKeysResponse { api_keys: rows.iter().map(read).collect::<Result<_, _>>()? })
}

/// One key.
pub async fn get(state: &State, caller: &Caller, request: ApiKeyRequest) -> Result<ApiKey, Error> {
    let own = whose(caller)?;
    let row = sqlx::query(ONE).bind(id(&request.id)?).bind(own).fetch_optional(&state.db).await?;
    read(&row.ok_or_else(Told::forbidden)?)
}
