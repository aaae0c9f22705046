//! Configuration from the environment: the one home of `std::env`.
//!
//! Every key that was asked for is remembered, so that a mistyped `EVENTUS_` key can be refused.

mod grammar;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A setting is missing or wrong. Names the key, never the value: values may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A setting without a default is not set.
    #[error("{0} is not set")]
    Missing(String),
    /// The value does not fit.
    #[error("{key} is not valid: expected {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// What would fit.
        expected: String,
    },
    /// `KEY_FILE` names a file that can't be read.
    #[error("{key}: the file it names can't be read: {reason}")]
    File {
        /// The key, with `_FILE`.
        key: String,
        /// The operating system's reason.
        reason: std::io::ErrorKind,
    },
    /// Both `KEY` and `KEY_FILE` are set.
    #[error("{0} and {0}_FILE are both set: set one of them")]
    Twice(String),
    /// Settings that nobody knows.
    #[error("unknown settings: {}", .0.join(", "))]
    Unknown(Vec<String>),
}

impl ConfigError {
    /// A value that does not fit; `expected` says what would.
    pub fn invalid(key: &str, expected: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), expected: expected.into() }
    }
}

/// The environment of the process, read once. Cheap to clone; clones share what was asked.
#[derive(Debug, Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    values: HashMap<String, OsString>,
    asked: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("keys", &self.values.len()).finish_non_exhaustive()
    }
}

/// `EVENTUS_` keys that steer how the binary starts, not what it does.
const FREE: [&str; 2] = ["EVENTUS_HOME", "EVENTUS_BIN"];

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let pairs = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
        Self::new(pairs.collect())
    }

    /// An environment of these pairs only.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::new(pairs.into_iter().map(|(key, value)| (key.into(), value.into().into())).collect())
    }

    /// This environment with some pairs put over it. What was asked of this one counts for the new one too.
    #[must_use]
    pub fn with(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values = self.inner.values.clone();
        values.extend(pairs.into_iter().map(|(key, value)| (key, OsString::from(value))));
        let asked = self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { inner: Arc::new(Inner { values, asked: Mutex::new(asked) }) }
    }

    fn new(values: HashMap<String, OsString>) -> Self {
        Self { inner: Arc::new(Inner { values, asked: Mutex::default() }) }
    }

    /// The value of `key`, or the content of the file that `KEY_FILE` names (without its last line end).
    /// Empty is as good as not set.
    pub fn get(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        let file_key = format!("{key}_FILE");
        let value = self.plain(key)?;
        match (value, self.plain(&file_key)?) {
            (Some(_), Some(_)) => Err(ConfigError::Twice(key.to_owned())),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    let text = text.strip_suffix('\r').unwrap_or(text);
                    Ok((!text.is_empty()).then(|| text.to_owned()))
                }
                Err(error) => Err(ConfigError::File { key: file_key, reason: error.kind() }),
            },
            (value, None) => Ok(value),
        }
    }

    fn plain(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.inner.values.get(key) else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| ConfigError::invalid(key, "UTF-8 text"))?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// As `get`, but must be set.
    pub fn required(&self, key: &str) -> Result<String, ConfigError> {
        self.get(key)?.ok_or_else(|| ConfigError::Missing(key.to_owned()))
    }

    /// The value as a `T`, or the default.
    pub fn parse<T: FromStr>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        let Some(text) = self.get(key)? else { return Ok(default) };
        let expected = || {
            let name = std::any::type_name::<T>();
            format!("a valid {}", name.rsplit("::").next().unwrap_or(name))
        };
        text.trim().parse().map_err(|_| ConfigError::invalid(key, expected()))
    }

    /// `true`, `false`, `1` or `0`, or the default.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        let Some(text) = self.get(key)? else { return Ok(default) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(ConfigError::invalid(key, "true or false")),
        }
    }

    /// A span of time as Directus writes it (`15m`, `7d`, `500` = milliseconds), or the default.
    pub fn duration(&self, key: &str, default: Duration) -> Result<Duration, ConfigError> {
        let Some(text) = self.get(key)? else { return Ok(default) };
        grammar::duration(&text)
            .ok_or_else(|| ConfigError::invalid(key, "a duration such as 500 (milliseconds), 30s, 15m, 7d"))
    }

    /// Spans of time between commas, each as `duration` takes it, or the default.
    pub fn durations(&self, key: &str, default: &[Duration]) -> Result<Vec<Duration>, ConfigError> {
        let parts = self.list(key)?;
        if parts.is_empty() {
            return Ok(default.to_vec());
        }
        let read: Option<Vec<Duration>> = parts.iter().map(|part| grammar::duration(part)).collect();
        read.ok_or_else(|| {
            ConfigError::invalid(key, "durations between commas such as 500 (milliseconds), 30s, 15m, 7d")
        })
    }

    /// A number of bytes as Directus writes it (`1mb`, `512kb`, `1024`; powers of 1024), or the default.
    pub fn bytes(&self, key: &str, default: u64) -> Result<u64, ConfigError> {
        let Some(text) = self.get(key)? else { return Ok(default) };
        grammar::bytes(&text).ok_or_else(|| ConfigError::invalid(key, "a size such as 1024, 512kb, 1mb"))
    }

    /// Parts between commas, trimmed, without empty ones; nothing when not set.
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.get(key)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// Keys starting with `EVENTUS_` that nobody has asked for: call it when all configuration is read.
    pub fn unknown(&self) -> Vec<String> {
        let asked = self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |key: &str| {
            FREE.contains(&key)
                || key.starts_with("EVENTUS_TEST_")
                || asked.contains(key)
                || key.strip_suffix("_FILE").is_some_and(|base| asked.contains(base))
        };
        let keys = self.inner.values.keys().filter(|key| key.starts_with("EVENTUS_") && !known(key));
        let mut unknown: Vec<String> = keys.cloned().collect();
        unknown.sort();
        unknown
    }

    /// Refuses `unknown` keys.
    pub fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let unknown = self.unknown();
        if unknown.is_empty() { Ok(()) } else { Err(ConfigError::Unknown(unknown)) }
    }
}
