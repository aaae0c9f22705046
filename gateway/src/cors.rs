//! Cross-origin answers: what a browser may do with us from elsewhere. Decided once from the settings, applied per
//! request; an origin is only ever echoed together with credentials when it is listed.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::{CorsConfig, CorsOrigin};
use crate::origin;

/// The decisions.
#[derive(Debug, Clone)]
pub struct Cors {
    config: CorsConfig,
}

impl Cors {
    /// From the settings.
    pub fn new(config: CorsConfig) -> Self {
        Self { config }
    }

    /// A question before the real request; answered without it.
    pub fn is_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        self.config.enabled
            && method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The headers of an answer to a request from this origin; `preflight` adds what may be sent.
    pub fn apply(&self, from: Option<&HeaderValue>, preflight: bool, headers: &mut HeaderMap) {
        if !self.config.enabled {
            return;
        }
        let Some(from) = from else {
            self.vary(headers);
            return;
        };
        let credentials = match &self.config.origin {
            CorsOrigin::Nobody => return,
            CorsOrigin::Anybody => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                false
            }
            CorsOrigin::Listed(origins) => {
                self.vary(headers);
                let listed = from.to_str().ok().and_then(origin::of_url);
                if !listed.is_some_and(|origin| origins.contains(&origin)) {
                    return;
                }
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, from.clone());
                self.config.credentials
            }
        };
        if credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if preflight {
            put(headers, ACCESS_CONTROL_ALLOW_METHODS, &self.config.methods);
            put(headers, ACCESS_CONTROL_ALLOW_HEADERS, &self.config.allowed_headers);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.config.max_age));
        } else {
            put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.config.exposed_headers);
        }
    }

    /// Caches must not give one origin's answer to another.
    fn vary(&self, headers: &mut HeaderMap) {
        if matches!(self.config.origin, CorsOrigin::Listed(_)) && !headers.contains_key(VARY) {
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

/// Settings are plain ASCII (checked when read); empty ones say nothing.
fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(text)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;
    use http::{HeaderMap, HeaderValue, Method};

    use super::Cors;
    use crate::Config;

    fn answer(settings: &[(&str, &str)], from: Option<&'static str>, preflight: bool) -> String {
        let env = Env::from_pairs(settings.iter().map(|(key, value)| (*key, *value)));
        let cors = Cors::new(Config::from_env(&env).unwrap().cors);
        let mut headers = HeaderMap::new();
        cors.apply(from.map(HeaderValue::from_static).as_ref(), preflight, &mut headers);
        let lines = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn closed_unless_enabled() {
        assert_eq!(answer(&[], Some("https://a.example"), true), "");
        assert_eq!(answer(&[("CORS_ENABLED", "true")], Some("https://a.example"), true), "");
        assert_eq!(answer(&[("CORS_ORIGIN", "*")], Some("https://a.example"), true), "");
    }

    #[test]
    fn anybody_never_gets_credentials() {
        let settings = [("CORS_ENABLED", "true"), ("CORS_ORIGIN", "true"), ("CORS_CREDENTIALS", "true")];
        insta::assert_snapshot!(answer(&settings, Some("https://evil.example"), false), @"access-control-allow-origin: *
access-control-expose-headers: Content-Range,ETag,Idempotency-Replayed");
        insta::assert_snapshot!(answer(&settings, Some("https://evil.example"), true), @"access-control-allow-origin: *
access-control-allow-methods: GET,POST,PATCH,DELETE
access-control-allow-headers: Content-Type,Authorization,Idempotency-Key,If-Match,If-None-Match
access-control-max-age: 18000");
    }

    #[test]
    fn listed_origins_are_echoed() {
        let settings = [("CORS_ENABLED", "true"), ("CORS_ORIGIN", "https://a.example,http://localhost:3000")];
        insta::assert_snapshot!(answer(&settings, Some("http://localhost:3000"), false), @"vary: Origin
access-control-allow-origin: http://localhost:3000
access-control-allow-credentials: true
access-control-expose-headers: Content-Range,ETag,Idempotency-Replayed");
        insta::assert_snapshot!(answer(&settings, Some("https://a.example"), true), @"vary: Origin
access-control-allow-origin: https://a.example
access-control-allow-credentials: true
access-control-allow-methods: GET,POST,PATCH,DELETE
access-control-allow-headers: Content-Type,Authorization,Idempotency-Key,If-Match,If-None-Match
access-control-max-age: 18000");
        assert_eq!(answer(&settings, Some("https://a.example.evil.example"), false), "vary: Origin");
        assert_eq!(answer(&settings, Some("null"), false), "vary: Origin");
        assert_eq!(answer(&settings, None, false), "vary: Origin");
    }

    #[test]
    fn preflights() {
        let env = Env::from_pairs([("CORS_ENABLED", "true")]);
        let cors = Cors::new(Config::from_env(&env).unwrap().cors);
        let headers = HeaderMap::from_iter([
            (http::header::ORIGIN, HeaderValue::from_static("https://a.example")),
            (http::header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PATCH")),
        ]);
        assert!(cors.is_preflight(&Method::OPTIONS, &headers));
        assert!(!cors.is_preflight(&Method::PATCH, &headers));
        assert!(!cors.is_preflight(&Method::OPTIONS, &HeaderMap::new()));
    }
}
