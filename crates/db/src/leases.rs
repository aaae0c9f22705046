//! Leases: who may do what only one may do at a time. Rows with the database's clock and a fence that grows.
//!
//! A holder stops by its own clock before the database lets another in; what a stopped process still writes is
//! refused by the fence.

use std::time::Duration;

use chassis::Shutdown;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::{Db, Error};

/// A lease that was got. It runs out by itself; `hold` keeps it alive.
#[derive(Debug, Clone)]
pub struct Lease {
    db: Db,
    name: String,
    holder: String,
    ttl: Duration,
    fence: i64,
    /// Our own clock, read before the database was asked: never later than the database's end.
    until: Instant,
}

impl Lease {
    /// Takes the lease `name` if it is free or has run out. `holder` is unique per start of a process.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn acquire(db: &Db, name: &str, holder: &str, ttl: Duration) -> Result<Option<Self>, Error> {
        let until = Instant::now() + ttl;
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO eventus.leases AS held (name, holder, fence, expires)
             VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 second')
             ON CONFLICT (name) DO UPDATE
             SET holder = excluded.holder, fence = held.fence + 1,
                 expires = clock_timestamp() + $3 * interval '1 second'
             WHERE held.expires <= clock_timestamp()
             RETURNING fence",
        )
        .bind(name)
        .bind(holder)
        .bind(ttl.as_secs_f64())
        .fetch_optional(db)
        .await?;
        let lease = |fence| Self {
            db: db.clone(),
            name: name.to_owned(),
            holder: holder.to_owned(),
            ttl,
            fence,
            until,
        };
        Ok(fence.map(lease))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who holds it.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Grows with each change of holder; writes under the lease carry it.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// Prolongs it by its time to live. `false`: another one has it now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn renew(&self) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE eventus.leases SET expires = clock_timestamp() + $3 * interval '1 second'
             WHERE name = $1 AND fence = $2",
        )
        .bind(&self.name)
        .bind(self.fence)
        .bind(self.ttl.as_secs_f64())
        .execute(&self.db)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives it back, so that another need not wait for its end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn release(self) -> Result<(), Error> {
        sqlx::query("UPDATE eventus.leases SET expires = '-infinity' WHERE name = $1 AND fence = $2")
            .bind(&self.name)
            .bind(self.fence)
            .execute(&self.db)
            .await?;
        Ok(())
    }

    /// Whether it is still ours, with a lock that keeps it so until the caller's transaction ends. Writes that
    /// must not come from a former holder begin with it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn confirm(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        let row = sqlx::query("SELECT 1 FROM eventus.leases WHERE name = $1 AND fence = $2 FOR SHARE")
            .bind(&self.name)
            .bind(self.fence)
            .fetch_optional(connection)
            .await?;
        Ok(row.is_some())
    }

    /// Renews it until it is lost.
    async fn keep(&self) {
        let (mut until, mut next) = (self.until, self.until - self.ttl * 2 / 3);
        loop {
            sleep_until(next.min(until)).await;
            let asked = Instant::now();
            if asked >= until {
                return;
            }
            match timeout_at(until, self.renew()).await {
                Ok(Ok(true)) => (until, next) = (asked + self.ttl, asked + self.ttl / 3),
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "the lease could not be renewed");
                    next = Instant::now() + self.ttl / 10;
                }
            }
        }
    }
}

/// Does `work` while holding the lease `name`: tries to get it, does the work while renewing it, drops the work when
/// the lease is lost and tries again. Returns what the work returned when it ends by itself (it ends at the soft stop;
/// until then the lease is kept), and `Ok` when the stop comes while it waits. The lease is released at the end.
///
/// # Errors
/// The work's own.
pub async fn hold<W, F, E>(
    db: &Db,
    name: &str,
    holder: &str,
    ttl: Duration,
    shutdown: &Shutdown,
    mut work: W,
) -> Result<(), E>
where
    W: FnMut(Lease) -> F,
    F: Future<Output = Result<(), E>>,
{
    while let Some(lease) = wait(db, name, holder, ttl, shutdown).await {
        tracing::info!(lease = name, fence = lease.fence, "holding the lease");
        let ended = tokio::select! {
            // The first branch is looked at first: a process that was stopped too long must not go on with the work.
            biased;
            () = lease.keep() => None,
            () = shutdown.hard().cancelled() => return Ok(()),
            result = work(lease.clone()) => Some(result),
        };
        match ended {
            Some(result) => {
                if let Err(error) = lease.release().await {
                    tracing::warn!(lease = name, %error, "the lease could not be released and has to run out");
                }
                return result;
            }
            None => tracing::warn!(lease = name, fence = lease.fence, "lost the lease"),
        }
    }
    Ok(())
}

/// Waits for the lease; `None` at the soft stop.
async fn wait(db: &Db, name: &str, holder: &str, ttl: Duration, shutdown: &Shutdown) -> Option<Lease> {
    let mut told = false;
    loop {
        if shutdown.soft().is_cancelled() {
            return None;
        }
        match Lease::acquire(db, name, holder, ttl).await {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => {}
            Err(error) if !told => {
                told = true;
                tracing::warn!(lease = name, %error, "the lease cannot be asked for");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.soft().cancelled() => return None,
            () = sleep(ttl / 5) => {}
        }
    }
}
