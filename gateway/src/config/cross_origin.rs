//! Which other origins may use the API from a browser.

use chassis::{ConfigError, Env};

use crate::origin;

/// The original's, and what safe writes take.
const ALLOWED_HEADERS: &str = "Content-Type,Authorization,Idempotency-Key,If-Match,If-None-Match";
const EXPOSED_HEADERS: &str = "Content-Range,ETag,Idempotency-Replayed";

/// `CORS_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    /// `CORS_ENABLED`, false.
    pub enabled: bool,
    /// `CORS_ORIGIN`, false.
    pub origin: CorsOrigin,
    /// `CORS_METHODS`, `GET,POST,PATCH,DELETE`.
    pub methods: String,
    /// `CORS_ALLOWED_HEADERS`, those that clients of ours send.
    pub allowed_headers: String,
    /// `CORS_EXPOSED_HEADERS`, those that they look at.
    pub exposed_headers: String,
    /// `CORS_CREDENTIALS`, true: for listed origins only.
    pub credentials: bool,
    /// `CORS_MAX_AGE`, 18000 seconds.
    pub max_age: u32,
}

/// Which origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigin {
    /// None.
    Nobody,
    /// All, but never with credentials.
    Anybody,
    /// These, `scheme://host[:port]`.
    Listed(Vec<String>),
}

impl CorsConfig {
    pub(super) fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let text = |key: &str, default: &str| -> Result<String, ConfigError> {
            let text = env.get(key)?.unwrap_or_else(|| default.to_owned());
            if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
                return Ok(text);
            }
            Err(ConfigError::invalid(key, "names between commas"))
        };
        Ok(Self {
            enabled: env.flag("CORS_ENABLED", false)?,
            origin: allowed(&env.list("CORS_ORIGIN")?)?,
            methods: text("CORS_METHODS", "GET,POST,PATCH,DELETE")?,
            allowed_headers: text("CORS_ALLOWED_HEADERS", ALLOWED_HEADERS)?,
            exposed_headers: text("CORS_EXPOSED_HEADERS", EXPOSED_HEADERS)?,
            credentials: env.flag("CORS_CREDENTIALS", true)?,
            max_age: env.parse("CORS_MAX_AGE", 18_000)?,
        })
    }
}

fn allowed(entries: &[String]) -> Result<CorsOrigin, ConfigError> {
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    match entries.as_slice() {
        [] | ["false"] => Ok(CorsOrigin::Nobody),
        ["true" | "*"] => Ok(CorsOrigin::Anybody),
        listed => {
            let wrong =
                || ConfigError::invalid("CORS_ORIGIN", "true, false, * or origins such as https://host");
            let origins = listed.iter().map(|entry| origin::of_url(entry).ok_or_else(wrong));
            origins.collect::<Result<_, _>>().map(CorsOrigin::Listed)
        }
    }
}
