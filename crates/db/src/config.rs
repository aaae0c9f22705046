//! Where the database is and how much of it a process may use.

use std::str::FromStr;
use std::time::Duration;

use chassis::{ConfigError, Env};
use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// Settings of one process's pool. The address may hold a password: it is never printed.
#[derive(Clone)]
pub struct Config {
    pub(crate) options: PgConnectOptions,
    /// Most connections that the process opens (`DB_POOL__MAX`, default 8).
    pub max_connections: u32,
    /// PostgreSQL cancels a statement that runs longer (`DB_STATEMENT_TIMEOUT`, default 30 s).
    pub statement_timeout: Duration,
    /// PostgreSQL ends a transaction that waits longer for us (default 5 s): one that holds a position of the
    /// event log holds up its readers.
    pub idle_in_transaction_timeout: Duration,
    /// Longest wait for a free connection (default 2 s).
    pub acquire_timeout: Duration,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A parsed address; its own type so that a wrong one is refused by the name of its key only.
#[derive(Clone)]
struct Url(PgConnectOptions);

impl FromStr for Url {
    type Err = sqlx::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // sqlx takes any scheme; a mistyped one would end as a strange error of the network.
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(sqlx::Error::Configuration("the scheme is not postgres".into()));
        }
        text.parse().map(Self)
    }
}

impl Config {
    /// The defaults, for the server and database at `url` (`postgres://user:password@host:port/database`, or
    /// `postgres:///database?host=/folder/of/socket&user=name`).
    ///
    /// # Errors
    /// `Url` when the address cannot be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        url.parse::<Url>().map(|url| Self::of(url.0)).map_err(|_| Error::Url)
    }

    fn of(options: PgConnectOptions) -> Self {
        Self {
            options,
            max_connections: 8,
            statement_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(2),
        }
    }

    /// Reads `DATABASE_URL`, else `DB_CONNECTION_STRING`, else `DB_HOST`, `DB_PORT`, `DB_DATABASE`, `DB_USER`,
    /// `DB_PASSWORD` as Directus does, then `DB_POOL__MAX` and `DB_STATEMENT_TIMEOUT`.
    ///
    /// # Errors
    /// Names the first key that is missing or wrong.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut config = Self::of(address(env)?);
        config.max_connections = env.parse("DB_POOL__MAX", config.max_connections)?;
        if config.max_connections == 0 {
            return Err(ConfigError::invalid("DB_POOL__MAX", "a number above 0"));
        }
        config.statement_timeout = env.duration("DB_STATEMENT_TIMEOUT", config.statement_timeout)?;
        Ok(config)
    }

    /// Whether the environment names a database at all.
    ///
    /// # Errors
    /// When a setting cannot be read.
    pub fn is_set(env: &Env) -> Result<bool, ConfigError> {
        for key in ["DATABASE_URL", "DB_CONNECTION_STRING", "DB_HOST"] {
            if env.get(key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn address(env: &Env) -> Result<PgConnectOptions, ConfigError> {
    for key in ["DATABASE_URL", "DB_CONNECTION_STRING"] {
        if let Some(text) = env.get(key)? {
            let expected = "an address such as postgres://user:password@host:5432/database";
            return match text.parse::<Url>() {
                Ok(url) => Ok(url.0),
                Err(_) => Err(ConfigError::invalid(key, expected)),
            };
        }
    }
    let Some(host) = env.get("DB_HOST")? else {
        return Err(ConfigError::Missing("DATABASE_URL (or DB_HOST)".to_owned()));
    };
    let mut options = PgConnectOptions::new()
        .host(&host)
        .port(env.parse("DB_PORT", 5432)?)
        .database(&env.required("DB_DATABASE")?)
        .username(&env.required("DB_USER")?);
    if let Some(password) = env.get("DB_PASSWORD")? {
        options = options.password(&password);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use chassis::Env;

    use super::Config;

    #[test]
    fn an_address_or_its_parts() {
        let url = [("DATABASE_URL", "postgres://me:secret@db.example:6432/shop"), ("DB_POOL__MAX", "3")];
        let config = Config::from_env(&Env::from_pairs(url)).unwrap();
        assert_eq!((config.options.get_host(), config.options.get_port()), ("db.example", 6432));
        assert_eq!(config.max_connections, 3);
        assert!(!format!("{config:?}").contains("secret"));
        let parts = [
            ("DB_HOST", "db.example"),
            ("DB_DATABASE", "shop"),
            ("DB_USER", "me"),
            ("DB_PASSWORD", "secret"),
        ];
        let config = Config::from_env(&Env::from_pairs(parts)).unwrap();
        assert_eq!((config.options.get_database(), config.options.get_port()), (Some("shop"), 5432));
    }

    #[test]
    fn a_wrong_setting_is_named_and_not_shown() {
        for (key, value) in [
            ("DATABASE_URL", "mysql://me:secret@h/d"),
            ("DB_CONNECTION_STRING", "secret"),
            ("DB_X", "secret"),
        ] {
            let text = Config::from_env(&Env::from_pairs([(key, value)])).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
        let text = Config::from_env(&Env::from_pairs([("DB_HOST", "h")])).unwrap_err().to_string();
        assert!(text.contains("DB_DATABASE"), "{text}");
    }
}
