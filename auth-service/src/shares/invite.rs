//! Links to shares by mail.

use std::time::Duration;

use model::Error as Told;
use proto::accounts::v1 as pb;
use rpc::Caller;
use serde_json::Value;
use uuid::Uuid;

use crate::mail::{Kind, Mail, compose};
use crate::state::State;
use crate::{Error, links, people};

/// How long a mail is tried to be sent.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Addresses of one call.
const MOST: usize = 100;

/// Writes to each address that there is a share to be seen.
pub async fn invite(
    state: &State,
    caller: &Caller,
    request: pb::InviteToShareRequest,
) -> Result<pb::InviteToShareResponse, Error> {
    let user = caller.accountability.user.ok_or_else(Told::forbidden)?;
    let share: Uuid = request.share.parse().map_err(|_| Told::forbidden())?;
    if request.emails.len() > MOST {
        return Err(Told::invalid_payload(format!("\"emails\" must contain at most {MOST} items")).into());
    }
    if request.emails.iter().any(|email| !people::is_address(email)) {
        return Err(Told::invalid_payload("\"emails\" must contain valid emails").into());
    }
    let fields = ["collection", "item"];
    let read = state.users.item(caller, "directus_shares", &share.to_string(), &fields).await?;
    let text = |name: &str| read.get(name).and_then(Value::as_str).ok_or_else(Told::forbidden);
    if !state.users.may_share(caller, text("collection")?, text("item")?).await? {
        return Err(Told::forbidden().into());
    }
    let link = links::page(&state.config.links, &format!("admin/shared/{share}"));
    let project = state.project().await?;
    let mut transaction = state.db.begin().await?;
    for email in &request.emails {
        let letter = compose(Kind::Share, &project, email, &link);
        let mail =
            Mail { id: state.ids.random(), kind: Kind::Share, user, lifetime: LIFETIME, letter: &letter };
        state.post.put(&mut transaction, mail).await?;
    }
    transaction.commit().await?;
    state.post.committed();
    Ok(pb::InviteToShareResponse {})
}
