//! Settings of the gateway, with Directus's names where the meaning is equal.

mod cookies;
mod cross_origin;

use std::time::Duration;

use chassis::{ConfigError, Env};
use http::HeaderValue;

pub use cookies::{CookieConfig, SameSite};
pub use cross_origin::{CorsConfig, CorsOrigin};

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST`, 0.0.0.0.
    pub host: String,
    /// `PORT`, 8055.
    pub port: u16,
    /// `PUBLIC_URL`, `/`: where clients reach us; its origin may send cookies.
    pub public_url: String,
    /// `MAX_PAYLOAD_SIZE`, 1mb: bytes of a request body.
    pub max_payload: usize,
    /// `IP_TRUST_PROXY`, false: whom to believe `X-Forwarded-For`.
    pub trust_proxy: TrustProxy,
    /// `CORS_*`: closed by default.
    pub cors: CorsConfig,
    /// `REFRESH_TOKEN_COOKIE_*`.
    pub refresh_cookie: CookieConfig,
    /// `SESSION_COOKIE_*`.
    pub session_cookie: CookieConfig,
    /// `EVENTUS_REQUEST_TIMEOUT`, 30s: until the answer begins.
    pub timeout: Duration,
    /// `EVENTUS_HTTP_CONNECTIONS`, 8192: connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// `EVENTUS_SSE_CONNECTIONS`, 2048: event streams at a time; more are refused.
    pub streams: usize,
    /// `EVENTUS_SSE_CONNECTIONS_PER_CALLER`, 64: event streams at a time of one user, or of one address where nobody is
    /// logged in; administrators have as many as there are.
    pub streams_each: usize,
    /// `QUERY_LIMIT_DEFAULT`, 100, and `QUERY_LIMIT_MAX`, -1: what `/server/info` says of them; items keeps to them.
    pub query_limits: (i64, i64),
    /// `HSTS_*`: what `Strict-Transport-Security` says; `None`: nothing.
    pub transport: Option<HeaderValue>,
    /// `RATE_LIMITER_*`, `EVENTUS_RATE_LIMITER_*`: nothing is limited by default.
    pub limits: ::limits::Config,
    /// `EVENTUS_TOKEN_CACHE_SIZE`, 10000: tokens whose accountability is remembered.
    pub tokens: usize,
}

/// Whom to believe `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustProxy {
    /// Nobody: the socket's address counts.
    No,
    /// Everybody: its first entry counts. Only where every client passes a proxy that sets it.
    All,
    /// So many proxies before us: the entry that the outermost of them wrote counts.
    Hops(usize),
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the key.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let public_url = env.get("PUBLIC_URL")?.unwrap_or_else(|| "/".to_owned());
        let secure = public_url.starts_with("https://");
        let bytes = env.bytes("MAX_PAYLOAD_SIZE", 1 << 20)?;
        Ok(Self {
            host: env.get("HOST")?.unwrap_or_else(|| "0.0.0.0".to_owned()),
            port: env.parse("PORT", 8055)?,
            max_payload: usize::try_from(bytes)
                .ok()
                .filter(|bytes| *bytes <= rpc::MAX_MESSAGE)
                .ok_or_else(|| ConfigError::invalid("MAX_PAYLOAD_SIZE", "at most 64mb"))?,
            trust_proxy: trust_proxy(env)?,
            cors: CorsConfig::from_env(env)?,
            refresh_cookie: CookieConfig::from_env(
                env,
                "REFRESH_TOKEN_COOKIE",
                "directus_refresh_token",
                secure,
            )?,
            session_cookie: CookieConfig::from_env(env, "SESSION_COOKIE", "directus_session_token", secure)?,
            timeout: env.duration("EVENTUS_REQUEST_TIMEOUT", Duration::from_secs(30))?,
            connections: positive(env, "EVENTUS_HTTP_CONNECTIONS", 8_192)?,
            streams: env.parse("EVENTUS_SSE_CONNECTIONS", 2_048)?,
            streams_each: positive(env, "EVENTUS_SSE_CONNECTIONS_PER_CALLER", 64)?,
            query_limits: (env.parse("QUERY_LIMIT_DEFAULT", 100)?, env.parse("QUERY_LIMIT_MAX", -1)?),
            transport: transport(env)?,
            limits: ::limits::Config::from_env(env)?,
            tokens: positive(env, "EVENTUS_TOKEN_CACHE_SIZE", 10_000)?,
            public_url,
        })
    }

    /// `HOST:PORT`, as a listener takes it.
    pub fn listen(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

fn positive(env: &Env, key: &str, default: usize) -> Result<usize, ConfigError> {
    let number = env.parse(key, default)?;
    if number == 0 { Err(ConfigError::invalid(key, "a number above 0")) } else { Ok(number) }
}

fn transport(env: &Env) -> Result<Option<HeaderValue>, ConfigError> {
    let age: u32 = env.parse("HSTS_MAX_AGE", 15_552_000)?;
    let all = if env.flag("HSTS_INCLUDE_SUB_DOMAINS", true)? { "; includeSubDomains" } else { "" };
    let preload = if env.flag("HSTS_PRELOAD", false)? { "; preload" } else { "" };
    let wanted = env.flag("HSTS_ENABLED", false)?;
    // Digits and these words always fit.
    Ok(HeaderValue::try_from(format!("max-age={age}{all}{preload}")).ok().filter(|_| wanted))
}

fn trust_proxy(env: &Env) -> Result<TrustProxy, ConfigError> {
    let Some(text) = env.get("IP_TRUST_PROXY")? else { return Ok(TrustProxy::No) };
    match text.trim() {
        "false" | "0" => Ok(TrustProxy::No),
        "true" => Ok(TrustProxy::All),
        hops => hops
            .parse()
            .map(TrustProxy::Hops)
            .map_err(|_| ConfigError::invalid("IP_TRUST_PROXY", "true, false or a number of proxies")),
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;

    use super::{Config, CorsOrigin, SameSite, TrustProxy};

    #[test]
    fn closed_by_default() {
        let config = Config::from_env(&Env::from_pairs([("A", "b")])).unwrap();
        assert_eq!(config.listen(), "0.0.0.0:8055");
        assert!(!config.cors.enabled);
        assert_eq!(config.trust_proxy, TrustProxy::No);
        assert_eq!(config.max_payload, 1_048_576);
        assert_eq!(config.session_cookie.name, "directus_session_token");
        assert!(!config.session_cookie.secure);
    }

    #[test]
    fn reads_what_is_set() {
        let config = Config::from_env(&Env::from_pairs([
            ("HOST", "::1"),
            ("PUBLIC_URL", "https://api.example.com"),
            ("IP_TRUST_PROXY", "2"),
            ("CORS_ENABLED", "true"),
            ("CORS_ORIGIN", "https://a.example, https://b.example:8443/"),
            ("SESSION_COOKIE_SAME_SITE", "strict"),
        ]))
        .unwrap();
        assert_eq!(config.listen(), "[::1]:8055");
        assert_eq!(config.trust_proxy, TrustProxy::Hops(2));
        assert!(config.refresh_cookie.secure);
        assert_eq!(config.session_cookie.same_site, SameSite::Strict);
        let listed = ["https://a.example".to_owned(), "https://b.example:8443".to_owned()];
        assert_eq!(config.cors.origin, CorsOrigin::Listed(listed.into()));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let wrong = [
            ("PORT", "x"),
            ("MAX_PAYLOAD_SIZE", "1gb"),
            ("IP_TRUST_PROXY", "loopback"),
            ("CORS_ORIGIN", "/regex/"),
            ("SESSION_COOKIE_SAME_SITE", "none"),
            ("SESSION_COOKIE_NAME", "a=b"),
            ("SESSION_COOKIE_DOMAIN", "a; Path=/x"),
            ("EVENTUS_HTTP_CONNECTIONS", "0"),
        ];
        for (key, value) in wrong {
            let error = Config::from_env(&Env::from_pairs([(key, value)])).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
