//! Login: e-mail and password -> a session and its tokens.
//!
//! One path for everybody: exactly one look-up, one argon2 verification, one answer. An unknown user, a user without
//! a password, of another provider or not active verifies a dummy; a refusal takes `login_stall` or a multiple of it.

use std::time::Duration;

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{LoginRequest, TokensResponse};
use rpc::Caller;
use sqlx::PgExecutor;
use tokio::time::Instant;
use uuid::Uuid;

use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, access, events, session, tokens};

/// How a user logs in who has a password here.
const LOCAL: &str = "default";

/// Logs somebody in.
pub async fn login(state: &State, caller: &Caller, request: LoginRequest) -> Result<TokensResponse, Error> {
    let started = Instant::now();
    let done = attempt(state, caller, request).await;
    let outcome = match &done {
        Ok(_) => "success",
        Err(Error::Refused(told)) if told.code.status() == 401 => "refused",
        Err(Error::Refused(told)) if told.code.status() == 400 => "invalid",
        Err(Error::Refused(told)) if told.code == ErrorCode::RequestsExceeded => "limited",
        Err(_) => "failed",
    };
    state.logins.with_label_values(&[outcome]).inc();
    if outcome == "refused" {
        tracing::info!(ip = caller.accountability.ip, "login refused");
        tokio::time::sleep_until(started + stall(started.elapsed(), state.config.login_stall)).await;
    }
    done
}

/// The whole number of stall times that holds what was taken: under load as equal as without.
fn stall(taken: Duration, step: Duration) -> Duration {
    if step.is_zero() {
        return taken;
    }
    let steps = taken.as_nanos() / step.as_nanos() + 1;
    step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// Attempts are counted by the name as it is looked for, so that no other spelling has a count of its own.
async fn attempt(state: &State, caller: &Caller, request: LoginRequest) -> Result<TokensResponse, Error> {
    let email = checked_email(&request.email)?.to_owned();
    let (address, account) = (caller.accountability.ip.as_deref(), email.to_ascii_lowercase());
    let attempt = state.attempts.begin(address, Some(&account), &*state.clock).await?;
    let done = verified(state, caller, request, &email).await;
    if matches!(&done, Err(Error::Refused(told)) if told.code.status() == 401) {
        attempt.failed().await;
    }
    done
}

async fn verified(
    state: &State,
    caller: &Caller,
    request: LoginRequest,
    email: &str,
) -> Result<TokensResponse, Error> {
    let found = candidate(&state.db, email).await?;
    let stored = found.as_ref().and_then(|user| user.password.clone());
    let fits = state.hasher.verify(request.password, stored).await?;
    let Some(user) = found.filter(|user| fits && user.active) else {
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    };
    if user.second_factor {
        // Second factors can't be checked yet: whoever has one is not let in without it.
        return Err(Told::new(ErrorCode::InvalidOtp).into());
    }
    open(state, &user, Mode::of(request.session_token), caller).await
}

async fn open(
    state: &State,
    candidate: &Candidate,
    mode: Mode,
    caller: &Caller,
) -> Result<TokensResponse, Error> {
    let now = state.clock.now();
    let (from, user) = (&caller.accountability, candidate.id);
    let refresh = RefreshToken::fresh()?;
    let mut transaction = state.db.begin().await?;
    if !still(&mut *transaction, candidate).await? {
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    }
    let Some(known) = access::of_user(&mut *transaction, user).await? else {
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    };
    let answer = tokens::issue(state, (&known, from.ip.as_deref()), &refresh, mode, now)?;
    session::open(&mut transaction, &refresh, user, now, mode.refresh_lifetime(&state.config), from).await?;
    events::login(&mut transaction, state, caller, &known, LOCAL).await?;
    transaction.commit().await?;
    state.appended().await;
    state.seen.note(user, now);
    Ok(answer)
}

struct Candidate {
    id: Uuid,
    /// `None` when he may not log in by password.
    password: Option<String>,
    active: bool,
    second_factor: bool,
}

/// Whether the password that was verified is still the user's. The lock makes a change of it, which ends his sessions,
/// wait for this one, or makes this wait for the change.
async fn still(executor: impl PgExecutor<'_>, candidate: &Candidate) -> Result<bool, Error> {
    const STILL: &str = "SELECT password IS NOT DISTINCT FROM $2 AND status = 'active' FROM directus_users
        WHERE id = $1 FOR KEY SHARE";
    let found: Option<bool> = sqlx::query_scalar(STILL)
        .bind(candidate.id)
        .bind(&candidate.password)
        .fetch_optional(executor)
        .await?;
    Ok(found == Some(true))
}

/// Letter case is folded for ASCII only: no other folding may make one user match another.
async fn candidate(executor: impl PgExecutor<'_>, email: &str) -> Result<Option<Candidate>, Error> {
    const FIND: &str = r#"SELECT id, CASE WHEN provider = $3 THEN password END, status = 'active',
            coalesce(tfa_secret, '') <> ''
        FROM directus_users WHERE lower(email COLLATE "C") = $1 ORDER BY email = $2 DESC LIMIT 1"#;
    let found: Option<(Uuid, Option<String>, bool, bool)> = sqlx::query_as(FIND)
        .bind(email.to_ascii_lowercase())
        .bind(email)
        .bind(LOCAL)
        .fetch_optional(executor)
        .await?;
    Ok(found.map(|(id, password, active, second_factor)| Candidate { id, password, active, second_factor }))
}

/// The form of an e-mail address, as far as it decides between 400 and 401.
fn checked_email(text: &str) -> Result<&str, Error> {
    if text.is_empty() {
        return Err(Told::invalid_payload("\"email\" is required").into());
    }
    let fits = text.len() <= 320
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if fits { Ok(text) } else { Err(Told::invalid_payload("\"email\" must be a valid email").into()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{checked_email, stall};

    #[test]
    fn refusals_take_whole_stall_times() {
        let ms = Duration::from_millis;
        assert_eq!(stall(ms(0), ms(500)), ms(500));
        assert_eq!(stall(ms(499), ms(500)), ms(500));
        assert_eq!(stall(ms(700), ms(500)), ms(1_000));
        assert_eq!(stall(ms(70), ms(0)), ms(70));
    }

    #[test]
    fn an_address_has_a_name_and_a_host() {
        for good in ["a@b", "admin@example.com", "jörg+x@example.org"] {
            assert!(checked_email(good).is_ok(), "{good}");
        }
        for bad in ["", "notanemail", "@b", "a@", "a@b@c", "a b@c", "a@b\0"] {
            assert!(checked_email(bad).is_err(), "{bad:?}");
        }
    }
}
