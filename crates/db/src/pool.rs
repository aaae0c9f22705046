//! The pool: sessions that hold no surprises, and connections that are known to live when they are handed out.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _};

use crate::error::gone_before_use;
use crate::kept::{Connection, Kept, Transaction};
use crate::{Config, Error};

/// A connection that rested longer is asked for a sign of life before it is used: about 60 us, and never under load.
pub const TRUSTED_REST: Duration = Duration::from_millis(20);
/// PostgreSQL logs what it cancels; this is what we log ourselves.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// The database of one process. Cheap to clone; clones share the connections.
///
/// `&Db` is itself a sqlx executor: unlike the bare pool it survives connections that died while they rested.
#[derive(Debug, Clone)]
pub struct Db {
    kept: Arc<Kept>,
    /// A statement may take so long.
    limit: Duration,
}

/// Makes the pool; connects when it is first used. `application_name` is what `pg_stat_activity` shows.
///
/// Sessions: time zone UTC, `synchronous_commit` on, no JIT, search path `public`, the time-outs of `config`. Needs a tokio runtime.
pub fn connect(config: &Config, application_name: &str) -> Db {
    let milliseconds = |time: Duration| time.as_millis().to_string();
    let options = config.options.clone().application_name(application_name).options([
        ("timezone", "UTC".to_owned()),
        // Without `"$user"`: a role named eventus would make the user's tables in our own schema.
        ("search_path", "public".to_owned()),
        ("synchronous_commit", "on".to_owned()),
        // Sub-selects of many rows look dear to the planner, and compiling them takes longer than they do.
        ("jit", "off".to_owned()),
        ("statement_timeout", milliseconds(config.statement_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(config.idle_in_transaction_timeout)),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                // An error here makes the pool take another connection, or a new one.
                if rest.idle_for > TRUSTED_REST {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(quiet(options));
    let limit = config.statement_timeout;
    Db { kept: Kept::new(pool, limit), limit }
}

/// sqlx would format every statement for the log; only slow ones are worth it.
fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    // The type is of a crate that we don't name; "off" and "warn" are among its words.
    let options = match FromStr::from_str("off") {
        Ok(level) => options.log_statements(level),
        Err(_) => options,
    };
    match FromStr::from_str("warn") {
        Ok(level) => options.log_slow_statements(level, SLOW_STATEMENT),
        Err(_) => options,
    }
}

impl Db {
    /// The same database, for statements that are cancelled earlier: PostgreSQL ends them after `limit`, if that is
    /// less than what the process allows. Whole milliseconds, one at least; zero is no limit of one's own.
    #[must_use]
    pub fn limited(&self, limit: Duration) -> Self {
        let usual = self.kept.usual;
        let whole = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let limit = match (limit.is_zero(), usual.is_zero()) {
            (true, _) => usual,
            (_, true) => whole.max(Duration::from_millis(1)),
            _ => whole.max(Duration::from_millis(1)).min(usual),
        };
        Self { kept: Arc::clone(&self.kept), limit }
    }

    /// After how long PostgreSQL cancels a statement; zero is never.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How many connections are open and have nothing to do.
    pub fn idle(&self) -> usize {
        self.kept.pool().num_idle() + self.kept.idle()
    }

    /// A connection for one statement.
    pub(crate) async fn lend(&self) -> Result<Connection, sqlx::Error> {
        self.kept.lend(self.limit).await
    }

    /// How many connections there may be.
    pub fn max_connections(&self) -> u32 {
        self.kept.pool().options().get_max_connections()
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// When the server is away or no connection gets free in time.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        Ok(self.lend().await?)
    }

    /// Begins a transaction; dropping it rolls back. A connection that turns out to be dead is replaced: nothing
    /// has happened on it yet.
    ///
    /// # Errors
    /// When the server is away or no connection gets free in time.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let mut tries = self.max_connections();
        loop {
            match self.kept.take(self.limit).await?.begin(self.limit).await {
                Err(error) if tries > 0 && gone_before_use(&error) => tries -= 1,
                result => return Ok(result?),
            }
        }
    }

    /// Waits until the connections are handed back and closes them.
    pub async fn close(&self) {
        self.kept.close().await;
    }
}
