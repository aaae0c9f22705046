//! A user whom his provider vouches for gets a session.

use model::{Error as Told, ErrorCode};
use proto::auth::v1::TokensResponse;
use rpc::Caller;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, access, events, session, tokens};

/// Who comes in, and how.
pub struct Entry<'a> {
    pub user: Uuid,
    pub provider: &'a str,
    /// One token for all (`MODE` session).
    pub session: bool,
}

/// Opens a session; `None` when the user is not active or not this provider's any more.
///
/// # Errors
/// `INVALID_OTP` for a second factor.
pub async fn enter(
    state: &State,
    caller: &Caller,
    entry: &Entry<'_>,
) -> Result<Option<TokensResponse>, Error> {
    let (mode, now, from) = (Mode::of(entry.session), state.clock.now(), &caller.accountability);
    let refresh = RefreshToken::fresh()?;
    let mut transaction = state.db.begin().await?;
    match standing(&mut *transaction, entry).await? {
        None => return Ok(None),
        // Second factors can't be checked yet: whoever has one is not let in without it.
        Some(true) => return Err(Told::new(ErrorCode::InvalidOtp).into()),
        Some(false) => {}
    }
    let Some(known) = access::of_user(&mut *transaction, entry.user).await? else { return Ok(None) };
    let answer = tokens::issue(state, (&known, from.ip.as_deref()), &refresh, mode, now)?;
    let lifetime = mode.refresh_lifetime(&state.config);
    session::open(&mut transaction, &refresh, entry.user, now, lifetime, from).await?;
    events::login(&mut transaction, state, caller, &known, entry.provider).await?;
    transaction.commit().await?;
    state.appended().await;
    state.seen.note(entry.user, now);
    Ok(Some(answer))
}

/// Whether the user has a second factor; `None` when he may not come in. The lock makes a change of his standing, which
/// ends his sessions, wait for this one, or makes this wait for the change.
async fn standing(executor: impl PgExecutor<'_>, entry: &Entry<'_>) -> Result<Option<bool>, Error> {
    const STANDING: &str = "SELECT coalesce(tfa_secret, '') <> '' FROM directus_users
        WHERE id = $1 AND provider = $2 AND status = 'active' FOR KEY SHARE";
    Ok(sqlx::query_scalar(STANDING).bind(entry.user).bind(entry.provider).fetch_optional(executor).await?)
}
