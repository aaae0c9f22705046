//! What the items service is configured with.

use std::time::Duration;

use chassis::{ConfigError, Env};
use secrets::HashCost;

/// Configuration of the items service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EVENTUS_FILTER_DEADLINE`, 5 s: filter hooks that take longer count as no answer.
    pub filter_deadline: Duration,
    /// `EVENTUS_RELAY_LEASE`, 10 s: a relay that is silent for so long is replaced.
    pub relay_lease: Duration,
    /// `EVENTUS_USER_STATEMENT_TIMEOUT`, 10 s: a read of a user who is no administrator is stopped after that.
    pub user_timeout: Duration,
    /// `EVENTUS_PUBLIC_STATEMENT_TIMEOUT`, 5 s: the same for who has no credentials.
    pub public_timeout: Duration,
    /// `EVENTUS_SLOW_QUERY`, 1 s: a read that takes longer is a line in the log; 0 for none.
    pub slow_query: Duration,
    /// `HASH_MEMORY_COST`, `HASH_TIME_COST`, `HASH_PARALLELISM`: what new password hashes cost.
    pub hash_cost: HashCost,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            filter_deadline: Duration::from_secs(5),
            relay_lease: Duration::from_secs(10),
            user_timeout: Duration::from_secs(10),
            public_timeout: Duration::from_secs(5),
            slow_query: Duration::from_secs(1),
            hash_cost: HashCost::default(),
        }
    }
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            filter_deadline: env.duration("EVENTUS_FILTER_DEADLINE", default.filter_deadline)?,
            relay_lease: env.duration("EVENTUS_RELAY_LEASE", default.relay_lease)?,
            user_timeout: env.duration("EVENTUS_USER_STATEMENT_TIMEOUT", default.user_timeout)?,
            public_timeout: env.duration("EVENTUS_PUBLIC_STATEMENT_TIMEOUT", default.public_timeout)?,
            slow_query: env.duration("EVENTUS_SLOW_QUERY", default.slow_query)?,
            hash_cost: HashCost::from_env(env)?,
        })
    }
}
