//! Settings of the purge worker.

use std::time::Duration;

use chassis::{ConfigError, Env};
use http::HeaderValue;
use outbound::{Schedule, Url};

use crate::target::Targets;

/// Settings of the purge worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// The CDN; without one nothing is purged.
    pub cdn: Option<Cdn>,
    /// `EVENTUS_CDN_COLLECTIONS`: collections whose items are purged by key; `*` = all of the user's. Files always
    /// are (`directus_files`).
    pub collections: Vec<String>,
    /// `EVENTUS_OUTBOUND_ALLOW`: networks and addresses that may be reached although they are private; default none.
    /// `EVENTUS_OUTBOUND_PORTS`: ports that may be reached elsewhere (`80,443,8080,8443`; `*` = all).
    /// `EVENTUS_OUTBOUND_TIMEOUT`: a request may take so long (`15s`).
    pub outbound: outbound::Config,
    /// `EVENTUS_CDN_PURGE_SCHEDULE`: delays between attempts (`1s,5s,30s,2m,10m,30m,1h,3h,6h,12h`).
    /// `EVENTUS_CDN_PURGE_OVERLOAD_DELAY`: least delay after a sign of overload (`5s`; at most the longest delay).
    pub schedule: Schedule,
    /// `EVENTUS_CDN_PURGE_WINDOW`: a change waits so long for further ones of the same key (`250`).
    pub window: Duration,
    /// `EVENTUS_CDN_PURGE_CONCURRENCY`: requests that run side by side (8).
    pub concurrency: usize,
    /// `EVENTUS_CDN_PURGE_RETENTION`: purges that ended longer ago are forgotten (`7d`).
    pub retention: Duration,
}

/// Where purges go.
#[derive(Debug, Clone)]
pub struct Cdn {
    /// `CDN_URL`; `/purge/{key}` is added to its path.
    pub url: Url,
    /// `EVENTUS_CDN_PURGE_TOKEN`: sent as bearer token, if set.
    pub token: Option<Token>,
}

/// A bearer token. Never printed by `Debug`.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// `None` if it can't stand in a header.
    pub fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The `authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Config {
    fn default() -> Self {
        let delays = [1, 5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200];
        Self {
            cdn: None,
            collections: vec!["directus_files".to_owned()],
            outbound: outbound::Config { user_agent: "Eventus-Purge".to_owned(), ..Default::default() },
            schedule: Schedule {
                delays: delays.map(Duration::from_secs).to_vec(),
                overload: Duration::from_secs(5),
            },
            window: Duration::from_millis(250),
            concurrency: 8,
            retention: 7 * DAY,
        }
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A malformed or senseless value; a CDN at an address that may not be reached.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let outbound = outbound::Config::from_env(env, default.outbound)?;
        let collections = env.list("EVENTUS_CDN_COLLECTIONS")?;
        let config = Self {
            cdn: cdn(env, &outbound)?,
            collections: if collections.is_empty() { default.collections } else { collections },
            outbound,
            schedule: Schedule::from_env(
                env,
                "EVENTUS_CDN_PURGE_SCHEDULE",
                "EVENTUS_CDN_PURGE_OVERLOAD_DELAY",
                &default.schedule,
            )?,
            window: env.duration("EVENTUS_CDN_PURGE_WINDOW", default.window)?,
            concurrency: env.parse("EVENTUS_CDN_PURGE_CONCURRENCY", default.concurrency)?,
            retention: due::retention(env, "EVENTUS_CDN_PURGE_RETENTION", default.retention)?,
        };
        if config.window > Duration::from_secs(60) {
            return Err(ConfigError::invalid("EVENTUS_CDN_PURGE_WINDOW", "at most 60s"));
        }
        if !(1..=1_024).contains(&config.concurrency) {
            return Err(ConfigError::invalid("EVENTUS_CDN_PURGE_CONCURRENCY", "1 to 1024"));
        }
        if Targets::new(&config.collections).is_none() {
            let expected = "names of the user's collections between commas, directus_files, or *";
            return Err(ConfigError::invalid("EVENTUS_CDN_COLLECTIONS", expected));
        }
        Ok(config)
    }
}

fn cdn(env: &Env, outbound: &outbound::Config) -> Result<Option<Cdn>, ConfigError> {
    let token = env.get("EVENTUS_CDN_PURGE_TOKEN")?;
    let token = token
        .map(|text| {
            Token::new(&text)
                .ok_or_else(|| ConfigError::invalid("EVENTUS_CDN_PURGE_TOKEN", "a line of ASCII"))
        })
        .transpose()?;
    let Some(text) = env.get("CDN_URL")? else { return Ok(None) };
    let expected =
        "an http or https URL without user and query; EVENTUS_OUTBOUND_ALLOW has to name a private address";
    let url = outbound.check(&text).ok().filter(|url| url.query().is_none());
    let url = url.ok_or_else(|| ConfigError::invalid("CDN_URL", expected))?;
    Ok(Some(Cdn { url, token }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;

    use super::Config;

    #[test]
    fn settings_are_read_and_checked() {
        let env = Env::from_pairs([
            ("CDN_URL", "http://127.0.0.1:9000/zone"),
            ("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32"),
            ("EVENTUS_CDN_COLLECTIONS", "*"),
            ("EVENTUS_CDN_PURGE_TOKEN", "secret"),
            ("EVENTUS_CDN_PURGE_SCHEDULE", "100,1s"),
            ("EVENTUS_CDN_PURGE_WINDOW", "0"),
        ]);
        let config = Config::from_env(&env).unwrap();
        assert!(!format!("{config:?}").contains("secret"));
        let cdn = config.cdn.unwrap();
        assert_eq!(cdn.url.to_string(), "http://127.0.0.1:9000/zone");
        assert_eq!(cdn.token.unwrap().header(), "Bearer secret");
        assert_eq!(config.schedule.delays, [Duration::from_millis(100), Duration::from_secs(1)]);
        assert_eq!(config.schedule.overload, Duration::from_secs(1));
        assert!(env.unknown().is_empty());
        let bare = Config::from_env(&Env::from_pairs([("A", "b")])).unwrap();
        assert!(bare.cdn.is_none() && bare.collections == ["directus_files"]);
        for (key, bad) in [
            ("CDN_URL", "cdn.example.com"),
            ("CDN_URL", "http://127.0.0.1/"),
            ("CDN_URL", "https://me@cdn.example.com/"),
            ("CDN_URL", "https://cdn.example.com/?zone=1"),
            ("EVENTUS_CDN_PURGE_TOKEN", "a\nb"),
            ("EVENTUS_CDN_PURGE_SCHEDULE", "soon"),
            ("EVENTUS_CDN_PURGE_CONCURRENCY", "0"),
            ("EVENTUS_CDN_COLLECTIONS", "directus_users"),
        ] {
            assert!(Config::from_env(&Env::from_pairs([(key, bad)])).is_err(), "{key} {bad}");
        }
    }
}
