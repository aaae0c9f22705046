//! What happened here, for the log: `auth.login`, `auth.logout`, and `users.create` of the first admin.
//!
//! They are events of the user's item and take its next version. Secrets never enter them. Call them last in the
//! transaction: the log's readers wait for it from then on.

use event_store::{NewEvent, heads};
use model::{Accountability, EventName, Ids};
use rpc::Caller;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::access::Known;
use crate::session::Locked;
use crate::state::State;

const USERS: &str = "directus_users";

/// Somebody logged in.
pub async fn login(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    known: &Known,
    provider: &str,
) -> Result<(), Error> {
    let payload = json!({ "status": "success", "provider": provider });
    of_user(connection, state, caller, ("login", known.user, known.role), &payload).await
}

/// A session ended; `reason` says why (`logout`, `reuse`, `expired` ...). A share's session is nobody's: no event.
pub async fn logout(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    session: &Locked,
    reason: &str,
) -> Result<(), Error> {
    let Some(user) = session.user else { return Ok(()) };
    let payload = json!({ "status": "success", "provider": session.provider, "reason": reason });
    of_user(connection, state, caller, ("logout", user, session.role), &payload).await
}

/// A share was used once more; its row is locked.
pub async fn share_used(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    share: Uuid,
    times_used: i32,
) -> Result<(), Error> {
    const SHARES: &str = "directus_shares";
    let key = share.to_string();
    let version = heads::changed(connection, SHARES, &key).await?;
    let name = EventName::new("shares", "update");
    let mut event = NewEvent::new(state.ids.ordered(), name, SHARES, &key, version);
    let times = |times: i32| to_raw_value(&json!({ "times_used": times })).map_err(Error::Payload);
    event.payload = Some(times(times_used)?);
    event.previous = Some(times(times_used - 1)?);
    event.fields = Some(vec!["times_used".to_owned()]);
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event_store::append(connection, &[event.by(&caller.accountability)]).await?;
    Ok(())
}

/// Fields of a user were changed here: their new and their old values, secrets masked.
pub async fn changed(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    user: Uuid,
    (payload, previous): (&serde_json::Value, &serde_json::Value),
) -> Result<(), Error> {
    let key = user.to_string();
    let version = heads::changed(connection, USERS, &key).await?;
    let name = EventName::new("users", "update");
    let mut event = NewEvent::new(state.ids.ordered(), name, USERS, &key, version);
    event.payload = Some(to_raw_value(payload).map_err(Error::Payload)?);
    event.previous = Some(to_raw_value(previous).map_err(Error::Payload)?);
    event.fields = payload.as_object().map(|fields| fields.keys().cloned().collect());
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event_store::append(connection, &[event.by(&caller.accountability)]).await?;
    Ok(())
}

async fn of_user(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    (action, user, role): (&str, Uuid, Option<Uuid>),
    payload: &serde_json::Value,
) -> Result<(), Error> {
    let key = user.to_string();
    let version = heads::changed(connection, USERS, &key).await?;
    // He acts himself; where from, the caller says.
    let who = Accountability { user: Some(user), role, ..caller.accountability.clone() };
    let mut event = NewEvent::new(state.ids.ordered(), EventName::new("auth", action), USERS, &key, version);
    event.payload = Some(to_raw_value(payload).map_err(Error::Payload)?);
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event_store::append(connection, &[event.by(&who)]).await?;
    Ok(())
}

/// Something happened to an API key: `api_keys.create`, `.update`, `.delete`. Neither its text nor its hash is told.
pub async fn api_key(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller,
    action: &str,
    key: &str,
    payload: Option<serde_json::Value>,
) -> Result<(), Error> {
    const COLLECTION: &str = "directus_api_keys";
    let version = match action {
        "create" => 1,
        _ => heads::changed(connection, COLLECTION, key).await?,
    };
    let name = EventName::new("api_keys", action);
    let mut event = NewEvent::new(state.ids.ordered(), name, COLLECTION, key, version);
    event.payload = payload.map(|payload| to_raw_value(&payload).map_err(Error::Payload)).transpose()?;
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event_store::append(connection, &[event.by(&caller.accountability)]).await?;
    Ok(())
}

/// The first admin was made. His key is new, so this is version 1 and needs no head.
pub async fn first_user(connection: &mut PgConnection, ids: &dyn Ids, user: Uuid) -> Result<(), Error> {
    const ITEM: &str = "SELECT (to_jsonb(u) || jsonb_build_object('password', mask, 'token',
            CASE WHEN token IS NOT NULL THEN mask END))::text
        FROM directus_users u, (VALUES ('**********')) AS masked (mask) WHERE id = $1";
    let item: String = sqlx::query_scalar(ITEM).bind(user).fetch_one(&mut *connection).await?;
    let name = EventName::new("users", "create");
    let mut event = NewEvent::new(ids.ordered(), name, USERS, &user.to_string(), 1);
    event.payload = Some(RawValue::from_string(item).map_err(Error::Payload)?);
    event_store::append(connection, &[event]).await?;
    Ok(())
}
