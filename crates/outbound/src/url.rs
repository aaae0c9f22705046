//! URLs we send to. Read once, by one parser: what was checked is what is called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Class;

/// An absolute `http` or `https` URL with a host in its plain form: a name of letters, digits, `-` and `_`, or an
/// address as everyone writes it. Neither user nor zone nor trailing dot, no numbers in disguise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
}

/// Whom a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Class::Invalid`, whatever is wrong with it.
    pub fn parse(text: &str) -> Result<Self, crate::Error> {
        read(text).ok_or_else(|| Class::Invalid.into())
    }

    /// The same URL with one more segment of a path, encoded: `https://cdn/a` + `purge` + `x/y` =
    /// `https://cdn/a/purge/x%2Fy`. A query is lost.
    pub fn join(&self, segments: &[&str]) -> Result<Self, crate::Error> {
        let mut path = self.uri.path().trim_end_matches('/').to_owned();
        for part in segments {
            path.push('/');
            path.push_str(&segment(part));
        }
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        Self::parse(&format!("{scheme}://{authority}{path}"))
    }

    /// As `hyper` wants it.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host's text, for people: what may be shown of a URL whose path or query may hold a secret.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Its query, if any.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }
}

impl FromStr for Url {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

/// Longest URL, in bytes.
const LONGEST: usize = 2_048;

fn read(text: &str) -> Option<Url> {
    // The parser drops a fragment and takes characters that no URL has.
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>');
    if text.len() > LONGEST || !text.bytes().all(plain) {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|p| p > 0)
        }
    };
    let fits = scheme_port(&uri).is_some() && port_fits && host(&uri).is_some();
    fits.then_some(Url { uri })
}

fn scheme_port(uri: &Uri) -> Option<u16> {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Some(80),
        Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
        _ => None,
    }
}

/// The port, given or the scheme's.
pub(crate) fn port(uri: &Uri) -> Option<u16> {
    let standard = scheme_port(uri)?;
    Some(uri.port_u16().unwrap_or(standard))
}

/// The host; `None` if it is not in its plain form.
pub(crate) fn host(uri: &Uri) -> Option<Host<'_>> {
    let host = uri.host()?;
    if let Some(inner) = host.strip_prefix('[') {
        // The standard parser takes no zone.
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(address.into()));
    }
    // Four decimal numbers, nothing else.
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    is_name(host).then_some(Host::Name(host))
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // `2130706433`, `0x7f.1`, `0177.0.0.1`: resolvers read these as addresses. No top-level domain is like that.
    let last = host.rsplit('.').next().unwrap_or_default();
    let like_a_number = last.as_bytes().first().is_some_and(u8::is_ascii_digit);
    host.len() <= 253 && host.split('.').all(label) && !like_a_number
}

/// What stays as it is in one segment of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

/// A text as ONE segment of a path, whatever it holds: `/`, `%`, `?`, spaces, other alphabets, and the dots of `.`
/// and `..` are percent-encoded, so that nobody on the way takes it for a way through folders.
pub fn segment(text: &str) -> String {
    let encoded = utf8_percent_encode(text, PLAIN).to_string();
    if text == "." || text.contains("..") { encoded.replace('.', "%2E") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::{Url, segment};

    #[test]
    fn plain_urls_are_read() {
        for good in [
            "http://example.com",
            "https://example.com:8443/hook?x=1&y=%20",
            "https://a_b.example-2.com/",
            "http://127.0.0.1:9000/",
            "http://[::1]:80/",
            "http://[::ffff:127.0.0.1]/",
            "HTTP://EXAMPLE.com/",
            "http://localhost:3000/a//b",
            "https://xn--bcher-kva.example/",
        ] {
            Url::parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
    }

    #[test]
    fn everything_odd_is_refused() {
        for bad in [
            "",
            "example.com",
            "/path",
            "//example.com/",
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://x/",
            "javascript:alert(1)",
            "http://",
            "http:///path",
            "http://user@example.com/",
            "http://u:p@example.com/",
            "http://example.com@127.0.0.1/",
            "http://example.com./",
            "http://localhost./",
            "http://.example.com/",
            "http://a..b/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.01/",
            "http://127.0.0.1./",
            "http://017700000001/",
            "http://1.2.3.4.5/",
            "http://999.1.1.1/",
            "http://a.0x7f/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[::1/",
            "http://[]/",
            "http://[v1.x]/",
            "http://127。0。0。1/",
            "http://①②⑦.0.0.1/",
            "http://bücher.example/",
            "http://exa%6dple.com/",
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com:/",
            "http://example.com:+80/",
            "http://exa mple.com/",
            "http://example.com\\@evil/",
            "http://example.com/\r\nX: y",
            "http://a/#frag",
            "http://example.com:80:80/",
            "http://*.example.com/",
            "http://a,b/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert!(Url::parse(&format!("http://example.com/{}", "a".repeat(2_048))).is_err());
    }

    #[test]
    fn a_segment_stays_one_segment() {
        for (text, encoded) in [
            ("plain-1_2~x.jpg", "plain-1_2~x.jpg"),
            ("a/b", "a%2Fb"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("../../purge-all", "%2E%2E%2F%2E%2E%2Fpurge-all"),
            ("100%", "100%25"),
            ("%2e%2e", "%252e%252e"),
            ("a?b#c;d&e=f", "a%3Fb%23c%3Bd%26e%3Df"),
            ("é ü", "%C3%A9%20%C3%BC"),
            ("\r\n\0\\", "%0D%0A%00%5C"),
        ] {
            assert_eq!(segment(text), encoded);
        }
        let base = Url::parse("https://cdn.example/zone/7/?token=x").unwrap();
        let joined = base.join(&["purge", "a/../b"]).unwrap();
        assert_eq!(joined.to_string(), "https://cdn.example/zone/7/purge/a%2F%2E%2E%2Fb");
        let base = Url::parse("http://cdn.example").unwrap();
        assert_eq!(base.join(&["purge", "7"]).unwrap().to_string(), "http://cdn.example/purge/7");
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_the_path_has_one_more_segment(text in "\\PC{1,40}") {
            let url = Url::parse("http://cdn.example/").unwrap().join(&["purge", &text]).unwrap();
            let path = url.uri().path();
            proptest::prop_assert_eq!(path.matches('/').count(), 2);
            proptest::prop_assert!(url.query().is_none());
            let last = path.rsplit('/').next().unwrap();
            proptest::prop_assert!(last != ".." && last != ".");
            let decoded = percent_encoding::percent_decode_str(last).decode_utf8().unwrap();
            proptest::prop_assert_eq!(decoded, text);
        }
    }
}
