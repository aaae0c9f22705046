//! Logout: ends the session of a refresh token, and with it its access tokens, in every process within a second.

use proto::auth::v1::{LogoutRequest, LogoutResponse};
use rpc::Caller;

use crate::state::State;
use crate::{Error, events, refresh, session};

/// Logs out. An unknown token is as good as one that was logged out.
pub async fn logout(state: &State, caller: &Caller, request: LogoutRequest) -> Result<LogoutResponse, Error> {
    let token = match refresh::presented(&request.refresh_token) {
        Ok(token) => token,
        Err(Error::Refused(told)) if told.code.status() == 401 => return Ok(LogoutResponse {}),
        Err(error) => return Err(error),
    };
    let mut transaction = state.db.begin().await?;
    if let Some(locked) = session::lock(&mut transaction, &token).await? {
        session::end(&mut transaction, &locked.id).await?;
        events::logout(&mut transaction, state, caller, &locked, "logout").await?;
        transaction.commit().await?;
        state.session_ended().await;
    }
    Ok(LogoutResponse {})
}
