//! Where in the app somebody is. As `last_access` it is written beside the log: it is nothing that happened to his item.

use model::Error as Told;
use proto::accounts::v1 as pb;
use rpc::Caller;

use crate::Error;
use crate::second_factor::himself;
use crate::state::State;

/// What its column holds.
const LONGEST: usize = 255;

/// Notes it.
pub async fn track(
    state: &State,
    caller: &Caller,
    request: pb::TrackPageRequest,
) -> Result<pb::TrackPageResponse, Error> {
    let user = himself(caller)?;
    let page = request.last_page;
    if page.chars().count() > LONGEST || page.contains('\0') {
        return Err(Told::invalid_payload("\"last_page\" is too long").into());
    }
    sqlx::query("UPDATE directus_users SET last_page = $2 WHERE id = $1")
        .bind(user)
        .bind(page)
        .execute(&state.db)
        .await?;
    Ok(pb::TrackPageResponse {})
}
