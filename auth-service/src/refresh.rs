//! Refresh: a refresh token -> its successor and a new access token; the rule stands in `session`.

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{RefreshRequest, TokensResponse};
use rpc::Caller;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::session::{Locked, Standing};
use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, access, events, second_factor, session, shares, tokens};

/// What is done with a session whose token was presented.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// A new token; the presented one is the one just before it from now on.
    Rotate,
    /// The successor that another request was just given.
    Repeat,
    /// The session is over.
    End { reason: &'static str, told: ErrorCode },
}

/// Refreshes, unless too many have failed from where the caller is.
pub async fn refresh(
    state: &State,
    caller: &Caller,
    request: RefreshRequest,
) -> Result<TokensResponse, Error> {
    let attempt = state
        .attempts
        .begin(limits::Tried::Credentials, caller.accountability.ip.as_deref(), None, &*state.clock)
        .await?;
    let done = exchanged(state, caller, request).await;
    if matches!(&done, Err(Error::Refused(told)) if told.code.status() == 401) {
        attempt.failed().await;
    }
    done
}

async fn exchanged(state: &State, caller: &Caller, request: RefreshRequest) -> Result<TokensResponse, Error> {
    let now = state.clock.now();
    let mode = Mode::of(request.session_token);
    let token = presented(&request.refresh_token)?;
    let mut transaction = state.db.begin().await?;
    let Some(locked) = session::lock(&mut transaction, &token).await? else {
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    };
    let verdict = judge(state, &locked, &token, now);
    let holder = Holder::of(&mut transaction, state, &locked).await?;
    let (Some(holder), Verdict::Rotate | Verdict::Repeat) = (holder, &verdict) else {
        let Verdict::End { reason, told } = verdict else {
            return Err(Told::new(ErrorCode::InvalidCredentials).into());
        };
        session::end(&mut transaction, &locked.id).await?;
        events::logout(&mut transaction, state, caller, &locked, reason).await?;
        transaction.commit().await?;
        state.session_ended().await;
        return Err(Told::new(told).into());
    };
    let successor = token.successor(&state.succession);
    if verdict == Verdict::Rotate {
        let lifetime = mode.refresh_lifetime(&state.config);
        session::rotate(&mut transaction, &successor, now, lifetime).await?;
    }
    let answer = match &holder {
        Holder::User(known) => {
            let ip = caller.accountability.ip.as_deref();
            let enforce_tfa = second_factor::is_missing(&mut *transaction, known, ip).await?;
            tokens::issue(state, (known, ip, enforce_tfa), &successor, mode, now)?
        }
        Holder::Guest(share) => tokens::issue_guest(state, *share, &successor, mode, now)?,
    };
    transaction.commit().await?;
    if let Holder::User(known) = holder {
        state.seen.note(known.user, now);
    }
    Ok(answer)
}

/// Whose session it is.
enum Holder {
    User(access::Known),
    /// Of a share that may still be used.
    Guest(Uuid),
}

impl Holder {
    async fn of(
        connection: &mut PgConnection,
        state: &State,
        locked: &Locked,
    ) -> Result<Option<Self>, Error> {
        if let Some(user) = locked.user {
            return Ok(access::of_user(connection, user).await?.map(Self::User));
        }
        let Some(share) = locked.share else { return Ok(None) };
        let open = shares::is_open(connection, share, state.clock.now()).await?;
        Ok(open.then_some(Self::Guest(share)))
    }
}

fn judge(state: &State, locked: &Locked, token: &RefreshToken, now: OffsetDateTime) -> Verdict {
    let end = |reason, told| Verdict::End { reason, told };
    let Some(chain) = &locked.chain else { return end("unknown", ErrorCode::InvalidCredentials) };
    if locked.expires <= now {
        return end("expired", ErrorCode::InvalidCredentials);
    }
    match locked.status.as_deref() {
        Some("active") => {}
        None if locked.share.is_some() => {}
        Some("suspended") => return end("suspended", ErrorCode::UserSuspended),
        _ => return end("inactive", ErrorCode::InvalidCredentials),
    }
    match chain.standing(token, &state.succession, now, state.config.refresh_grace) {
        Standing::Current => Verdict::Rotate,
        Standing::Previous => Verdict::Repeat,
        Standing::Stale => end("reuse", ErrorCode::InvalidCredentials),
    }
}

/// The refresh token of a request: itself, or within the access token of session mode.
///
/// # Errors
/// 400 when there is none, 401 when it can't be one.
pub fn presented(text: &str) -> Result<RefreshToken, Error> {
    if text.is_empty() {
        let reason = "The refresh token is required in either the payload or cookie";
        return Err(Told::invalid_payload(reason).into());
    }
    let carried = tokens::carried(text);
    RefreshToken::parse(carried.as_deref().unwrap_or(text))
        .ok_or_else(|| Told::new(ErrorCode::InvalidCredentials).into())
}
