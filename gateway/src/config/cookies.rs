//! Names and attributes of the cookies that carry tokens.

use chassis::{ConfigError, Env};

/// How one cookie is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieConfig {
    /// Its name.
    pub name: String,
    /// `Domain`; absent means this host only.
    pub domain: Option<String>,
    /// `Secure`; on by default where `PUBLIC_URL` is https.
    pub secure: bool,
    /// `SameSite`.
    pub same_site: SameSite,
}

/// Which requests from other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Navigations by GET.
    Lax,
    /// All; needs `Secure`.
    None,
}

impl SameSite {
    /// As the attribute says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl CookieConfig {
    pub(super) fn from_env(env: &Env, key: &str, name: &str, secure: bool) -> Result<Self, ConfigError> {
        let key = |part: &str| format!("{key}_{part}");
        let cookie = Self {
            name: env.get(&key("NAME"))?.unwrap_or_else(|| name.to_owned()),
            domain: env.get(&key("DOMAIN"))?,
            secure: env.flag(&key("SECURE"), secure)?,
            same_site: match env.get(&key("SAME_SITE"))?.unwrap_or_default().to_ascii_lowercase().as_str() {
                "" | "lax" => SameSite::Lax,
                "strict" | "true" => SameSite::Strict,
                "none" => SameSite::None,
                _ => return Err(ConfigError::invalid(&key("SAME_SITE"), "lax, strict or none")),
            },
        };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !plain(&cookie.name) {
            return Err(ConfigError::invalid(&key("NAME"), "letters, digits, -, _ and ."));
        }
        if !cookie.domain.as_deref().is_none_or(plain) {
            return Err(ConfigError::invalid(&key("DOMAIN"), "a domain"));
        }
        if cookie.same_site == SameSite::None && !cookie.secure {
            return Err(ConfigError::invalid(&key("SAME_SITE"), "lax or strict unless the cookie is secure"));
        }
        Ok(cookie)
    }
}
