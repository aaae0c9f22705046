//! A session: one line of `directus_sessions` that stays while its refresh token changes.
//!
//! `token` is the hash of the half of the refresh token that stays, so it names the session (claim `sid`); `next_token`
//! is `<hash of the refresh token that is good now>.<when it became so, Unix milliseconds>`.
//! The rule for a refresh token of a live session: the good one rotates; the one just before it is answered with the
//! same successor for a grace of 10 s (two tabs, a lost answer); any other is stolen or was, and ends the session.

use std::time::Duration;

use model::Accountability;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::token::{RefreshToken, Succession};

/// Which refresh token of a session is good, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    hash: String,
    since: i64,
}

/// How a presented refresh token stands in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The good one.
    Current,
    /// The one just before it, within the grace.
    Previous,
    /// Neither: it was used up.
    Stale,
}

impl Chain {
    /// The chain whose good token is this one, from now on.
    pub fn at(token: &RefreshToken, now: OffsetDateTime) -> Self {
        Self { hash: token.hash(), since: millis(now) }
    }

    /// Reads `next_token`; `None` for a session that was taken over.
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, since) = text.split_once('.')?;
        Some(Self { hash: hash.to_owned(), since: since.parse().ok()? })
    }

    /// Where a token stands.
    pub fn standing(
        &self,
        token: &RefreshToken,
        succession: &Succession,
        now: OffsetDateTime,
        grace: Duration,
    ) -> Standing {
        if token.hash() == self.hash {
            return Standing::Current;
        }
        let grace = model::milliseconds(grace);
        let fresh = millis(now).saturating_sub(self.since) <= grace;
        if fresh && token.successor(succession).hash() == self.hash {
            return Standing::Previous;
        }
        Standing::Stale
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.hash, self.since)
    }
}

/// Unix time in milliseconds.
pub fn millis(at: OffsetDateTime) -> i64 {
    // A present instant is far from i64's range.
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// A session as it is locked for a change.
pub struct Locked {
    /// Its name.
    pub id: String,
    /// Whose it is; `None` for a share's.
    pub user: Option<Uuid>,
    /// Status of that user.
    pub status: Option<String>,
    /// His role.
    pub role: Option<Uuid>,
    /// How he logs in.
    pub provider: Option<String>,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// Its chain.
    pub chain: Option<Chain>,
}

/// Opens a session.
pub async fn open(
    connection: &mut PgConnection,
    token: &RefreshToken,
    user: Uuid,
    now: OffsetDateTime,
    lifetime: Duration,
    from: &Accountability,
) -> Result<(), Error> {
    const OPEN: &str = r#"INSERT INTO directus_sessions (token, "user", expires, ip, user_agent, origin, next_token)
        VALUES ($1, $2, $3, $4, $5, $6, $7)"#;
    sqlx::query(OPEN)
        .bind(token.session())
        .bind(user)
        .bind(now + lifetime)
        .bind(clip(from.ip.as_deref()))
        .bind(clip(from.user_agent.as_deref()))
        .bind(clip(from.origin.as_deref()))
        .bind(Chain::at(token, now).to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Locks the session of a token, so that of two refreshes at once the second sees the first one's result.
pub async fn lock(connection: &mut PgConnection, token: &RefreshToken) -> Result<Option<Locked>, Error> {
    const LOCK: &str = r#"SELECT s.token, s."user", u.status, u.role, u.provider, s.expires, s.next_token
        FROM directus_sessions s LEFT JOIN directus_users u ON u.id = s."user"
        WHERE s.token = $1 FOR UPDATE OF s"#;
    type Columns =
        (String, Option<Uuid>, Option<String>, Option<Uuid>, Option<String>, OffsetDateTime, Option<String>);
    let found: Option<Columns> =
        sqlx::query_as(LOCK).bind(token.session()).fetch_optional(connection).await?;
    Ok(found.map(|(id, user, status, role, provider, expires, next)| Locked {
        id,
        user,
        status,
        role,
        provider,
        expires,
        chain: next.as_deref().and_then(Chain::parse),
    }))
}

/// Makes another token the good one.
pub async fn rotate(
    connection: &mut PgConnection,
    to: &RefreshToken,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<(), Error> {
    sqlx::query("UPDATE directus_sessions SET next_token = $2, expires = $3 WHERE token = $1")
        .bind(to.session())
        .bind(Chain::at(to, now).to_string())
        .bind(now + lifetime)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends a session; every process that remembers sessions learns it from the control row.
pub async fn end(connection: &mut PgConnection, id: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM directus_sessions WHERE token = $1").bind(id).execute(&mut *connection).await?;
    db::control::bump(connection, "sessions").await?;
    Ok(())
}

/// Ends a user's sessions, all but this one. His record was locked before.
pub async fn end_others(
    connection: &mut PgConnection,
    user: Uuid,
    except: Option<&str>,
) -> Result<(), Error> {
    const END: &str = r#"DELETE FROM directus_sessions WHERE "user" = $1 AND token IS DISTINCT FROM $2"#;
    sqlx::query(END).bind(user).bind(except).execute(&mut *connection).await?;
    db::control::bump(connection, "sessions").await?;
    Ok(())
}

/// Forgets sessions that are over; gives how many.
pub async fn sweep(executor: impl PgExecutor<'_>, now: OffsetDateTime) -> Result<u64, Error> {
    let done =
        sqlx::query("DELETE FROM directus_sessions WHERE expires < $1").bind(now).execute(executor).await?;
    Ok(done.rows_affected())
}

/// What a client says of itself, as far as its column holds it.
fn clip(text: Option<&str>) -> Option<String> {
    text.map(|text| text.chars().filter(|&c| c != '\0').take(255).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::{Chain, Standing};
    use crate::token::{RefreshToken, Succession};

    #[test]
    fn the_last_token_is_good_for_the_grace_and_older_ones_never() {
        let (succession, grace) = (Succession::new("s"), Duration::from_secs(10));
        let start = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let first = RefreshToken::fresh().unwrap();
        let second = first.successor(&succession);
        let third = second.successor(&succession);
        let chain = Chain::parse(&Chain::at(&second, start).to_string()).unwrap();
        let at = |token: &RefreshToken, seconds| {
            chain.standing(token, &succession, start + Duration::from_secs(seconds), grace)
        };
        assert_eq!(at(&second, 0), Standing::Current);
        assert_eq!(at(&second, 1_000), Standing::Current);
        assert_eq!(at(&first, 5), Standing::Previous);
        assert_eq!(at(&first, 10), Standing::Previous);
        assert_eq!(at(&first, 11), Standing::Stale);
        assert_eq!(at(&third, 0), Standing::Stale);
        let next = Chain::at(&third, start);
        assert_eq!(next.standing(&first, &succession, start, grace), Standing::Stale);
    }

    #[test]
    fn a_chain_fits_its_column_and_a_foreign_one_is_none() {
        let chain = Chain::at(
            &RefreshToken::fresh().unwrap(),
            OffsetDateTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        );
        assert!(chain.to_string().len() <= 64);
        assert_eq!(Chain::parse(&"a".repeat(64)), None);
    }
}
