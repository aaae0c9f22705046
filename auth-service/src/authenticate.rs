//! Authenticate: an access token, an API key, a static token or none -> who acts, from the database as it is now.
//!
//! One SQL round trip, two for API keys. Nothing in an access token but user and session is believed.

use model::{Accountability, Error as Told, ErrorCode};
use proto::auth::v1::{AuthenticateRequest, AuthenticateResponse};
use rpc::convert;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Known;
use crate::api_keys::{self, Held};
use crate::session::{Chain, Standing};
use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::{self, Claims};
use crate::{Error, access, shares};

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
        if let Some(share) = claims.share {
            return guest(state, share, &claims).await;
        }
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
    let Some(user) = claims.id else { return Ok(None) };
    let known = access::of_session(&state.db, user, &claims.sid).await?;
    Ok(known.filter(|known| lives(state, claims, known.session.as_ref())))
}

/// The guest of a share has no rights of his own: what the share lets him see is for the engine of permissions to say.
async fn guest(state: &State, share: Uuid, claims: &Claims) -> Result<AuthenticateResponse, Error> {
    let found = shares::of_session(state, share, &claims.sid).await?;
    let found = found.filter(|guest| lives(state, claims, Some(&guest.session)));
    let guest = found.ok_or_else(|| Told::new(ErrorCode::InvalidCredentials))?;
    let accountability = Accountability {
        session: Some(claims.sid.clone()),
        share: Some(share),
        share_scope: Some(Box::new(guest.scope)),
        ..Accountability::default()
    };
    // It may end before the token does.
    let end = claims.exp.saturating_mul(1_000).min(guest.until);
    Ok(AuthenticateResponse {
        accountability: Some(convert::to_proto(&accountability)),
        valid_until: end,
        held: Vec::new(),
    })
}

/// Whether the session of an access token lives; in session mode also whether the refresh token in it is still the
/// good one or the one just before it.
fn lives(state: &State, claims: &Claims, session: Option<&(Option<Chain>, OffsetDateTime)>) -> bool {
    let now = state.clock.now();
    let Some((Some(chain), expires)) = session else { return false };
    if *expires <= now {
        return false;
    }
    let Some(session) = &claims.session else { return true };
    RefreshToken::parse(session).is_some_and(|token| {
        chain.standing(&token, &state.succession, now, state.config.refresh_grace) != Standing::Stale
    })
}
