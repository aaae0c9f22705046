//! Where a browser may be sent after a login. Compared after parsing: what the browser would make of an address is
//! what we make of it, and anything odd is refused.

use super::config::{ProviderConfig, SsoConfig};

/// Longest redirect, in bytes: it travels in a cookie.
const LONGEST: usize = 1_500;

/// Whether a login may end there: on our own origin, or at an address of the list.
pub fn is_allowed(redirect: &str, config: &SsoConfig, provider: &ProviderConfig) -> bool {
    // Browsers drop tabs and line ends and take `\` for `/`.
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`');
    if redirect.len() > LONGEST || !redirect.bytes().all(plain) {
        return false;
    }
    if redirect.starts_with('/') {
        return !redirect.starts_with("//");
    }
    let Some(wanted) = Place::of(redirect) else { return false };
    let listed = |url: &String| Place::of(url).is_some_and(|listed| listed == wanted);
    Place::of(&config.public_url).is_some_and(|own| own.origin == wanted.origin)
        || provider.allow_list.iter().any(listed)
}

/// The same place, saying that the login came to nothing.
pub fn with_reason(redirect: &str, reason: &str) -> String {
    let end = redirect.find(['?', '#']).unwrap_or(redirect.len());
    format!("{}?reason={reason}", &redirect[..end])
}

#[derive(PartialEq)]
struct Place {
    /// Scheme, host and port, in lower case.
    origin: (String, String, u16),
    path: String,
}

impl Place {
    /// Of an http(s) URL in its plain form, with neither user nor numbers in disguise.
    fn of(url: &str) -> Option<Self> {
        let url = outbound::Url::parse(url.split('#').next()?).ok()?;
        let uri = url.uri();
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some(Self { origin: (scheme, url.host().to_ascii_lowercase(), port), path: uri.path().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;

    use super::{is_allowed, with_reason};
    use crate::sso::SsoConfig;

    fn allowed(redirect: &str) -> bool {
        let config = SsoConfig::from_env(&Env::from_pairs([
            ("AUTH_PROVIDERS", "acme"),
            ("PUBLIC_URL", "https://api.example.com/base/"),
            ("AUTH_ACME_DRIVER", "openid"),
            ("AUTH_ACME_CLIENT_ID", "eventus"),
            ("AUTH_ACME_ISSUER_URL", "https://id.example"),
            ("AUTH_ACME_REDIRECT_ALLOW_LIST", "https://app.example/done,http://localhost:3000/"),
        ]))
        .unwrap();
        is_allowed(redirect, &config, &config.providers[0])
    }

    #[test]
    fn home_and_listed_places() {
        for good in [
            "/",
            "/admin/content?x=1#y",
            "https://api.example.com",
            "https://api.example.com:443/any?where",
            "HTTPS://API.example.com/x#/route",
            "https://app.example/done",
            "https://app.example/done?code=1",
            "http://localhost:3000/",
            "http://localhost:3000",
        ] {
            assert!(allowed(good), "{good}");
        }
    }

    #[test]
    fn no_other_place_in_no_disguise() {
        let long = format!("/{}", "a".repeat(1_500));
        for bad in [
            "",
            "x",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            " //evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https://evil.example",
            "hTTpS://EVIL.example/",
            "https://api.example.com@evil.example/",
            "https://api.example.com:443@evil.example/",
            "https://user@api.example.com/",
            "https://api.example.com\\@evil.example/",
            "https://api.example.com.evil.example/",
            "https://api.example.com./",
            "https://evil.example#@api.example.com/",
            "https://evil.example?https://api.example.com/",
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://app.example/",
            "https://app.example/done/../x",
            "https://app.example/DONE",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://api.example.com/\r\nset-cookie: a=b",
            "https://äpi.example.com/",
            &long,
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_reason_takes_the_place_of_the_query() {
        assert_eq!(with_reason("/a?b=c#d", "INVALID_OTP"), "/a?reason=INVALID_OTP");
        assert_eq!(with_reason("https://a.example/#/b", "X"), "https://a.example/?reason=X");
    }
}
