//! What the items service is configured with.

use std::time::Duration;

use chassis::{ConfigError, Env};
use planner::Limits;
use secrets::HashCost;

use crate::imports::Settings;

/// Names in a path that the parsers take.
const DEEPEST: usize = 20;

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
    /// `QUERY_LIMIT_DEFAULT`, `QUERY_LIMIT_MAX`, `MAX_RELATIONAL_DEPTH`, `MAX_BATCH_MUTATION`: how much one request may
    /// ask for and change.
    pub limits: Limits,
    /// `EVENTUS_STREAM_TIMEOUT`, 10 min: a list that is streamed longer is broken off.
    pub stream_timeout: Duration,
    /// `EVENTUS_STREAM_PATIENCE`, 30 s: so is one of which nothing is read for so long.
    pub stream_patience: Duration,
    /// `EVENTUS_IDEMPOTENCY_TTL`, 24 h: how long a key of a client's stands for the write that was made under it.
    pub idempotency_ttl: Duration,
    /// `EVENTUS_REQUIRE_IF_MATCH`: collections whose items are changed and deleted with `If-Match` only.
    pub conditional: Vec<String>,
    /// `HASH_MEMORY_COST`, `HASH_TIME_COST`, `HASH_PARALLELISM`: what new password hashes cost.
    pub hash_cost: HashCost,
    /// `EVENTUS_IMPORT_*`, `MAX_IMPORT_ERRORS`: files of items.
    pub imports: Settings,
    /// `EVENTUS_LOG_RETENTION`, 365 d: how long the log keeps events at least; 0 for ever.
    pub log_retention: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            filter_deadline: Duration::from_secs(5),
            relay_lease: Duration::from_secs(10),
            user_timeout: Duration::from_secs(10),
            public_timeout: Duration::from_secs(5),
            slow_query: Duration::from_secs(1),
            limits: Limits::default(),
            stream_timeout: Duration::from_secs(600),
            stream_patience: Duration::from_secs(30),
            idempotency_ttl: Duration::from_secs(24 * 3_600),
            conditional: Vec::new(),
            hash_cost: HashCost::default(),
            imports: Settings::default(),
            log_retention: Duration::from_hours(365 * 24),
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
            limits: limits(env)?,
            stream_timeout: env.duration("EVENTUS_STREAM_TIMEOUT", default.stream_timeout)?,
            stream_patience: env.duration("EVENTUS_STREAM_PATIENCE", default.stream_patience)?,
            idempotency_ttl: time_of_keys(env, default.idempotency_ttl)?,
            conditional: env.list("EVENTUS_REQUIRE_IF_MATCH")?,
            hash_cost: HashCost::from_env(env)?,
            imports: imports(env, default.imports)?,
            log_retention: log_retention(env, default.log_retention)?,
        })
    }
}

fn imports(env: &Env, default: Settings) -> Result<Settings, ConfigError> {
    let positive = |key: &str, default: u32| match env.parse(key, default)? {
        0 => Err(ConfigError::invalid(key, "a number above 0")),
        number => Ok(number),
    };
    Ok(Settings {
        max_size: env.bytes("EVENTUS_IMPORT_MAX_SIZE", default.max_size)?,
        // None is written in one transaction.
        atomic_rows: env.parse::<u32>("EVENTUS_IMPORT_ATOMIC_ROWS", 10_000)?.into(),
        max_errors: usize::try_from(positive("MAX_IMPORT_ERRORS", 1_000)?).unwrap_or(default.max_errors),
        retention: due::retention(env, "EVENTUS_IMPORT_RETENTION", default.retention)?,
    })
}

/// The stream is filled anew from the log, so the log never keeps less.
fn log_retention(env: &Env, default: Duration) -> Result<Duration, ConfigError> {
    const KEY: &str = "EVENTUS_LOG_RETENTION";
    let retention = due::retention(env, KEY, default)?;
    let stream = env.duration("EVENTUS_STREAM_MAX_AGE", Duration::from_hours(7 * 24))?;
    if !retention.is_zero() && retention < stream {
        return Err(ConfigError::invalid(KEY, "0, or at least EVENTUS_STREAM_MAX_AGE"));
    }
    Ok(retention)
}

