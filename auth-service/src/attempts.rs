//! Attempts that failed: counted once the answer is decided, so that many right logins at once suspend nobody.
//!
//! The counts stand in `eventus.logins`, where all processes see them; a login that succeeds takes them back to 0.

use std::time::Duration;

use model::ErrorCode;
use rpc::Caller;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Error;
use crate::state::State;

/// The limit of the settings, null where there is none, and how long who has reached it is refused when he can't be
/// suspended: the last administrator.
macro_rules! limit {
    () => {
        "(SELECT CASE WHEN auth_login_attempts IS NOT NULL THEN greatest(auth_login_attempts, 1) END
            FROM directus_settings ORDER BY id LIMIT 1)"
    };
}
macro_rules! refused_for {
    () => {
        "interval '15 minutes'"
    };
}

/// SQL over a line `l`: he has reached the limit, and is still refused.
macro_rules! exhausted {
    () => {
        concat!(
            "coalesce(l.failed >= ",
            $crate::attempts::limit!(),
            " AND l.failed_at > now() - ",
            $crate::attempts::refused_for!(),
            ", false)"
        )
    };
}

pub(crate) use {exhausted, limit, refused_for};

/// Counts an attempt that failed. Who has reached the limit of the settings is suspended.
///
/// # Errors
/// PostgreSQL is away. That he can't be suspended now is none: he is refused all the same.
pub async fn failed(state: &State, caller: &Caller, user: Uuid) -> Result<(), Error> {
    // What failed long ago with nothing done about it does not count any more.
    const COUNT: &str = concat!(
        r#"INSERT INTO eventus.logins AS l ("user", failed, failed_at) VALUES ($1, 1, now())
        ON CONFLICT ("user") DO UPDATE SET failed_at = now(),
            failed = CASE WHEN l.failed >= "#,
        limit!(),
        " AND l.failed_at <= now() - ",
        refused_for!(),
        " THEN 1 ELSE l.failed + 1 END
        RETURNING coalesce(failed >= ",
        limit!(),
        ", false)"
    );
    let reached: bool = sqlx::query_scalar(COUNT).bind(user).fetch_one(&state.db).await?;
    if reached {
        suspend(state, caller, user).await;
    }
    Ok(())
}

async fn suspend(state: &State, caller: &Caller, user: Uuid) {
    let suspended = state.users.update(caller, None, user, &json!({ "status": "suspended" }), None).await;
    match suspended {
        Ok(()) => {
            tracing::warn!(%user, "suspended after too many failed logins");
            // An administrator who lets him in again gives him all attempts back.
            if let Err(error) = forget(&state.db, user).await {
                tracing::warn!(%error, "failed logins of a suspended user are not forgotten");
            }
        }
        Err(errors) if errors.0.first().is_some_and(|e| e.code == ErrorCode::UnprocessableContent) => {
            tracing::warn!(%user, "too many failed logins of the last administrator: he is refused for a while");
        }
        Err(errors) => tracing::warn!(%user, %errors, "not suspended yet after too many failed logins"),
    }
}

/// Takes the count back to 0.
pub async fn forget(executor: impl PgExecutor<'_>, user: Uuid) -> Result<(), Error> {
    sqlx::query(r#"UPDATE eventus.logins SET failed = 0 WHERE "user" = $1 AND failed > 0"#)
        .bind(user)
        .execute(executor)
        .await?;
    Ok(())
}

/// Whether no one-time password of this step, or of one after it, was accepted of him before. None is from now on.
pub async fn accept_step(connection: &mut PgConnection, user: Uuid, step: i64) -> Result<bool, Error> {
    const ACCEPT: &str = r#"INSERT INTO eventus.logins AS l ("user", otp_step) VALUES ($1, $2)
        ON CONFLICT ("user") DO UPDATE SET otp_step = excluded.otp_step
        WHERE l.otp_step IS NULL OR l.otp_step < excluded.otp_step"#;
    let done = sqlx::query(ACCEPT).bind(user).bind(step).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Lines of users who are gone go; gives how many.
pub async fn sweep(executor: impl PgExecutor<'_>) -> Result<u64, Error> {
    const SWEEP: &str = r#"DELETE FROM eventus.logins l
        WHERE NOT EXISTS (SELECT FROM directus_users u WHERE u.id = l."user")"#;
    Ok(sqlx::query(SWEEP).execute(executor).await?.rows_affected())
}

/// Waits until a refusal has taken the stall time, or a multiple of it.
pub async fn stall(state: &State, started: Instant) {
    tokio::time::sleep_until(started + whole(started.elapsed(), state.config.login_stall)).await;
}

/// The whole number of stall times that holds what was taken: under load as equal as without.
pub fn whole(taken: Duration, step: Duration) -> Duration {
    if step.is_zero() {
        return taken;
    }
    let steps = taken.as_nanos() / step.as_nanos() + 1;
    step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::whole;

    #[test]
    fn refusals_take_whole_stall_times() {
        let ms = Duration::from_millis;
        assert_eq!(whole(ms(0), ms(500)), ms(500));
        assert_eq!(whole(ms(499), ms(500)), ms(500));
        assert_eq!(whole(ms(700), ms(500)), ms(1_000));
        assert_eq!(whole(ms(70), ms(0)), ms(70));
    }
}
