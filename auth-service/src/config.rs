//! What the auth service is configured with, from Directus's own variables.

mod accounts;

use std::time::Duration;

use chassis::{ConfigError, Env};

use secrets::HashCost;

use crate::sso::SsoConfig;
pub use accounts::{LinkConfig, MailConfig, SmtpConfig};

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Configuration of the auth service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `SECRET`: signs access tokens; the same in all processes.
    pub secret: Secret,
    /// `EVENTUS_ACCESS_TOKEN_KEYS`: private keys in PEM; the first signs access tokens, all verify them.
    pub access_keys: Option<Secret>,
    /// `ACCESS_TOKEN_TTL`, 15 minutes.
    pub access_ttl: Duration,
    /// `REFRESH_TOKEN_TTL`, 7 days.
    pub refresh_ttl: Duration,
    /// `SESSION_COOKIE_TTL`, 1 day: access and refresh token of `mode: session`.
    pub session_ttl: Duration,
    /// `SESSION_REFRESH_GRACE_PERIOD`, 10 s: how long the last refresh token is still answered with its successor.
    pub refresh_grace: Duration,
    /// `LOGIN_STALL_TIME`, 500 ms: a refused login takes this long, or a multiple of it.
    pub login_stall: Duration,
    /// `HASH_MEMORY_COST`, `HASH_TIME_COST`, `HASH_PARALLELISM`: what new password hashes cost.
    pub hash_cost: HashCost,
    /// `AUTH_*`: single sign-on.
    pub sso: SsoConfig,
    /// `EVENTUS_LOGIN_LIMITER_*`: how often credentials may be tried.
    pub limits: limits::Config,
    /// Links in mails.
    pub links: LinkConfig,
    /// How mail goes out.
    pub mail: MailConfig,
}

impl Config {
    /// Every default, with this secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            secret: Secret::new(secret),
            access_keys: None,
            access_ttl: Duration::from_secs(15 * 60),
            refresh_ttl: Duration::from_secs(7 * 24 * 3600),
            session_ttl: Duration::from_secs(24 * 3600),
            refresh_grace: Duration::from_secs(10),
            login_stall: Duration::from_millis(500),
            hash_cost: HashCost::default(),
            sso: SsoConfig::default(),
            limits: limits::Config::default(),
            links: LinkConfig::default(),
            mail: MailConfig::default(),
        }
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// `SECRET` is missing or a value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::new(env.required("SECRET")?);
        let access_keys = env.get("EVENTUS_ACCESS_TOKEN_KEYS")?;
        if access_keys.as_deref().is_some_and(|pem| rpc::jws::Key::from_pem(pem, "JWT").is_err()) {
            let expected = "private keys in PEM (PKCS#8), Ed25519 or RSA of 2048 bits or more";
            return Err(ConfigError::invalid("EVENTUS_ACCESS_TOKEN_KEYS", expected));
        }
        Ok(Self {
            access_keys: access_keys.map(Secret::new),
            access_ttl: env.duration("ACCESS_TOKEN_TTL", default.access_ttl)?,
            refresh_ttl: env.duration("REFRESH_TOKEN_TTL", default.refresh_ttl)?,
            session_ttl: env.duration("SESSION_COOKIE_TTL", default.session_ttl)?,
            refresh_grace: env.duration("SESSION_REFRESH_GRACE_PERIOD", default.refresh_grace)?,
            login_stall: env.duration("LOGIN_STALL_TIME", default.login_stall)?,
            hash_cost: HashCost::from_env(env)?,
            sso: SsoConfig::from_env(env)?,
            limits: limits::Config::from_env(env)?,
            links: LinkConfig::from_env(env)?,
            mail: MailConfig::from_env(env)?,
            ..default
        })
    }
}
