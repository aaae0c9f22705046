//! Login: e-mail and password -> a session and its tokens.
//!
//! One path for everybody: exactly one look-up, one argon2 verification, one answer. An unknown user, a user without
//! a password, of another provider or not active verifies a dummy; a refusal takes `login_stall` or a multiple of it.

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{LoginRequest, TokensResponse};
use rpc::Caller;
use sqlx::PgExecutor;
use tokio::time::Instant;
use uuid::Uuid;

use crate::people::LOCAL;
use crate::state::State;
use crate::token::RefreshToken;
use crate::tokens::Mode;
use crate::{Error, access, attempts, events, second_factor, session, sso, tokens};

/// Logs somebody in.
pub async fn login(state: &State, caller: &Caller, request: LoginRequest) -> Result<TokensResponse, Error> {
    let started = Instant::now();
    if state.config.sso.disable_default {
        return Err(sso::no_route("/auth/login").into());
    }
    let done = attempt(state, caller, request).await;
    if count(state, &done) == "refused" {
        tracing::info!(ip = caller.accountability.ip, "login refused");
        attempts::stall(state, started).await;
    }
    done
}

/// Counts a login and gives its outcome.
pub fn count<T>(state: &State, done: &Result<T, Error>) -> &'static str {
    let outcome = match done {
        Ok(_) => "success",
        Err(Error::Refused(told)) if told.code.status() == 401 => "refused",
        Err(Error::Refused(told)) if told.code.status() == 400 => "invalid",
        Err(Error::Refused(told)) if told.code == ErrorCode::RequestsExceeded => "limited",
        Err(_) => "failed",
    };
    state.logins.with_label_values(&[outcome]).inc();
    outcome
}

/// Attempts are counted by the name as it is looked for, so that no other spelling has a count of its own.
async fn attempt(state: &State, caller: &Caller, request: LoginRequest) -> Result<TokensResponse, Error> {
    let email = checked_email(&request.email)?.to_owned();
    let (address, account) = (caller.accountability.ip.as_deref(), email.to_ascii_lowercase());
    let attempt =
        state.attempts.begin(limits::Tried::Credentials, address, Some(&account), &*state.clock).await?;
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
    let fits = state.hasher.verify(request.password.clone(), stored).await?;
    let Some(user) = found.filter(|user| user.active && !user.exhausted) else {
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    };
    if !fits {
        if user.password.is_some() {
            attempts::failed(state, caller, user.id).await?;
        }
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    }
    let done = open(state, &user, &request, caller).await;
    // A one-time password that is only missing was no attempt to guess it.
    if request.otp.is_some()
        && matches!(&done, Err(Error::Refused(told)) if told.code == ErrorCode::InvalidOtp)
    {
        attempts::failed(state, caller, user.id).await?;
    }
    done
}

async fn open(
    state: &State,
    candidate: &Candidate,
    request: &LoginRequest,
    caller: &Caller,
) -> Result<TokensResponse, Error> {
    let mode = Mode::of(request.session_token);
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
    if let Some(secret) = &candidate.second_factor {
        let otp = request.otp.as_deref().unwrap_or_default();
        if !second_factor::accepts(&mut transaction, state, user, secret, otp).await? {
            return Err(Told::new(ErrorCode::InvalidOtp).into());
        }
    }
    let ip = from.ip.as_deref();
    let enforce_tfa = second_factor::is_missing(&mut *transaction, &known, ip).await?;
    let answer = tokens::issue(state, (&known, ip, enforce_tfa), &refresh, mode, now)?;
    session::open(&mut transaction, &refresh, user, now, mode.refresh_lifetime(&state.config), from).await?;
    if candidate.failed {
        attempts::forget(&mut *transaction, user).await?;
    }
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
    /// Attempts failed since the last login.
    failed: bool,
    /// So many that he is refused.
    exhausted: bool,
    /// The secret of his one-time passwords.
    second_factor: Option<String>,
}

/// Whether the password that was verified, and the second factor, are still the user's. The lock makes a change of it, which ends his sessions,
/// wait for this one, or makes this wait for the change.
async fn still(executor: impl PgExecutor<'_>, candidate: &Candidate) -> Result<bool, Error> {
    const STILL: &str = "SELECT password IS NOT DISTINCT FROM $2 AND status = 'active'
            AND nullif(tfa_secret, '') IS NOT DISTINCT FROM $3
        FROM directus_users WHERE id = $1 FOR KEY SHARE";
    let found: Option<bool> = sqlx::query_scalar(STILL)
        .bind(candidate.id)
        .bind(&candidate.password)
        .bind(&candidate.second_factor)
        .fetch_optional(executor)
        .await?;
    Ok(found == Some(true))
}

/// Letter case is folded for ASCII only: no other folding may make one user match another.
async fn candidate(executor: impl PgExecutor<'_>, email: &str) -> Result<Option<Candidate>, Error> {
    const FIND: &str = concat!(
        r#"SELECT u.id, CASE WHEN u.provider = $3 THEN u.password END, u.status = 'active',
            coalesce(l.failed, 0) > 0, "#,
        attempts::exhausted!(),
        r#", nullif(u.tfa_secret, '')
        FROM directus_users u LEFT JOIN eventus.logins l ON l."user" = u.id
        WHERE lower(u.email COLLATE "C") = $1 ORDER BY u.email = $2 DESC LIMIT 1"#
    );
    type Columns = (Uuid, Option<String>, bool, bool, bool, Option<String>);
    let found: Option<Columns> = sqlx::query_as(FIND)
        .bind(email.to_ascii_lowercase())
        .bind(email)
        .bind(LOCAL)
        .fetch_optional(executor)
        .await?;
    Ok(found.map(|(id, password, active, failed, exhausted, second_factor)| Candidate {
        id,
        password,
        active,
        failed,
        exhausted,
        second_factor,
    }))
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
    use super::checked_email;

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
