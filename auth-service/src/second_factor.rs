//! The second factor: a secret shared with an app, whose one-time passwords a login needs beside the password.
//!
//! The secret stands in `directus_users.tfa_secret` as the original has it there. A one-time password is accepted once,
//! wherever it is asked for: `eventus.logins` knows the step of the last one.

mod totp;

use model::{Error as Told, ErrorCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proto::accounts::v1 as pb;
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor};
use tokio::time::Instant;
use uuid::Uuid;

use crate::access::Known;
use crate::state::State;
use crate::{Error, attempts, events, session};

pub use totp::Shared;

const MASK: &str = "**********";

/// A new secret for the caller, who proves that he knows his password.
pub async fn generate(
    state: &State,
    caller: &Caller,
    request: pb::GenerateSecondFactorRequest,
) -> Result<pb::GenerateSecondFactorResponse, Error> {
    let user = himself(caller)?;
    let started = Instant::now();
    let known = Own::of(&state.db, user).await?;
    let fits = state.hasher.verify(request.password, known.password.clone()).await?;
    if !fits {
        if known.password.is_some() {
            attempts::failed(state, caller, user).await?;
        }
        attempts::stall(state, started).await;
        return Err(Told::new(ErrorCode::InvalidCredentials).into());
    }
    if known.secret.is_some() {
        return Err(taken());
    }
    let shared = Shared::fresh()?;
    let issuer = state.project().await?.name;
    let text = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (name, email, secret) = (text(&issuer), text(&known.email), shared.text().to_owned());
    let otpauth_url = format!(
        "otpauth://totp/{name}:{email}?secret={secret}&period=30&digits=6&algorithm=SHA1&issuer={name}"
    );
    Ok(pb::GenerateSecondFactorResponse { secret, otpauth_url })
}

/// From now on the caller's logins need one-time passwords of this secret; his other sessions end.
pub async fn enable(
    state: &State,
    caller: &Caller,
    request: pb::EnableSecondFactorRequest,
) -> Result<pb::EnableSecondFactorResponse, Error> {
    let user = himself(caller)?;
    let mut transaction = state.db.begin().await?;
    if locked_secret(&mut transaction, user).await?.is_some() {
        return Err(taken());
    }
    let shared =
        Shared::brought(&request.secret).ok_or_else(|| Told::invalid_payload("\"secret\" is invalid"))?;
    let step = shared.step_of(&request.otp, state.clock.now());
    let accepted = match step {
        Some(step) => attempts::accept_step(&mut transaction, user, step).await?,
        None => false,
    };
    if !accepted {
        return Err(wrong());
    }
    session::end_others(&mut transaction, user, caller.accountability.session.as_deref()).await?;
    store(&mut transaction, state, caller, user, Some(shared.text())).await?;
    transaction.commit().await?;
    state.session_ended().await;
    Ok(pb::EnableSecondFactorResponse {})
}

/// Logins need none any more: the caller's own by a one-time password, another user's because an administrator says so.
pub async fn disable(
    state: &State,
    caller: &Caller,
    request: pb::DisableSecondFactorRequest,
) -> Result<pb::DisableSecondFactorResponse, Error> {
    let user = match &request.user {
        Some(_) if !caller.accountability.admin => {
            himself(caller)?;
            return Err(Told::forbidden().into());
        }
        Some(user) => user.parse().map_err(|_| Told::forbidden())?,
        None => himself(caller)?,
    };
    let mut transaction = state.db.begin().await?;
    let secret = locked_secret(&mut transaction, user).await?;
    if request.user.is_none() {
        let Some(secret) = &secret else {
            let reason = format!("User \"{user}\" doesn't have TFA enabled");
            return Err(Told::invalid_payload(reason).into());
        };
        if !accepts(&mut transaction, state, user, secret, &request.otp).await? {
            drop(transaction);
            attempts::failed(state, caller, user).await?;
            return Err(wrong());
        }
    }
    if secret.is_some() {
        store(&mut transaction, state, caller, user, None).await?;
    }
    transaction.commit().await?;
    state.appended().await;
    Ok(pb::DisableSecondFactorResponse {})
}

/// Whether a one-time password of the user's secret is the right one and was not accepted before.
pub async fn accepts(
    connection: &mut PgConnection,
    state: &State,
    user: Uuid,
    secret: &str,
    otp: &str,
) -> Result<bool, Error> {
    let step = Shared::stored(secret).and_then(|shared| shared.step_of(otp, state.clock.now()));
    match step {
        Some(step) => attempts::accept_step(connection, user, step).await,
        None => Ok(false),
    }
}

/// Whether a policy of his demands a second factor that he has not got: the app asks him for one then.
pub async fn is_missing(
    executor: impl PgExecutor<'_>,
    known: &Known,
    ip: Option<&str>,
) -> Result<bool, Error> {
    const MISSING: &str = "SELECT EXISTS (SELECT FROM directus_policies WHERE enforce_tfa AND id = ANY($1))
        AND EXISTS (SELECT FROM directus_users WHERE id = $2 AND coalesce(tfa_secret, '') = '')";
    let policies = known.at(ip)?.policies;
    Ok(sqlx::query_scalar(MISSING).bind(policies).bind(known.user).fetch_one(executor).await?)
}

/// The user who calls.
pub fn himself(caller: &Caller) -> Result<Uuid, Told> {
    caller.accountability.user.ok_or_else(|| Told::new(ErrorCode::InvalidCredentials))
}

/// What the caller's own record says.
struct Own {
    /// `None` when he does not log in by password.
    password: Option<String>,
    email: String,
    secret: Option<String>,
}

impl Own {
    async fn of(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Self, Error> {
        const OF: &str = "SELECT CASE WHEN provider = 'default' THEN password END, coalesce(email, ''),
                nullif(tfa_secret, '')
            FROM directus_users WHERE id = $1";
        let found = sqlx::query_as(OF).bind(user).fetch_optional(executor).await?;
        let (password, email, secret) = found.ok_or_else(|| Told::new(ErrorCode::InvalidCredentials))?;
        Ok(Self { password, email, secret })
    }
}

/// The user's secret, his record locked for a change of it.
async fn locked_secret(connection: &mut PgConnection, user: Uuid) -> Result<Option<String>, Error> {
    const LOCK: &str = "SELECT nullif(tfa_secret, '') FROM directus_users WHERE id = $1 FOR UPDATE";
    let found: Option<Option<String>> =
        sqlx::query_scalar(LOCK).bind(user).fetch_optional(connection).await?;
    Ok(found.flatten())
}

/// Writes it, with its event, in which it is masked.
async fn store(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    user: Uuid,
    secret: Option<&str>,
) -> Result<(), Error> {
    sqlx::query("UPDATE directus_users SET tfa_secret = $2 WHERE id = $1")
        .bind(user)
        .bind(secret)
        .execute(&mut *connection)
        .await?;
    let (old, new) = if secret.is_some() { (Value::Null, MASK.into()) } else { (MASK.into(), Value::Null) };
    let (payload, previous) = (json!({ "tfa_secret": new }), json!({ "tfa_secret": old }));
    events::changed(connection, state, caller, user, (&payload, &previous)).await
}

fn taken() -> Error {
    Told::invalid_payload("TFA Secret is already set for this user").into()
}

fn wrong() -> Error {
    Told::invalid_payload("\"otp\" is invalid").into()
}
