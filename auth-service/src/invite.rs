//! Invitations: users who choose their first password by a link.

use std::time::Duration;

use model::{Error as Told, ErrorCode};
use proto::accounts::v1 as pb;
use rpc::Caller;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::Error;
use crate::links::{self, Scope};
use crate::mail::{Kind, Mail, compose};
use crate::people;
use crate::state::State;

/// How long a link holds.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Addresses of one call.
const MOST: usize = 100;

/// Invites people. Who is a user already hears nothing of it.
pub async fn invite(
    state: &State,
    caller: &Caller,
    request: pb::InviteUsersRequest,
) -> Result<pb::InviteUsersResponse, Error> {
    // Whom he invites has to be his to make, also where there is somebody already.
    if !state.users.may_create(caller).await? {
        return Err(Told::forbidden_collection("directus_users").into());
    }
    let config = &state.config.links;
    let wished =
        match &request.invite_url {
            None => None,
            Some(text) => Some(config.invite.find(text).ok_or_else(|| {
                Told::invalid_payload(format!("URL \"{text}\" can't be used to invite users"))
            })?),
        };
    if request.emails.len() > MOST {
        return Err(Told::invalid_payload(format!("\"email\" must contain at most {MOST} items")).into());
    }
    if request.emails.iter().any(|email| !people::is_address(email)) {
        return Err(Told::invalid_payload("\"email\" must be a valid email").into());
    }
    for email in &request.emails {
        one(state, caller, email, &request.role, wished.as_ref()).await?;
    }
    Ok(pb::InviteUsersResponse {})
}

async fn one(
    state: &State,
    caller: &Caller,
    email: &str,
    role: &str,
    wished: Option<&Url>,
) -> Result<(), Error> {
    match people::find(&state.db, email).await? {
        Some(known) if known.status == "invited" => {
            write(state, known.id, &known.email, wished).await?;
            state.post.committed();
            Ok(())
        }
        Some(_) => Ok(()),
        // Ids are not everybody's to choose.
        None if !caller.accountability.admin => {
            let item = json!({ "email": email, "role": role, "status": "invited" });
            let user = state.users.create_as(caller, &item).await?;
            write(state, user, email, wished).await?;
            state.post.committed();
            Ok(())
        }
        None => {
            let user = state.ids.random();
            // The mail first: it waits for its user, and a user who is there is sure to be written to.
            let mail = write(state, user, email, wished).await?;
            let item = json!({ "id": user, "email": email, "role": role, "status": "invited" });
            if let Err(errors) = state.users.create(caller, caller.accountability.user, &item).await {
                withdraw(state, mail, user).await;
                return Err(errors.into());
            }
            state.post.committed();
            Ok(())
        }
    }
}

/// Queues the mail; gives its id.
async fn write(state: &State, user: Uuid, email: &str, wished: Option<&Url>) -> Result<Uuid, Error> {
    let token = state.links.token(Scope::Invite, email, None, (state.clock.now(), LIFETIME))?;
    let link = links::address(&state.config.links, wished, "admin/accept-invite", &token);
    let letter = compose(Kind::Invitation, &state.project().await?, email, &link);
    let id = state.ids.random();
    let mut transaction = state.db.begin().await?;
    let mail = Mail { id, kind: Kind::Invitation, user, lifetime: LIFETIME, letter: &letter };
    state.post.put(&mut transaction, mail).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Takes the mail of a user back who was not made. If that fails the mail waits in vain, and is given up.
pub async fn withdraw(state: &State, mail: Uuid, user: Uuid) {
    if let Err(error) = state.post.withdraw(&state.db, mail).await {
        tracing::warn!(%error, %user, "a mail about somebody who was not made waits in vain");
    }
}

/// Sets the first password of an invited user.
pub async fn accept(
    state: &State,
    caller: &Caller,
    request: pb::AcceptInviteRequest,
) -> Result<pb::AcceptInviteResponse, Error> {
    let claims = state.links.read(&request.token, Scope::Invite, state.clock.now())?;
    let changes = json!({ "password": request.password, "status": "active" });
    let invited = |person: &people::Person| person.status == "invited";
    let user = crate::password::change(state, caller, &claims.email, invited, &changes).await?;
    user.ok_or_else(|| Told::new(ErrorCode::InvalidInvite))?;
    Ok(pb::AcceptInviteResponse {})
}
