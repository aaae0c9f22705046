//! Settings of limits, with Directus's names where the meaning is equal.

use std::time::Duration;

use chassis::{ConfigError, Env};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use crate::limiter::Limiter;
use crate::rate::Rate;
use crate::shared::Shared;

/// Settings of limits. `Default` limits nothing.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `RATE_LIMITER_*`: requests of an address.
    pub requests: Option<Rate>,
    /// `RATE_LIMITER_GLOBAL_*`: requests of everybody.
    pub global: Option<Rate>,
    /// `EVENTUS_RATE_LIMITER_USER_*`: requests of a user.
    pub user: Option<Rate>,
    /// `EVENTUS_LOGIN_LIMITER_*`: attempts that fail.
    pub attempts: Option<AttemptConfig>,
    redis: Option<Redis>,
}

/// Limits of attempts that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptConfig {
    /// On one account.
    pub account: Rate,
    /// From one address.
    pub address: Rate,
}

#[derive(Clone)]
struct Redis {
    client: Client,
    prefix: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the key.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let requests = rate(env, ("RATE_LIMITER_POINTS", 50), ("RATE_LIMITER_DURATION", 1))?;
        let global = rate(env, ("RATE_LIMITER_GLOBAL_POINTS", 1_000), ("RATE_LIMITER_GLOBAL_DURATION", 1))?;
        let user =
            rate(env, ("EVENTUS_RATE_LIMITER_USER_POINTS", 50), ("EVENTUS_RATE_LIMITER_USER_DURATION", 1))?;
        let span = ("EVENTUS_LOGIN_LIMITER_DURATION", 300);
        let account = rate(env, ("EVENTUS_LOGIN_LIMITER_POINTS", 20), span)?;
        let address = rate(env, ("EVENTUS_LOGIN_LIMITER_IP_POINTS", 100), span)?;
        Ok(Self {
            requests: env.flag("RATE_LIMITER_ENABLED", false)?.then_some(requests),
            global: env.flag("RATE_LIMITER_GLOBAL_ENABLED", false)?.then_some(global),
            user: env.flag("EVENTUS_RATE_LIMITER_USER_ENABLED", false)?.then_some(user),
            attempts: env
                .flag("EVENTUS_LOGIN_LIMITER_ENABLED", true)?
                .then_some(AttemptConfig { account, address }),
            redis: store(env)?,
        })
    }

    /// Buckets where these settings want them.
    pub fn limiter(&self) -> Limiter {
        let redis = self.redis.clone();
        Limiter::new(redis.map(|Redis { client, prefix }| Shared::new(client, prefix)))
    }
}

fn rate(env: &Env, points: (&str, u32), seconds: (&str, u64)) -> Result<Rate, ConfigError> {
    let (key, default) = points;
    let points = env.parse(key, default)?;
    if points == 0 {
        return Err(ConfigError::invalid(key, "a number above 0"));
    }
    let (key, default) = seconds;
    let seconds = env.parse(key, default)?;
    if !(1..=365 * 24 * 3_600).contains(&seconds) {
        return Err(ConfigError::invalid(key, "seconds, from 1 to those of a year"));
    }
    Ok(Rate { points, duration: Duration::from_secs(seconds) })
}

/// Redis, where it is given and not spoken against.
fn store(env: &Env) -> Result<Option<Redis>, ConfigError> {
    let given = server(env)?;
    let prefix = env.get("EVENTUS_REDIS_PREFIX")?.unwrap_or_else(|| "eventus".to_owned());
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte);
    if prefix.len() > 64 || !prefix.bytes().all(fits) {
        return Err(ConfigError::invalid("EVENTUS_REDIS_PREFIX", "letters, digits, -, _ and :, at most 64"));
    }
    let client = match env.get("RATE_LIMITER_STORE")?.as_deref() {
        None => given,
        Some("memory") => None,
        Some("redis") => Some(given.ok_or_else(|| ConfigError::Missing("REDIS".to_owned()))?),
        Some(_) => return Err(ConfigError::invalid("RATE_LIMITER_STORE", "memory or redis")),
    };
    Ok(client.map(|client| Redis { client, prefix }))
}

fn server(env: &Env) -> Result<Option<Client>, ConfigError> {
    let (url, host) = (env.get("REDIS")?, env.get("REDIS_HOST")?);
    let port: u16 = env.parse("REDIS_PORT", 6_379)?;
    let (user, password) = (env.get("REDIS_USERNAME")?, env.get("REDIS_PASSWORD")?);
    let database: i64 = env.parse("REDIS_DB", 0)?;
    if let Some(url) = url {
        // The parser's own text may repeat the password.
        let client = Client::open(url);
        return client.map(Some).map_err(|_| {
            ConfigError::invalid("REDIS", "redis://[user:password@]host:6379[/number] or rediss://")
        });
    }
    let Some(host) = host else { return Ok(None) };
    let mut settings = RedisConnectionInfo::default().set_db(database);
    if let Some(user) = user {
        settings = settings.set_username(user);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    let address = ConnectionAddr::Tcp(host, port).into_connection_info();
    let client = address.and_then(|address| Client::open(address.set_redis_settings(settings)));
    client.map(Some).map_err(|_| ConfigError::invalid("REDIS_HOST", "a host"))
}

#[cfg(test)]
mod tests {
    use chassis::Env;

    use super::Config;

    #[test]
    fn nothing_but_attempts_is_limited_unless_told() {
        let config = Config::from_env(&Env::from_pairs([("A", "b")])).unwrap();
        assert!(config.requests.is_none() && config.global.is_none() && config.user.is_none());
        assert!(config.attempts.is_some() && config.redis.is_none());
        let told = [("RATE_LIMITER_ENABLED", "true"), ("RATE_LIMITER_POINTS", "3"), ("REDIS_HOST", "redis")];
        let config = Config::from_env(&Env::from_pairs(told)).unwrap();
        assert_eq!(config.requests.map(|rate| (rate.points, rate.duration.as_secs())), Some((3, 1)));
        assert!(config.redis.is_some());
    }

    #[test]
    fn refuses_what_does_not_fit_and_hides_the_password() {
        for (key, value) in [
            ("RATE_LIMITER_POINTS", "0"),
            ("RATE_LIMITER_DURATION", "0"),
            ("RATE_LIMITER_STORE", "disk"),
            ("REDIS", "http://secret@host"),
            ("EVENTUS_REDIS_PREFIX", "a b"),
        ] {
            let error = Config::from_env(&Env::from_pairs([(key, value)])).unwrap_err().to_string();
            assert!(error.contains(key) && !error.contains("secret"), "{error}");
        }
        let without = Env::from_pairs([("RATE_LIMITER_STORE", "redis")]);
        assert!(Config::from_env(&without).unwrap_err().to_string().contains("REDIS"));
        let config = Config::from_env(&Env::from_pairs([("REDIS", "redis://:secret@host:1/2")])).unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
