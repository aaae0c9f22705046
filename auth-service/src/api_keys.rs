//! Keys that programs use in the name of a user: named, stored as hashes, narrowed to some of his policies or to
//! reading, ended by time. One file per operation; here is what they share, and what a key is good for.

pub mod create;
pub mod list;
pub mod remove;
pub mod update;

use model::{Error as Told, parse_instant};
use proto::auth::v1::{ApiKey, ApiKeyPolicies};
use ring::digest;
use rpc::Caller;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::access::{self, Known};
use crate::state::State;
use crate::{Error, access::of_user};

/// What every key begins with.
const PREFIX: &str = "ek_";
/// Characters of a whole key: the prefix, and 32 random bytes in URL-safe base64.
const LENGTH: usize = PREFIX.len() + 43;
/// Characters that are shown for ever.
const SHOWN: usize = PREFIX.len() + 8;

/// The columns that `read` reads, in its order. The hash is not among them.
macro_rules! columns {
    () => {
        r#"id, name, prefix, "user", policies, read_only, expires, last_used, created, created_by"#
    };
}
use columns;

/// A key that is good now, and the user whom it stands for.
pub struct Held {
    /// Whose it is, with what the key leaves him.
    pub known: Option<Known>,
    /// Its id.
    pub id: Uuid,
    /// It may change nothing.
    pub read_only: bool,
    /// When it ends.
    pub expires: Option<OffsetDateTime>,
}

/// A token that has the form of a key.
pub fn looks_like(token: &str) -> bool {
    token.len() == LENGTH && token.starts_with(PREFIX)
}

/// How a key is stored.
fn hashed(token: &str) -> String {
    secrets::hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

/// What a key stands for now; nothing when it does not exist or has ended. It is found by its hash, so how long that
/// takes says nothing of its text.
pub async fn held(state: &State, token: &str) -> Result<Option<Held>, Error> {
    const FIND: &str = r#"SELECT id, "user", policies, read_only, expires FROM eventus.api_keys
        WHERE hash = $1 AND (expires IS NULL OR expires > $2)"#;
    type Found = (Uuid, Uuid, Option<Vec<Uuid>>, bool, Option<OffsetDateTime>);
    let found: Option<Found> =
        sqlx::query_as(FIND).bind(hashed(token)).bind(state.clock.now()).fetch_optional(&state.db).await?;
    let Some((id, user, policies, read_only, expires)) = found else { return Ok(None) };
    let known = access::of_user(&state.db, user).await?;
    let known = match (known, policies) {
        (Some(known), Some(subset)) => Some(known.narrowed(&subset)),
        (known, _) => known,
    };
    Ok(Some(Held { known, id, read_only, expires }))
}

/// Who may see or change keys: everybody's, or one user's.
fn whose(caller: &Caller) -> Result<Option<Uuid>, Told> {
    let who = &caller.accountability;
    if who.admin && who.api_key.is_none() {
        return Ok(None);
    }
    // A key knows of those of its user, whatever else it may.
    who.user.map(Some).ok_or_else(Told::forbidden)
}

/// The id that a caller gives. What is none is as good as missing.
fn id(text: &str) -> Result<Uuid, Told> {
    Uuid::try_parse(text).map_err(|_| Told::forbidden())
}

/// A name that people can read.
fn checked_name(name: &str) -> Result<&str, Told> {
    let fits = !name.trim().is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
    if fits {
        Ok(name)
    } else {
        Err(Told::invalid_payload("\"name\" must be a text of 1 to 255 bytes in one line"))
    }
}

/// An end that is still to come.
fn checked_end(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Told> {
    let end =
        parse_instant(text).ok_or_else(|| Told::invalid_payload("\"expires\" must be a date and time"))?;
    if end > now { Ok(end) } else { Err(Told::invalid_payload("\"expires\" must be in the future")) }
}

/// Policies that the user has. Those that he has not and those that nobody has are not told apart.
async fn checked_policies(
    connection: &mut PgConnection,
    user: Uuid,
    wanted: Option<ApiKeyPolicies>,
) -> Result<Option<Vec<Uuid>>, Error> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.all) else { return Ok(None) };
    let refused = || Told::invalid_payload("\"policies\" must be ids of policies that the user has");
    let ids: Option<Vec<Uuid>> = wanted.ids.iter().map(|text| Uuid::try_parse(text).ok()).collect();
    let ids = ids.ok_or_else(refused)?;
    let known = of_user(connection, user).await?.ok_or_else(Told::forbidden)?;
    if ids.iter().all(|id| known.holds(id)) { Ok(Some(ids)) } else { Err(refused().into()) }
}

/// One row as the caller sees it.
fn read(row: &PgRow) -> Result<ApiKey, Error> {
    let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    let policies: Option<Vec<Uuid>> = row.try_get(4)?;
    let ids = policies.iter().flatten().map(ToString::to_string).collect();
    Ok(ApiKey {
        id: row.try_get::<Uuid, _>(0)?.to_string(),
        name: row.try_get(1)?,
        prefix: row.try_get(2)?,
        user: row.try_get::<Uuid, _>(3)?.to_string(),
        policies: Some(ApiKeyPolicies { all: policies.is_none(), ids }),
        read_only: row.try_get(5)?,
        expires: row.try_get::<Option<_>, _>(6)?.map(text),
        last_used: row.try_get::<Option<_>, _>(7)?.map(text),
        created: text(row.try_get(8)?),
        created_by: row.try_get::<Option<Uuid>, _>(9)?.map(|id| id.to_string()),
    })
}

/// What the log is told of a key: all that its owner sees but the time it was last used.
fn told(key: &ApiKey) -> serde_json::Value {
    let policies = key.policies.as_ref().filter(|policies| !policies.all).map(|policies| &policies.ids);
    serde_json::json!({
        "id": key.id, "name": key.name, "prefix": key.prefix, "user": key.user, "policies": policies,
        "read_only": key.read_only, "expires": key.expires,
    })
}
