//! Settings of the analytics worker: none so far.

use chassis::{ConfigError, Env};

/// Settings of the analytics worker.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A malformed value.
    pub fn from_env(_env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {})
    }
}
