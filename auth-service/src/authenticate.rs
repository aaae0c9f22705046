//! Authenticate: an access token, an API key, a static token or none -> who acts, from the database as it is now.
//!
//! One SQL round trip, two for API keys. Nothing in an access token but user and session is believed.

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{AuthenticateRequest, AuthenticateResponse};

use crate::access::Known;
use crate::api_keys::{self, Held};
use crate::session::Standing;
use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::{self, Claims};
use crate::{Error, access};

/// Authenticates a credential.
pub async fn authenticate(
    state: &State,
    request: AuthenticateRequest,
) -> Result<AuthenticateResponse, Error> {
    if api_keys::looks_like(&request.token)
        && let Some(held) = api_keys::held(state, &request.token).await?
    {
        return by_api_key(state, held);
    }
    if request.token.is_empty() {
        return Ok(access::of_public(&state.db).await?.answer(None, 0));
    }
    let (known, session, valid_until) = if tokens::looks_like_jwt(&request.token) {
        let claims = tokens::read(state, &request.token, state.clock.now())?;
        (by_session(state, &claims).await?, Some(claims.sid), claims.exp.saturating_mul(1_000))
    } else {
        (by_static_token(state, &request.token).await?, None, 0)
    };
    let known = active(known)?;
    state.seen.note(known.user, state.clock.now());
    Ok(known.answer(session, valid_until))
}

fn active(known: Option<Known>) -> Result<Known, Told> {
    let active = known.filter(|known| known.status == "active");
    active.ok_or_else(|| Told::new(ErrorCode::InvalidCredentials))
}

fn by_api_key(state: &State, held: Held) -> Result<AuthenticateResponse, Error> {
    let known = active(held.known)?;
    state.seen.note(known.user, state.clock.now());
    state.keys_seen.note(held.id, state.clock.now());
    let ends = held.expires.map_or(0, |end| end.unix_timestamp_nanos() / 1_000_000);
    let mut answer = known.answer(None, i64::try_from(ends).unwrap_or(i64::MAX));
    if let Some(accountability) = &mut answer.accountability {
        accountability.api_key = Some(held.id.to_string());
        accountability.read_only = held.read_only;
    }
    Ok(answer)
}

async fn by_static_token(state: &State, token: &str) -> Result<Option<Known>, Error> {
    let Some(forms) = secrets::stored_forms(token) else { return Ok(None) };
    access::of_static_token(&state.db, &forms).await
}

async fn by_session(state: &State, claims: &Claims) -> Result<Option<Known>, Error> {
    let known = access::of_session(&state.db, claims.id, &claims.sid).await?;
    Ok(known.filter(|known| lives(state, claims, known)))
}

/// Whether the session of an access token lives; in session mode also whether the refresh token in it is still the
/// good one or the one just before it.
fn lives(state: &State, claims: &Claims, known: &Known) -> bool {
    let now = state.clock.now();
    let Some((Some(chain), expires)) = &known.session else { return false };
    if *expires <= now {
        return false;
    }
    let Some(session) = &claims.session else { return true };
    RefreshToken::parse(session).is_some_and(|token| {
        chain.standing(&token, &state.succession, now, state.config.refresh_grace) != Standing::Stale
    })
}
