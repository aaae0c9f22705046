//! Where the broker is and how long the stream keeps what it holds.

use std::time::Duration;

use chassis::{ConfigError, Env};

/// Settings of the bus. Its `Debug` form shows no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses with credentials, commas between servers: `nats://user:password@host:4222`.
    pub url: String,
    /// First token of every subject, for servers that several installations share. Empty: none.
    pub prefix: String,
    /// Copies of the stream in a cluster, 1 to 5.
    pub replicas: usize,
    /// How long the stream keeps an event.
    pub max_age: Duration,
    /// Attempts of a consumer at an event before it is a dead letter; nothing: as the consumer says.
    pub attempts: Option<u32>,
    /// How many bytes the stream keeps, 0: as many as `max_age` makes.
    pub max_bytes: u64,
}

impl Config {
    /// Default settings for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: String::new(),
            replicas: 1,
            max_age: Duration::from_hours(7 * 24),
            max_bytes: 0,
            attempts: None,
        }
    }

    /// Reads `NATS_URL`, `EVENTUS_SUBJECT_PREFIX`, `EVENTUS_STREAM_REPLICAS`, `EVENTUS_STREAM_MAX_AGE`,
    /// `EVENTUS_STREAM_MAX_BYTES` and `EVENTUS_CONSUMER_ATTEMPTS`.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::new(env.required("NATS_URL")?);
        let config = Self {
            prefix: env.get("EVENTUS_SUBJECT_PREFIX")?.unwrap_or_default(),
            replicas: env.parse("EVENTUS_STREAM_REPLICAS", default.replicas)?,
            max_age: env.duration("EVENTUS_STREAM_MAX_AGE", default.max_age)?,
            max_bytes: env.bytes("EVENTUS_STREAM_MAX_BYTES", default.max_bytes)?,
            attempts: env
                .get("EVENTUS_CONSUMER_ATTEMPTS")?
                .map(|_| env.parse("EVENTUS_CONSUMER_ATTEMPTS", 0))
                .transpose()?,
            ..default
        };
        if config.attempts == Some(0) {
            return Err(ConfigError::invalid("EVENTUS_CONSUMER_ATTEMPTS", "a number from 1"));
        }
        if !prefix_fits(&config.prefix) {
            return Err(ConfigError::invalid("EVENTUS_SUBJECT_PREFIX", "a-z, 0-9, _ and -, at most 32"));
        }
        if !(1..=5).contains(&config.replicas) {
            return Err(ConfigError::invalid("EVENTUS_STREAM_REPLICAS", "a number from 1 to 5"));
        }
        if config.max_age < Duration::from_mins(2) {
            return Err(ConfigError::invalid("EVENTUS_STREAM_MAX_AGE", "at least 2m"));
        }
        Ok(config)
    }
}

/// One token, or nothing: the prefix is part of the stream's name too.
pub(crate) fn prefix_fits(prefix: &str) -> bool {
    prefix.len() <= 32 && prefix.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("max_age", &self.max_age)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_environment_and_hides_the_password() {
        let pairs = [
            ("NATS_URL", "nats://me:secret@host:4222"),
            ("EVENTUS_SUBJECT_PREFIX", "acme"),
            ("EVENTUS_STREAM_REPLICAS", "3"),
            ("EVENTUS_STREAM_MAX_AGE", "2d"),
        ];
        let config = Config::from_env(&Env::from_pairs(pairs)).unwrap();
        assert_eq!((config.prefix.as_str(), config.replicas), ("acme", 3));
        assert_eq!(config.max_age, Duration::from_hours(48));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let wrong = [
            ("EVENTUS_SUBJECT_PREFIX", "a.b"),
            ("EVENTUS_STREAM_REPLICAS", "6"),
            ("EVENTUS_STREAM_MAX_AGE", "1s"),
            ("EVENTUS_CONSUMER_ATTEMPTS", "0"),
        ];
        for pair in wrong {
            let env = Env::from_pairs([("NATS_URL", "nats://host"), pair]);
            assert!(Config::from_env(&env).unwrap_err().to_string().contains(pair.0));
        }
        assert!(Config::from_env(&Env::from_pairs([("A", "b")])).is_err());
    }
}
