//! `If-None-Match`: who has the answer already is told so, without the answer. As in the original.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// The condition of a request, if it has one that counts.
#[derive(Debug, Default)]
pub struct Conditional(Vec<HeaderValue>);

impl Conditional {
    /// That of a request: only who reads may have it already, and not who wants it fresh.
    pub fn of(request: &Request) -> Self {
        let headers = request.headers();
        if !headers.contains_key(IF_NONE_MATCH)
            || !(request.method() == Method::GET || request.method() == Method::HEAD)
            || wants_fresh(headers)
        {
            return Self::default();
        }
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Makes the answer a 304 when the client has it.
    pub fn answer(&self, response: &mut Response) {
        if self.0.is_empty() || response.status() != StatusCode::OK {
            return;
        }
        let Some(tag) = response.headers().get(ETAG) else { return };
        if !self.0.iter().any(|given| names(given, tag)) {
            return;
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for of_the_body in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_DISPOSITION] {
            response.headers_mut().remove(of_the_body);
        }
        *response.body_mut() = Body::empty();
    }
}

fn wants_fresh(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-cache"))
}

/// Whether one of the tags of a line is this one; weakness does not matter. No tag of ours holds a comma.
fn names(given: &HeaderValue, tag: &HeaderValue) -> bool {
    let strong = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let (Ok(given), Ok(tag)) = (given.to_str(), tag.to_str()) else { return false };
    given.split(',').map(str::trim).any(|given| given == "*" || strong(given) == strong(tag))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;

    use super::Conditional;
    use crate::answer;

    fn asked(method: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = answer::respond(r#"{"data":[{"id":1}]}"#);
        Conditional::of(&request.body(Body::empty()).unwrap()).answer(&mut response);
        if response.status() == 304 {
            let headers = response.headers();
            assert!(headers.contains_key("etag") && headers.contains_key("cache-control"));
            assert!(headers.contains_key("vary") && !headers.contains_key("content-type"));
        }
        response.status().as_u16()
    }

    #[test]
    fn who_has_it_is_told_so() {
        let own = r#"W/"13-Y72cZALG8c53AvookbtjwYVoS34""#;
        for (method, headers, expected) in [
            ("GET", vec![("if-none-match", own)], 304),
            ("HEAD", vec![("if-none-match", own)], 304),
            ("GET", vec![("if-none-match", "*")], 304),
            ("GET", vec![("if-none-match", &own[2..])], 304),
            ("GET", vec![("if-none-match", r#""a", W/"13-Y72cZALG8c53AvookbtjwYVoS34" ,"b""#)], 304),
            ("GET", vec![("if-none-match", r#""a""#), ("if-none-match", own)], 304),
            ("GET", vec![("if-none-match", r#"W/"x""#)], 200),
            ("GET", vec![("if-none-match", "")], 200),
            ("GET", vec![], 200),
            ("GET", vec![("if-none-match", own), ("cache-control", "max-age=0, No-Cache")], 200),
            ("GET", vec![("if-none-match", own), ("cache-control", "max-age=0")], 304),
            ("POST", vec![("if-none-match", own)], 200),
            ("SEARCH", vec![("if-none-match", own)], 200),
        ] {
            assert_eq!(asked(method, &headers), expected, "{method} {headers:?}");
        }
        let mut refused = answer::empty();
        let request = Request::builder().header("if-none-match", "*").body(Body::empty()).unwrap();
        Conditional::of(&request).answer(&mut refused);
        assert_eq!(refused.status(), 204);
    }
}
