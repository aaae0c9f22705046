//! `directus_users.last_access`, beside the hot path: noted in memory, written every few seconds, and for one user at
//! most once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// SKIP LOCKED: a user who is being changed is noted the next time; replicas never wait for each other here.
const WRITE: &str = "UPDATE directus_users SET last_access = due.at FROM (
        SELECT u.id, seen.at FROM directus_users u JOIN UNNEST($1::uuid[], $2::timestamptz[]) AS seen (id, at)
            ON seen.id = u.id
        WHERE u.last_access IS NULL OR u.last_access < seen.at - interval '1 minute'
        FOR NO KEY UPDATE OF u SKIP LOCKED
    ) AS due WHERE directus_users.id = due.id";

/// Users who were seen since the last write.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<Uuid, OffsetDateTime>>);

impl Seen {
    /// Notes that a user was there.
    pub fn note(&self, user: Uuid, at: OffsetDateTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user, at);
    }

    /// Writes what was noted.
    pub async fn write(&self, executor: impl PgExecutor<'_>) -> Result<(), Error> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        let (users, times): (Vec<Uuid>, Vec<OffsetDateTime>) = noted.into_iter().unzip();
        sqlx::query(WRITE).bind(users).bind(times).execute(executor).await?;
        Ok(())
    }
}
