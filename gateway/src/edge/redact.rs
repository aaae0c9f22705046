//! Paths as they may be logged: tokens never.

use std::borrow::Cow;

use http::Uri;

use crate::token;

/// Path and query, with the values of `access_token` blotted out, and without the query of a login at a provider.
pub fn path(uri: &Uri) -> Cow<'_, str> {
    let Some(query) = uri.query() else { return Cow::Borrowed(uri.path()) };
    if uri.path().starts_with("/auth/login/") {
        return Cow::Owned(format!("{}?--redacted--", uri.path()));
    }
    let is_token = |pair: &str| token::is_parameter(pair.split('=').next().unwrap_or_default());
    if !query.split('&').any(is_token) {
        return Cow::Borrowed(uri.path_and_query().map_or(uri.path(), |whole| whole.as_str()));
    }
    let shown = |pair| if is_token(pair) { "access_token=--redacted--" } else { pair };
    let pairs: Vec<&str> = query.split('&').map(shown).collect();
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
        assert_eq!(shown("/auth/login/a/callback?code=x&state=y"), "/auth/login/a/callback?--redacted--");
        assert_eq!(shown("/a?access%5Ftoken=secret&x=1"), "/a?access_token=--redacted--&x=1");
    }
}
