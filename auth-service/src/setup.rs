//! The first administrator, made by whoever comes first to a project that has none.

use model::Error as Told;
use proto::accounts::v1 as pb;

use crate::bootstrap::{FirstAdmin, Given, bootstrap, has_admin};
use crate::config::Secret;
use crate::state::State;
use crate::{Error, people};

/// Whether somebody has.
pub async fn read(state: &State) -> Result<pb::ReadSetUpResponse, Error> {
    let mut connection = state.db.acquire().await?;
    let completed = has_admin(&mut connection).await?;
    Ok(pb::ReadSetUpResponse { completed })
}

/// Sets the project up.
pub async fn set_up(state: &State, request: pb::SetUpRequest) -> Result<pb::SetUpResponse, Error> {
    if !people::is_address(&request.email) {
        return Err(Told::invalid_payload("\"project_owner\" must be a valid email").into());
    }
    let admin = FirstAdmin {
        email: request.email,
        password: Given::Is(Secret::new(request.password)),
        token: Given::None,
    };
    let made = match bootstrap(&state.db, &admin, &*state.ids).await {
        // There is such a user, but no administrator: who he is does not become one by asking.
        Err(Error::EmailTaken) => return Err(Told::forbidden().into()),
        made => made?,
    };
    let user = made.admin.ok_or_else(Told::forbidden)?;
    sqlx::query(
        "UPDATE directus_users SET first_name = coalesce(left($2, 50), first_name),
             last_name = coalesce(left($3, 50), last_name) WHERE id = $1",
    )
    .bind(user)
    .bind(request.first_name)
    .bind(request.last_name)
    .execute(&state.db)
    .await?;
    if let Some(name) = request.project_name.filter(|name| !name.is_empty()) {
        sqlx::query("UPDATE directus_settings SET project_name = left($1, 100)")
            .bind(name)
            .execute(&state.db)
            .await?;
    }
    state.appended().await;
    Ok(pb::SetUpResponse {})
}
