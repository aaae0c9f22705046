//! The credential of a request: `Authorization: Bearer`, `?access_token=` or the session cookie.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use model::Error;
use percent_encoding::percent_decode_str;

use crate::cookie;

/// Name of the parameter.
pub const PARAMETER: &str = "access_token";

/// A token and how it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Static or access token.
    pub token: Cow<'a, str>,
    /// The browser added it by itself.
    pub from_cookie: bool,
}

/// The credential, if there is one; the cookie counts only when nothing else is given.
///
/// # Errors
/// 400 when header and parameter both carry one.
pub fn find<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    cookie_name: &str,
) -> Result<Option<Credential<'a>>, Error> {
    let header = bearer(headers);
    let parameter = query.and_then(parameter);
    let token = match (header, parameter) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid_payload(
                "The access token is given both in the Authorization header and in the query: give it once",
            ));
        }
        (Some(token), None) => Cow::Borrowed(token),
        (None, Some(token)) => token,
        (None, None) => {
            let found = cookie::find(headers, cookie_name);
            return Ok(found.map(|token| Credential { token: Cow::Borrowed(token), from_cookie: true }));
        }
    };
    Ok(Some(Credential { token, from_cookie: false }))
}

/// Whether a request carries anything that may be a credential, good or bad.
pub fn is_given<B>(request: &Request<B>, cookie_name: &str) -> bool {
    let (headers, query) = (request.headers(), request.uri().query());
    headers.contains_key(AUTHORIZATION)
        || query.and_then(parameter).is_some()
        || cookie::find(headers, cookie_name).is_some()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn parameter(query: &str) -> Option<Cow<'_, str>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, value)| is_parameter(name) && !value.is_empty())?;
    Some(percent_decode_str(value).decode_utf8_lossy())
}

/// This name, however it is written, carries a token.
pub fn is_parameter(name: &str) -> bool {
    name == PARAMETER || (name.contains('%') && percent_decode_str(name).eq(PARAMETER.bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Credential, find};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(entry).collect()
    }

    fn token(pairs: &[(&'static str, &'static str)], query: Option<&str>) -> Option<(String, bool)> {
        let headers = headers(pairs);
        let found = find(&headers, query, "session").unwrap();
        found.map(|Credential { token, from_cookie }| (token.into_owned(), from_cookie))
    }

    #[test]
    fn three_sources() {
        assert_eq!(token(&[], None), None);
        assert_eq!(token(&[("authorization", "Bearer abc")], None), Some(("abc".into(), false)));
        assert_eq!(token(&[("authorization", "bEARER  abc ")], None), Some(("abc".into(), false)));
        assert_eq!(token(&[], Some("a=1&access_token=a%2Bb")), Some(("a+b".into(), false)));
        assert_eq!(token(&[], Some("access%5Ftoken=x")), Some(("x".into(), false)));
        assert_eq!(token(&[("cookie", "x=1; session=jwt")], None), Some(("jwt".into(), true)));
    }

    #[test]
    fn what_is_no_token() {
        assert_eq!(token(&[("authorization", "Basic abc")], None), None);
        assert_eq!(token(&[("authorization", "Bearer")], None), None);
        assert_eq!(token(&[("authorization", "Bearer ")], None), None);
        assert_eq!(token(&[], Some("access_token=&access_tokens=1")), None);
    }

    #[test]
    fn the_cookie_comes_last_and_two_others_are_refused() {
        let both = [("authorization", "Bearer abc"), ("cookie", "session=jwt")];
        assert_eq!(token(&both, None), Some(("abc".into(), false)));
        assert_eq!(token(&both[1..], Some("access_token=q")), Some(("q".into(), false)));
        let error = find(&headers(&both), Some("access_token=q"), "session").unwrap_err();
        assert_eq!(error.code, model::ErrorCode::InvalidPayload);
    }
}
