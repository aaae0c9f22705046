//! Shares: whoever has the link to one, and its password where it has one, is its guest.
//!
//! A guest's session names the share and no user. He has no rights of his own: `ShareScope` tells the engine of
//! permissions what the share lets him see.

pub mod attempts;
mod invite;
mod login;

use model::{Accountability, Error as Told, ShareScope};
use proto::auth::v1::{ReadShareRequest, ReadShareResponse};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

pub use invite::invite;
pub use login::login;

use crate::access::Known;
use crate::session::{self, Chain};
use crate::state::State;
use crate::{Error, access, sso};

/// SQL of a share `s` with its creator `u`: it may be used at `$2`. Nobody shares what he may not see himself any more.
macro_rules! open {
    () => {
        "(s.date_start IS NULL OR s.date_start <= $2) AND (s.date_end IS NULL OR s.date_end >= $2)
            AND (s.user_created IS NULL OR u.status = 'active')"
    };
}
use open;

/// A guest, as the database knows him now.
pub struct Guest {
    /// What he may see.
    pub scope: ShareScope,
    /// His session: its chain and end.
    pub session: (Option<Chain>, OffsetDateTime),
    /// When the share ends, Unix milliseconds.
    pub until: i64,
}

/// The guest of a live session of a share that may still be used.
pub async fn of_session(state: &State, share: Uuid, session: &str) -> Result<Option<Guest>, Error> {
    const FIND: &str = concat!(
        "SELECT s.collection, s.item, s.role, s.user_created, s.date_end, l.next_token, l.expires
        FROM directus_sessions l JOIN directus_shares s ON s.id = l.share
            LEFT JOIN directus_users u ON u.id = s.user_created
        WHERE s.id = $1 AND l.token = $3 AND ",
        open!()
    );
    type Columns =
        (String, String, Option<Uuid>, Option<Uuid>, Option<OffsetDateTime>, Option<String>, OffsetDateTime);
    let now = state.clock.now();
    let found = sqlx::query_as(FIND).bind(share).bind(now).bind(session);
    let found: Option<Columns> = found.fetch_optional(&state.db).await?;
    let Some((collection, item, role, creator, end, chain, expires)) = found else { return Ok(None) };
    let role = match role {
        Some(role) => access::of_role(&state.db, role).await?,
        // The public's: its policies are those of who has no role.
        None => Some(access::of_public(&state.db).await?),
    };
    let creator = match creator {
        Some(creator) => access::of_user(&state.db, creator).await?,
        None => None,
    };
    let scope = ShareScope { collection, item, role: held(role)?, creator: held(creator)? };
    let until = end.map_or(i64::MAX, session::millis);
    Ok(Some(Guest { scope, session: (chain.as_deref().and_then(Chain::parse), expires), until }))
}

/// What somebody holds everywhere: where a guest is says nothing of where the share's creator may see what.
fn held(known: Option<Known>) -> Result<Accountability, Error> {
    known.map_or(Ok(Accountability::default()), |known| known.at(None))
}

/// Whether a share may still be used by who has come in before.
pub async fn is_open(connection: &mut PgConnection, share: Uuid, now: OffsetDateTime) -> Result<bool, Error> {
    const OPEN: &str = concat!(
        "SELECT EXISTS (SELECT FROM directus_shares s LEFT JOIN directus_users u ON u.id = s.user_created
            WHERE s.id = $1 AND ",
        open!(),
        ")"
    );
    Ok(sqlx::query_scalar(OPEN).bind(share).bind(now).fetch_one(connection).await?)
}

/// What everybody may know of a share.
pub async fn read(state: &State, request: ReadShareRequest) -> Result<ReadShareResponse, Error> {
    let share: Uuid =
        request.share.parse().map_err(|_| sso::no_route(&format!("/shares/info/{}", request.share)))?;
    let json = shown(&state.db, share, state.clock.now()).await?.ok_or_else(Told::forbidden)?;
    Ok(ReadShareResponse { json: json.into() })
}

async fn shown(
    executor: impl PgExecutor<'_>,
    share: Uuid,
    now: OffsetDateTime,
) -> Result<Option<String>, Error> {
    const SHOW: &str = concat!(
        r#"SELECT json_build_object('id', s.id, 'collection', s.collection, 'item', s.item,
            'password', CASE WHEN s.password IS NOT NULL THEN '**********' END,
            'max_uses', s.max_uses, 'times_used', s.times_used,
            'date_start', to_char(s.date_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'date_end', to_char(s.date_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))::text
        FROM directus_shares s LEFT JOIN directus_users u ON u.id = s.user_created WHERE s.id = $1 AND "#,
        open!()
    );
    Ok(sqlx::query_scalar(SHOW).bind(share).bind(now).fetch_optional(executor).await?)
}
