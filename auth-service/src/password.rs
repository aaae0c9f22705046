//! Passwords that were forgotten: a link by mail, and setting a new one by it.
//!
//! Asking takes the same time and gives the same answer whoever is asked for; the wish for a page that is not allowed is
//! refused before anybody is looked for.

use std::time::Duration;

use limits::Tried;
use model::{Error as Told, ErrorCode};
use proto::accounts::v1 as pb;
use rpc::Caller;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::links::{self, Scope};
use crate::mail::{Kind, Mail, compose};
use crate::people::{self, Person};
use crate::state::State;
use crate::{Error, attempts};

/// How long a link holds.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Mails a link to the user of this address, if he logs in by password and may.
pub async fn request(
    state: &State,
    caller: &Caller,
    request: pb::RequestPasswordRequest,
) -> Result<pb::RequestPasswordResponse, Error> {
    let started = Instant::now();
    // Whoever is asked for: that there is nobody must not be told.
    let (address, account) = (caller.accountability.ip.as_deref(), request.email.to_ascii_lowercase());
    let attempt = state.attempts.begin(Tried::Mails, address, Some(&account), &*state.clock).await?;
    let done = mail(state, &request).await;
    attempt.failed().await;
    attempts::stall(state, started).await;
    done.map(|()| pb::RequestPasswordResponse {})
}

async fn mail(state: &State, request: &pb::RequestPasswordRequest) -> Result<(), Error> {
    let config = &state.config.links;
    let wished = match &request.reset_url {
        None => None,
        Some(text) => Some(config.reset.find(text).ok_or_else(|| {
            Told::invalid_payload(format!("URL \"{text}\" can't be used to reset passwords"))
        })?),
    };
    let found = people::find(&state.db, &request.email).await?;
    let Some(person) = found.filter(|person| person.may_log_in()) else { return Ok(()) };
    let hash = state.links.name_of(person.id, person.password.as_deref());
    let when = (state.clock.now(), LIFETIME);
    let token = state.links.token(Scope::PasswordReset, &person.email, Some(hash), when)?;
    let link = links::address(config, wished.as_ref(), "admin/reset-password", &token);
    let letter = compose(Kind::PasswordReset, &state.project().await?, &person.email, &link);
    let (id, user) = (state.ids.random(), person.id);
    let mail = Mail { id, kind: Kind::PasswordReset, user, lifetime: LIFETIME, letter: &letter };
    let mut transaction = state.db.begin().await?;
    state.post.put(&mut transaction, mail).await?;
    transaction.commit().await?;
    state.post.committed();
    Ok(())
}

/// Sets the password by a link. His sessions end with the old one.
pub async fn reset(
    state: &State,
    caller: &Caller,
    request: pb::ResetPasswordRequest,
) -> Result<pb::ResetPasswordResponse, Error> {
    let claims = state.links.read(&request.token, Scope::PasswordReset, state.clock.now())?;
    let hash = claims.hash.unwrap_or_default();
    let holds = |person: &Person| {
        person.may_log_in() && state.links.names(&hash, person.id, person.password.as_deref())
    };
    let changes = json!({ "password": request.password });
    let user = change(state, caller, &claims.email, holds, &changes).await?.ok_or_else(Told::forbidden)?;
    attempts::forget(&state.db, user).await?;
    Ok(pb::ResetPasswordResponse {})
}

/// Changes the user of an address as long as something holds of him; nothing when it does not. What was seen of him and
/// the change belong together: another change in between makes this look again.
pub async fn change(
    state: &State,
    caller: &Caller,
    email: &str,
    holds: impl Fn(&Person) -> bool,
    changes: &serde_json::Value,
) -> Result<Option<Uuid>, Error> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let Some(person) = people::find(&state.db, email).await? else { return Ok(None) };
        let user = person.id;
        let version = state.users.version(caller, user).await?;
        // Read again behind the version: whatever comes after this moves the version.
        let person = people::find(&state.db, email).await?;
        if !person.is_some_and(|person| person.id == user && holds(&person)) {
            return Ok(None);
        }
        match state.users.update(caller, Some(user), user, changes, Some(version)).await {
            Ok(()) => return Ok(Some(user)),
            Err(errors) if errors.0.first().is_some_and(|e| e.code == ErrorCode::PreconditionFailed) => {}
            Err(errors) => return Err(errors.into()),
        }
    }
    Err(Told::unavailable("auth").into())
}
