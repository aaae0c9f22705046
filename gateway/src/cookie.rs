//! Cookies: found on requests, set and cleared on answers.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use model::Clock;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::config::CookieConfig;

/// The value of a cookie of this name; of several the first.
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    found.find(|(cookie, value)| *cookie == name && !value.is_empty()).map(|(_, value)| value)
}

/// `Set-Cookie` for a token that lives this long. `None` when the token is no cookie text.
pub fn set(config: &CookieConfig, value: &str, lifetime: Duration, clock: &dyn Clock) -> Option<HeaderValue> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"\",;\\".contains(&b);
    if !value.bytes().all(fits) {
        return None;
    }
    write(config, value, lifetime.whole_seconds(), clock.now() + lifetime)
}

/// `Set-Cookie` that makes the browser forget.
pub fn clear(config: &CookieConfig) -> Option<HeaderValue> {
    write(config, "", 0, OffsetDateTime::UNIX_EPOCH)
}

fn write(config: &CookieConfig, value: &str, max_age: i64, expires: OffsetDateTime) -> Option<HeaderValue> {
    let date = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let expires = expires.to_offset(time::UtcOffset::UTC).format(&date).ok()?;
    let domain = config.domain.as_ref().map(|domain| format!("Domain={domain}; ")).unwrap_or_default();
    let secure = if config.secure { "Secure; " } else { "" };
    let (name, same_site) = (&config.name, config.same_site.as_str());
    let text = format!(
        "{name}={value}; Max-Age={max_age}; {domain}Path=/; Expires={expires}; HttpOnly; {secure}SameSite={same_site}"
    );
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use model::Clock;
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    use super::{clear, find, set};
    use crate::config::{CookieConfig, SameSite};

    #[derive(Debug)]
    struct At(OffsetDateTime);
    impl Clock for At {
        fn now(&self) -> OffsetDateTime {
            self.0
        }
    }

    #[test]
    fn set_as_the_original_sets_it() {
        let clock = At(datetime!(2026-11-22 20:02:49 UTC));
        let mut config = CookieConfig {
            name: "directus_refresh_token".into(),
            domain: None,
            secure: false,
            same_site: SameSite::Lax,
        };
        insta::assert_snapshot!(set(&config, "abc", Duration::days(7), &clock).unwrap().to_str().unwrap(), @"directus_refresh_token=abc; Max-Age=604800; Path=/; Expires=Sun, 29 Nov 2026 20:02:49 GMT; HttpOnly; SameSite=Lax");
        config = CookieConfig {
            domain: Some("example.com".into()),
            secure: true,
            same_site: SameSite::None,
            ..config
        };
        insta::assert_snapshot!(set(&config, "abc", Duration::days(7), &clock).unwrap().to_str().unwrap(), @"directus_refresh_token=abc; Max-Age=604800; Domain=example.com; Path=/; Expires=Sun, 29 Nov 2026 20:02:49 GMT; HttpOnly; Secure; SameSite=None");
        insta::assert_snapshot!(clear(&config).unwrap().to_str().unwrap(), @"directus_refresh_token=; Max-Age=0; Domain=example.com; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=None");
        assert_eq!(set(&config, "a; Path=/x", Duration::days(7), &clock), None);
    }

    #[test]
    fn found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(find(&headers, "b"), None);
        headers.append("cookie", HeaderValue::from_static("a=1; bb=2;b=3=4; b=5"));
        assert_eq!(find(&headers, "b"), Some("3=4"));
        assert_eq!(find(&headers, "c"), None);
    }
}
