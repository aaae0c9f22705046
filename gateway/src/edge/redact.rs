//! Paths as they may be logged: tokens never, those of links neither.

use std::borrow::Cow;

use http::Uri;

use crate::token;

/// Path and query, with the values of `access_token` and `token` blotted out.
pub fn path(uri: &Uri) -> Cow<'_, str> {
    let Some(query) = uri.query() else { return Cow::Borrowed(uri.path()) };
    let named = |pair: &str| match pair.split('=').next().unwrap_or_default() {
        // What a link brings along.
        name if name.eq_ignore_ascii_case("token") => "token",
        _ => "access_token",
    };
    let is_token = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        token::is_parameter(name) || name.eq_ignore_ascii_case("token")
    };
    if !query.split('&').any(is_token) {
        return Cow::Borrowed(uri.path_and_query().map_or(uri.path(), |whole| whole.as_str()));
    }
    let shown = |pair| {
        if is_token(pair) { format!("{}=--redacted--", named(pair)) } else { String::from(pair) }
    };
    let pairs: Vec<String> = query.split('&').map(shown).collect();
    Cow::Owned(format!("{}?{}", uri.path(), pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::path;

    #[test]
    fn tokens_are_blotted_out() {
        let shown = |uri: &'static str| path(&Uri::from_static(uri)).into_owned();
        assert_eq!(shown("/a/b"), "/a/b");
        assert_eq!(shown("/a?limit=1&x"), "/a?limit=1&x");
        assert_eq!(shown("/a?limit=1&access_token=secret"), "/a?limit=1&access_token=--redacted--");
        assert_eq!(
            shown("/users/register/verify-email?token=a.b.c"),
            "/users/register/verify-email?token=--redacted--"
        );
        assert_eq!(shown("/a?access%5Ftoken=secret&x=1"), "/a?access_token=--redacted--&x=1");
    }
}
