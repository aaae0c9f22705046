//! Ending sessions: when a user's credentials or standing change, whoever came in by the old ones is out.

use sqlx::PgConnection;

/// Whose sessions end.
#[derive(Debug)]
pub struct Ended {
    /// Keys of the users.
    pub users: Vec<String>,
    /// A session that goes on: the one through which its user changes his own credentials.
    pub except: Option<String>,
}

/// Ends them. The users are locked first, so that nobody opens another session before the change is committed; auth
/// takes the same locks in the same order (session, control row, item).
pub async fn end(conn: &mut PgConnection, ended: &Ended) -> Result<(), sqlx::Error> {
    const LOCK: &str = "SELECT FROM directus_users WHERE id = ANY($1::text[]::uuid[]) ORDER BY id FOR UPDATE";
    const END: &str = r#"DELETE FROM directus_sessions
        WHERE "user" = ANY($1::text[]::uuid[]) AND token IS DISTINCT FROM $2"#;
    sqlx::query(LOCK).bind(&ended.users).execute(&mut *conn).await?;
    sqlx::query(END).bind(&ended.users).bind(&ended.except).execute(&mut *conn).await?;
    Ok(())
}

/// Ends those of shares' guests. The shares are locked first, as by who comes in.
pub async fn close(conn: &mut PgConnection, shares: &[String]) -> Result<(), sqlx::Error> {
    const LOCK: &str =
        "SELECT FROM directus_shares WHERE id = ANY($1::text[]::uuid[]) ORDER BY id FOR UPDATE";
    const END: &str = "DELETE FROM directus_sessions WHERE share = ANY($1::text[]::uuid[])";
    sqlx::query(LOCK).bind(shares).execute(&mut *conn).await?;
    sqlx::query(END).bind(shares).execute(&mut *conn).await?;
    Ok(())
}