/// A century is far enough for the arithmetic of dates.
fn time_of_keys(env: &Env, default: Duration) -> Result<Duration, ConfigError> {
    const KEY: &str = "EVENTUS_IDEMPOTENCY_TTL";
    let time = env.duration(KEY, default)?;
    if time.is_zero() || time > Duration::from_secs(36_500 * 86_400) {
        return Err(ConfigError::invalid(KEY, "more than 0 and at most 36500d"));
    }
    Ok(time)
}

/// -1 means without a limit, as in Directus.
fn limits(env: &Env) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    let items = |key: &str, number: i64, least: u32| match number {
        -1 => Ok(None),
        number => match u32::try_from(number).ok().filter(|number| *number >= least) {
            Some(number) => Ok(Some(number)),
            None => Err(ConfigError::invalid(key, format!("-1, or a number of items from {least}"))),
        },
    };
    let depth = env.parse("MAX_RELATIONAL_DEPTH", default.depth)?;
    if !(1..=DEEPEST).contains(&depth) {
        return Err(ConfigError::invalid("MAX_RELATIONAL_DEPTH", format!("a number from 1 to {DEEPEST}")));
    }
    Ok(Limits {
        default: items("QUERY_LIMIT_DEFAULT", env.parse("QUERY_LIMIT_DEFAULT", 100)?, 0)?,
        max: items("QUERY_LIMIT_MAX", env.parse("QUERY_LIMIT_MAX", -1)?, 1)?,
        depth,
        batch: items("MAX_BATCH_MUTATION", env.parse("MAX_BATCH_MUTATION", -1)?, 1)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;
    use planner::Limits;

    use super::{limits, log_retention, time_of_keys};

    #[test]
    fn keys_are_good_for_some_time() {
        let of = |time: &str| {
            time_of_keys(&Env::from_pairs([("EVENTUS_IDEMPOTENCY_TTL", time)]), Duration::from_secs(9))
        };
        assert_eq!(of("2d").unwrap(), Duration::from_secs(2 * 86_400));
        for wrong in ["0", "36501d", "soon"] {
            assert!(of(wrong).unwrap_err().to_string().contains("EVENTUS_IDEMPOTENCY_TTL"), "{wrong}");
        }
    }

    #[test]
    fn the_log_keeps_no_less_than_the_stream() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            log_retention(&Env::from_pairs(pairs.iter().copied()), Duration::from_secs(9_000_000))
        };
        assert_eq!(of(&[("A", "b")]).unwrap(), Duration::from_secs(9_000_000));
        assert_eq!(of(&[("EVENTUS_LOG_RETENTION", "0")]).unwrap(), Duration::ZERO);
        assert!(of(&[("EVENTUS_LOG_RETENTION", "6d")]).is_err());
        assert!(of(&[("EVENTUS_LOG_RETENTION", "6d"), ("EVENTUS_STREAM_MAX_AGE", "5d")]).is_ok());
    }

    #[test]
    fn limits_are_read() {
        let of = |pairs: &[(&str, &str)]| {
            limits(&Env::from_pairs(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()))))
        };
        assert_eq!(of(&[("A", "b")]).unwrap(), Limits::default());
        let all = [
            ("QUERY_LIMIT_DEFAULT", "-1"),
            ("QUERY_LIMIT_MAX", "20"),
            ("MAX_RELATIONAL_DEPTH", "3"),
            ("MAX_BATCH_MUTATION", "7"),
        ];
        assert_eq!(of(&all).unwrap(), Limits { default: None, max: Some(20), depth: 3, batch: Some(7) });
        for (key, value) in [
            ("QUERY_LIMIT_DEFAULT", "-2"),
            ("QUERY_LIMIT_MAX", "0"),
            ("QUERY_LIMIT_MAX", "x"),
            ("MAX_RELATIONAL_DEPTH", "0"),
            ("MAX_BATCH_MUTATION", "0"),
            ("MAX_RELATIONAL_DEPTH", "99"),
        ] {
            assert!(of(&[(key, value)]).unwrap_err().to_string().contains(key), "{key} {value}");
        }
    }
}
