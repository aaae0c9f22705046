//! A user whom his provider vouches for gets a session.

use model::{Error as Told, ErrorCode};
use proto::auth::v1::TokensResponse;
use rpc::Caller;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, access, attempts, events, second_factor, session, tokens};

/// Who comes in, and how.
pub struct Entry<'a> {
    pub user: Uuid,
    pub provider: &'a str,
    /// One-time password, if he gave one.
    pub otp: Option<&'a str>,
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
    let Some(secret) = standing(&mut *transaction, entry).await? else { return Ok(None) };
    if let Some(secret) = secret {
        let otp = entry.otp.unwrap_or_default();
        if !second_factor::accepts(&mut transaction, state, entry.user, &secret, otp).await? {
            drop(transaction);
            // One that is only missing was no attempt to guess it.
            if entry.otp.is_some() {
                attempts::failed(state, caller, entry.user).await?;
            }
            return Err(Told::new(ErrorCode::InvalidOtp).into());
        }
    }
    let Some(known) = access::of_user(&mut *transaction, entry.user).await? else { return Ok(None) };
    let ip = from.ip.as_deref();
    let enforce_tfa = second_factor::is_missing(&mut *transaction, &known, ip).await?;
    let answer = tokens::issue(state, (&known, ip, enforce_tfa), &refresh, mode, now)?;
    let lifetime = mode.refresh_lifetime(&state.config);
    session::open(&mut transaction, &refresh, entry.user, now, lifetime, from).await?;
    attempts::forget(&mut *transaction, entry.user).await?;
    events::login(&mut transaction, state, caller, &known, entry.provider).await?;
    transaction.commit().await?;
    state.appended().await;
    state.seen.note(entry.user, now);
    Ok(Some(answer))
}

/// The secret of the user's second factor, if he has one; `None` when he may not come in. The lock makes a change of his
/// standing, which ends his sessions, wait for this one, or makes this wait for the change.
async fn standing(executor: impl PgExecutor<'_>, entry: &Entry<'_>) -> Result<Option<Option<String>>, Error> {
    const STANDING: &str = concat!(
        r#"SELECT nullif(u.tfa_secret, '') FROM directus_users u
        WHERE u.id = $1 AND u.provider = $2 AND u.status = 'active' AND NOT EXISTS (
            SELECT FROM eventus.logins l WHERE l."user" = u.id AND "#,
        attempts::exhausted!(),
        ") FOR KEY SHARE OF u"
    );
    Ok(sqlx::query_scalar(STANDING).bind(entry.user).bind(entry.provider).fetch_optional(executor).await?)
}
