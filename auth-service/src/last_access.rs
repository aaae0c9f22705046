//! `directus_users.last_access` and `last_used` of API keys, beside the hot path: noted in memory, written every few seconds, and for one user at
//! most once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// SKIP LOCKED: a user who is being changed is noted the next time; replicas never wait for each other here.
macro_rules! write {
    ($table:literal, $column:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " AS seen_one SET ",
            $column,
            " = due.at FROM (
                SELECT t.id, seen.at FROM ",
            $table,
            " t JOIN UNNEST($1::uuid[], $2::timestamptz[]) AS seen (id, at)
                    ON seen.id = t.id
                WHERE t.",
            $column,
            " IS NULL OR t.",
            $column,
            " < seen.at - interval '1 minute'
                FOR NO KEY UPDATE OF t SKIP LOCKED
            ) AS due WHERE seen_one.id = due.id"
        )
    };
}

/// Who was seen since the last write.
#[derive(Debug)]
pub struct Seen {
    noted: Mutex<HashMap<Uuid, OffsetDateTime>>,
    write: &'static str,
}

impl Seen {
    /// Users.
    pub fn of_users() -> Self {
        Self { noted: Mutex::default(), write: write!("directus_users", "last_access") }
    }

    /// API keys.
    pub fn of_keys() -> Self {
        Self { noted: Mutex::default(), write: write!("eventus.api_keys", "last_used") }
    }

    /// Notes that one was there.
    pub fn note(&self, user: Uuid, at: OffsetDateTime) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(user, at);
    }

    /// Writes what was noted.
    pub async fn write(&self, executor: impl PgExecutor<'_>) -> Result<(), Error> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        let (users, times): (Vec<Uuid>, Vec<OffsetDateTime>) = noted.into_iter().unzip();
        sqlx::query(self.write).bind(users).bind(times).execute(executor).await?;
        Ok(())
    }
}
