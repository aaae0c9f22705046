//! Settings of the hooks worker.

use std::time::Duration;

use chassis::{ConfigError, Env};

/// Settings of the hooks worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EVENTUS_HOOK_DERIVE_COLLECTIONS`: collections whose slug, word count, reading time and excerpt the hook
    /// `derive_article` derives; `*` = every user collection; default none.
    pub derive_collections: Vec<String>,
    /// `EVENTUS_HOOK_RUNS_RETENTION`: runs that are older are forgotten (`30d`).
    pub runs_retention: Duration,
    /// `EVENTUS_HOOK_FILTER_TIMEOUT`: the filter hooks of one call may take so long together (`5s`); a shorter
    /// deadline of the caller goes first.
    pub filter_timeout: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Config {
    fn default() -> Self {
        Self {
            derive_collections: Vec::new(),
            runs_retention: 30 * DAY,
            filter_timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A malformed or senseless value.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let config = Self {
            derive_collections: env.list("EVENTUS_HOOK_DERIVE_COLLECTIONS")?,
            runs_retention: env.duration("EVENTUS_HOOK_RUNS_RETENTION", default.runs_retention)?,
            filter_timeout: env.duration("EVENTUS_HOOK_FILTER_TIMEOUT", default.filter_timeout)?,
        };
        // A run is also what keeps an action hook from running twice while its event may come again.
        if config.runs_retention < DAY || config.runs_retention > 36_500 * DAY {
            return Err(ConfigError::invalid("EVENTUS_HOOK_RUNS_RETENTION", "1d to 36500d"));
        }
        if config.filter_timeout.is_zero() {
            return Err(ConfigError::invalid("EVENTUS_HOOK_FILTER_TIMEOUT", "more than 0"));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;

    use super::Config;

    #[test]
    fn settings_are_read_and_checked() {
        let env = Env::from_pairs([
            ("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles, pages"),
            ("EVENTUS_HOOK_RUNS_RETENTION", "7d"),
            ("EVENTUS_HOOK_FILTER_TIMEOUT", "250"),
        ]);
        let config = Config::from_env(&env).unwrap();
        assert_eq!(config.derive_collections, ["articles", "pages"]);
        assert_eq!(config.runs_retention, Duration::from_secs(7 * 86_400));
        assert_eq!(config.filter_timeout, Duration::from_millis(250));
        assert!(env.unknown().is_empty());
        for (key, bad) in [("EVENTUS_HOOK_RUNS_RETENTION", "1h"), ("EVENTUS_HOOK_FILTER_TIMEOUT", "soon")] {
            assert!(Config::from_env(&Env::from_pairs([(key, bad)])).is_err(), "{key}");
        }
    }
}
