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
//!
//! Who may not wait for a statement as long as others (`Db::limited`) has the connection's `statement_timeout` set. A
//! connection remembers what it was set to, and who asks gets one that fits, if one rests here: under steady load each
//! limit has its connections, and nothing is set. What comes from the pool is not known once any limit was in use.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Executor as _, Postgres, SqlSafeStr as _, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::gone_before_use;
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
    /// Of sessions that nobody has set to another.
    pub(crate) usual: Duration,
    /// Somebody has: what comes from the pool may be one of those.
    uneven: AtomicBool,
}

#[derive(Debug)]
struct Resting {
    connection: PoolConnection<Postgres>,
    since: Instant,
    lent: Instant,
    limit: Option<Duration>,
}

/// A connection of one's own, until it is dropped.
#[derive(Debug)]
pub struct Connection {
    // Dropped in this order: the permit is free when the connection is on its way back.
    connection: PoolConnection<Postgres>,
    permit: OwnedSemaphorePermit,
    /// When the pool gave it.
    lent: Instant,
    /// Its `statement_timeout`, if that is known.
    limit: Option<Duration>,
    kept: Arc<Kept>,
}

/// A transaction; rolled back when it is dropped before it was committed.
#[derive(Debug)]
pub struct Transaction {
    transaction: sqlx::Transaction<'static, Postgres>,
    _permit: OwnedSemaphorePermit,
}

impl Kept {
    pub fn new(pool: PgPool, usual: Duration) -> Arc<Self> {
        let permits = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
        let permits = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { pool, permits, resting: Mutex::default(), usual, uneven: AtomicBool::new(false) })
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

    /// A connection on which a statement may take so long.
    pub async fn lend(self: &Arc<Self>, limit: Duration) -> Result<Connection, sqlx::Error> {
        let mut tries = self.pool.options().get_max_connections();
        loop {
            match self.take(limit).await?.set(limit).await {
                Err(error) if tries > 0 && gone_before_use(&error) => tries -= 1,
                result => return result,
            }
        }
    }

    /// A connection that rests here, one with this limit if there is one, or one of the pool.
    pub async fn take(self: &Arc<Self>, limit: Duration) -> Result<Connection, sqlx::Error> {
        let permit = self.permit().await?;
        let now = Instant::now();
        let trusted = |resting: &Resting| now.saturating_duration_since(resting.since) < TRUSTED_REST;
        let (found, stale) = self.resting(|resting| match resting.last() {
            Some(last) if trusted(last) => {
                let fits = |resting: &Resting| resting.limit == Some(limit) && trusted(resting);
                let at = resting.iter().rposition(fits).unwrap_or(resting.len() - 1);
                (Some(resting.remove(at)), Vec::new())
            }
            // Those below rest even longer.
            _ => (None, std::mem::take(resting)),
        });
        // Outside the lock: each is handed back now.
        drop(stale);
        let kept = Arc::clone(self);
        if let Some(Resting { connection, lent, limit, .. }) = found {
            return Ok(Connection { connection, permit, lent, limit, kept });
        }
        let connection = self.pool.acquire().await?;
        let limit = (!self.uneven.load(Ordering::SeqCst)).then_some(self.usual);
        Ok(Connection { connection, permit, lent: Instant::now(), limit, kept })
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
        let Self { connection, permit, lent, limit, kept } = self;
        if now.saturating_duration_since(lent) < LONGEST_STAY {
            kept.resting(|resting| resting.push(Resting { connection, since: now, lent, limit }));
        }
        // After that: who gets it finds the connection.
        drop(permit);
        if kept.permits.is_closed() {
            drop(kept.resting(std::mem::take));
        }
    }

    /// Begins a transaction whose statements may take so long.
    ///
    /// Who gives up meanwhile takes nothing with him: a `BEGIN` whose answer nobody has read would leave its session
    /// within a transaction that sqlx knows nothing of, and whatever the next one writes on it would be told as stored and
    /// never be. So the beginning always comes to its end, and a transaction that nobody wants any more is rolled back.
    pub(crate) async fn begin(self, limit: Duration) -> Result<Transaction, sqlx::Error> {
        let Self { connection, permit, limit: present, .. } = self;
        // In the same message: no round trip of its own.
        let begin: Option<SqlStr> = (present != Some(limit)).then(|| {
            AssertSqlSafe(format!("BEGIN; SET LOCAL statement_timeout = {}", limit.as_millis()))
                .into_sql_str()
        });
        let begun = detached(async move {
            let transaction = sqlx::Transaction::begin(connection, begin).await?;
            Ok(Transaction { transaction, _permit: permit })
        });
        begun.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }

    /// With this limit.
    async fn set(mut self, limit: Duration) -> Result<Self, sqlx::Error> {
        if self.limit == Some(limit) {
            return Ok(self);
        }
        if limit != self.kept.usual {
            // Before it is sent: nobody may take the session for one with the usual limit, whatever comes of this.
            self.kept.uneven.store(true, Ordering::SeqCst);
        }
        self.limit = None;
        let set = format!("SET statement_timeout = {}", limit.as_millis());
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(set))).await?;
        self.limit = Some(limit);
        Ok(self)
    }

    /// The connection is closed when it is dropped, and with it what was set for its session.
    pub fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

/// Work that ends whatever becomes of who waits for it.
#[expect(
    clippy::disallowed_methods,
    reason = "a round trip that may not be given up half-way, not a task of a process"
)]
fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let task = tokio::spawn(work);
    // Only a runtime that ends gives none.
    async { task.await.ok() }
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
