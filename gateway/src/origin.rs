//! Where a request comes from, as the browser says: whoever sends a cookie to change something must come from us or
//! from a listed origin.

use http::HeaderMap;
use http::header::{HOST, ORIGIN, REFERER};

use crate::config::{CorsConfig, CorsOrigin};

/// `scheme://host[:port]` of an absolute http(s) URL, lower case, without a default port; `None` for anything else.
pub fn of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#', '\\']).next()?.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let host = authority.strip_suffix(default_port).unwrap_or(&authority);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    (!host.is_empty() && host.bytes().all(plain)).then(|| format!("{scheme}://{host}"))
}

/// A request that carries its token in a cookie may change things: `Origin`, else `Referer`, is ours (the host it was
/// sent to, or `PUBLIC_URL`'s) or listed. Whoever says neither is no browser that we know and is refused.
pub fn is_trusted(headers: &HeaderMap, public_origin: Option<&str>, cors: &CorsConfig) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let claimed = match headers.contains_key(ORIGIN) {
        true => text(ORIGIN),
        false => text(REFERER),
    };
    let Some(claimed) = claimed.and_then(of_url) else { return false };
    let same_host = |host: &str| {
        let scheme = claimed.split("://").next().unwrap_or_default();
        of_url(&format!("{scheme}://{host}")).as_deref() == Some(&claimed)
    };
    let listed = match &cors.origin {
        CorsOrigin::Listed(origins) => cors.enabled && cors.credentials && origins.contains(&claimed),
        CorsOrigin::Nobody | CorsOrigin::Anybody => false,
    };
    listed || public_origin == Some(&claimed) || text(HOST).is_some_and(same_host)
}

#[cfg(test)]
mod tests {
    use chassis::Env;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_trusted, of_url};
    use crate::Config;

    #[test]
    fn origins_of_urls() {
        assert_eq!(of_url("https://Host.example:443/path?x").as_deref(), Some("https://host.example"));
        assert_eq!(of_url("http://[::1]:8055/").as_deref(), Some("http://[::1]:8055"));
        assert_eq!(of_url("https://host.example:80").as_deref(), Some("https://host.example:80"));
        for none in
            ["null", "", "/", "ftp://a", "https://", "https://a@b", "javascript:x", "https://a b", "//host"]
        {
            assert_eq!(of_url(none), None, "{none}");
        }
    }

    #[test]
    fn cookies_may_change_things_from_home_only() {
        let config = Config::from_env(&Env::from_pairs([
            ("CORS_ENABLED", "true"),
            ("CORS_ORIGIN", "https://app.example"),
        ]))
        .unwrap();
        let trusted = |pairs: &[(&'static str, &'static str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            is_trusted(&headers, Some("https://public.example"), &config.cors)
        };
        assert!(trusted(&[("host", "api.local:8055"), ("origin", "http://api.local:8055")]));
        assert!(trusted(&[("host", "api.local"), ("origin", "https://API.local:443")]));
        assert!(trusted(&[("host", "x"), ("origin", "https://public.example")]));
        assert!(trusted(&[("host", "x"), ("origin", "https://app.example")]));
        assert!(trusted(&[("host", "x"), ("referer", "https://app.example/a/b?c")]));
        for foreign in
            ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"]
        {
            let headers = HeaderMap::from_iter([
                (http::header::HOST, HeaderValue::from_static("api.local")),
                (http::header::ORIGIN, HeaderValue::from_static(foreign)),
                (http::header::REFERER, HeaderValue::from_static("http://api.local/")),
            ]);
            assert!(!is_trusted(&headers, None, &config.cors), "{foreign}");
        }
        assert!(!trusted(&[("host", "api.local")]));
    }
}
