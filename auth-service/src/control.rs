//! Control: the versions of what processes keep in memory, for those without a database of their own.

use proto::auth::v1::ControlResponse;

use crate::Error;
use crate::state::State;

/// Reads the versions, from the database at the call.
pub async fn control(state: &State) -> Result<ControlResponse, Error> {
    let versions = db::control::versions(&state.db).await?;
    Ok(ControlResponse { versions })
}
