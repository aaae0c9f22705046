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
    /// `HASH_MEMORY_COST`, `HASH_TIME_COST`, `HASH_PARALLELISM`: what new password hashes cost.
    pub hash_cost: HashCost,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            filter_deadline: Duration::from_secs(5),
            relay_lease: Duration::from_secs(10),
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
            hash_cost: HashCost::from_env(env)?,
        })
    }
}
