//! The guest of a share comes in: one look-up, one verification, one answer for all that is refused.

use limits::Tried;
use model::{Error as Told, ErrorCode};
use proto::auth::v1::{LoginShareRequest, TokensResponse};
use rpc::Caller;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{attempts, open};
use crate::attempts::stall;
use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, events, login, session, tokens};

/// Longest password that is looked at, in bytes.
const LONGEST: usize = 1_024;

/// Lets a guest in.
pub async fn login(
    state: &State,
    caller: &Caller,
    request: LoginShareRequest,
) -> Result<TokensResponse, Error> {
    let started = Instant::now();
    let share: Uuid =
        request.share.parse().map_err(|_| Told::invalid_payload("\"share\" must be a valid GUID"))?;
    let address = caller.accountability.ip.as_deref();
    let tried = state.attempts.begin(Tried::Credentials, address, None, &*state.clock).await?;
    let done = attempt(state, caller, share, request).await;
    if matches!(&done, Err(Error::Refused(told)) if told.code.status() == 401) {
        tried.failed().await;
    }
    if login::count(state, &done) == "refused" {
        stall(state, started).await;
    }
    done
}

async fn attempt(
    state: &State,
    caller: &Caller,
    share: Uuid,
    request: LoginShareRequest,
) -> Result<TokensResponse, Error> {
    let refused = || Error::from(Told::new(ErrorCode::InvalidCredentials));
    let (now, from) = (state.clock.now(), &caller.accountability);
    let password = request.password.unwrap_or_default();
    let found = candidate(&state.db, share, now).await?;
    if !matches!(found, Some(None)) {
        let (known, address) = (found.is_some(), from.ip.as_deref().unwrap_or_default());
        if known {
            attempts::check(&state.db, share, address, now).await?;
        }
        let short = password.len() <= LONGEST;
        let stored = found.clone().flatten().filter(|_| short);
        if !state.hasher.verify(if short { password } else { String::new() }, stored).await? {
            if known {
                attempts::failed(&state.db, share, address, now).await?;
            }
            return Err(refused());
        }
    }
    let mode = Mode::of(request.session_token);
    let refresh = RefreshToken::fresh()?;
    let mut transaction = state.db.begin().await?;
    let password = found.flatten();
    let times_used = take(&mut transaction, share, password.as_deref(), now).await?.ok_or_else(refused)?;
    let lifetime = mode.refresh_lifetime(&state.config);
    session::open_guest(&mut transaction, &refresh, share, now, lifetime, from).await?;
    let answer = tokens::issue_guest(state, share, &refresh, mode, now)?;
    events::share_used(&mut transaction, state, caller, share, times_used).await?;
    transaction.commit().await?;
    state.appended().await;
    Ok(answer)
}

/// The stored password of a share that may be used now, `Some(None)` of one that has none.
async fn candidate(
    executor: impl PgExecutor<'_>,
    share: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Option<String>>, Error> {
    const FIND: &str = concat!(
        "SELECT nullif(s.password, '') FROM directus_shares s LEFT JOIN directus_users u ON u.id = s.user_created
        WHERE s.id = $1 AND (s.max_uses IS NULL OR coalesce(s.times_used, 0) < s.max_uses) AND ",
        open!()
    );
    Ok(sqlx::query_scalar(FIND).bind(share).bind(now).fetch_optional(executor).await?)
}

/// Uses it once, if it may still be used by this password; gives how often it was used. Of many at once no more come in than
/// may.
async fn take(
    connection: &mut PgConnection,
    share: Uuid,
    password: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<i32>, Error> {
    const TAKE: &str = concat!(
        "UPDATE directus_shares SET times_used = coalesce(times_used, 0) + 1 WHERE id = (
            SELECT s.id FROM directus_shares s LEFT JOIN directus_users u ON u.id = s.user_created
            WHERE s.id = $1 AND ",
        open!(),
        ") AND (max_uses IS NULL OR coalesce(times_used, 0) < max_uses)
            AND nullif(password, '') IS NOT DISTINCT FROM $3
        RETURNING times_used"
    );
    let taken = sqlx::query_scalar(TAKE).bind(share).bind(now).bind(password);
    Ok(taken.fetch_optional(connection).await?)
}
