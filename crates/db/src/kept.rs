//! Connections that go from one statement to the next without being handed back to the pool.
//!
//! The pool asks every connection that comes back for a sign of life: one more round trip per statement, which costs
//! both sides about as much as a read by key. A connection whose statement has ended well needs no such question when
//! the next statement is already there. So it rests here for a moment; whatever is in doubt (an error, a statement that
//! was given up, a transaction, a rest, a long stay) goes back to the pool, which finds out.
//!
//! Nobody waits at the pool for a connection that rests here: there are as many permits as connections, everyone takes
//! a permit first, then looks here, then asks the pool. Who finds nothing here while others hold the remaining permits
//! finds a place in the pool, at the latest when a connection that is on its way back has arrived.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pool::TRUSTED_REST;

/// After so long a connection goes back all the same: the pool closes those that are too old.
const LONGEST_STAY: Duration = Duration::from_secs(1);

/// The pool, and its connections that rest before it.
#[derive(Debug)]
pub struct Kept {
    pool: PgPool,
    permits: Arc<Semaphore>,
    /// The one that was used last is used first.
    resting: Mutex<Vec<Resting>>,
}

#[derive(Debug)]
struct Resting {
    connection: PoolConnection<Postgres>,
    since: Instant,
    lent: Instant,
}

/// A connection of one's own, until it is dropped.
#[derive(Debug)]
pub struct Connection {
    // Dropped in this order: the permit is free when the connection is on its way back.
    connection: PoolConnection<Postgres>,
    permit: OwnedSemaphorePermit,
    /// When the pool gave it.
    lent: Instant,
    kept: Arc<Kept>,
}

/// A transaction; rolled back when it is dropped before it was committed.
#[derive(Debug)]
pub struct Transaction {
    transaction: sqlx::Transaction<'static, Postgres>,
    _permit: OwnedSemaphorePermit,
}

impl Kept {
    pub fn new(pool: PgPool) -> Arc<Self> {
        let permits = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
        let permits = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { pool, permits, resting: Mutex::default() })
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn resting<T>(&self, act: impl FnOnce(&mut Vec<Resting>) -> T) -> T {
        act(&mut self.resting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many rest here.
    pub fn idle(&self) -> usize {
        self.resting(|resting| resting.len())
    }

    /// A connection that rests here, or one of the pool.
    pub async fn lend(self: &Arc<Self>) -> Result<Connection, sqlx::Error> {
        let permit = self.permit().await?;
        let now = Instant::now();
        let trusted = |resting: &Resting| now.saturating_duration_since(resting.since) < TRUSTED_REST;
        let (found, stale) = self.resting(|resting| match resting.pop() {
            Some(last) if trusted(&last) => (Some(last), Vec::new()),
            // Those below rest even longer.
            Some(last) => {
                resting.push(last);
                (None, std::mem::take(resting))
            }
            None => (None, Vec::new()),
        });
        // Outside the lock: each is handed back now.
        drop(stale);
        let kept = Arc::clone(self);
        if let Some(Resting { connection, lent, .. }) = found {
            return Ok(Connection { connection, permit, lent, kept });
        }
        let connection = self.pool.acquire().await?;
        Ok(Connection { connection, permit, lent: Instant::now(), kept })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(self.pool.options().get_acquire_timeout(), permit).await {
            Ok(permit) => permit.map_err(|_| sqlx::Error::PoolClosed),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Waits until the connections are handed back and closes them.
    pub async fn close(&self) {
        self.permits.close();
        let closing = self.pool.close();
        drop(self.resting(std::mem::take));
        closing.await;
    }
}

impl Connection {
    /// The statement has ended and its answer was read to the end: the next one may have the connection.
    pub(crate) fn done(self) {
        let now = Instant::now();
        let Self { connection, permit, lent, kept } = self;
        if now.saturating_duration_since(lent) < LONGEST_STAY {
            kept.resting(|resting| resting.push(Resting { connection, since: now, lent }));
        }
        // After that: who gets it finds the connection.
        drop(permit);
        if kept.permits.is_closed() {
            drop(kept.resting(std::mem::take));
        }
    }

    /// Begins a transaction.
    pub(crate) async fn begin(self) -> Result<Transaction, sqlx::Error> {
        let Self { connection, permit, .. } = self;
        let transaction = sqlx::Transaction::begin(connection, None::<SqlStr>).await?;
        Ok(Transaction { transaction, _permit: permit })
    }

    /// The connection is closed when it is dropped, and with it what was set for its session.
    pub fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Transaction {
    /// Commits.
    ///
    /// # Errors
    /// Those of deferred constraints and of the connection. After the latter nobody knows whether it is committed.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }

    /// Rolls back, and waits until it is done.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
