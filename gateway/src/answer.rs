//! Successes as the client sees them: `{"data":..}`, with `"meta"` before it when asked. JSON of the services goes
//! in as bytes, unread.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// Content type of every JSON answer.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// 200 with a JSON text as `data`.
pub fn of(json: &[u8]) -> Response {
    respond(enveloped(b"{\"data\":", json))
}

/// 200 with a list and the counts that were asked for.
pub fn list(items: &[u8], total_count: Option<i64>, filter_count: Option<i64>) -> Response {
    respond(enveloped(opening(total_count, filter_count).as_bytes(), items))
}

/// What stands before the items: the counts that were asked for.
pub fn opening(total_count: Option<i64>, filter_count: Option<i64>) -> String {
    let counts = [("total_count", total_count), ("filter_count", filter_count)];
    let counts: Vec<String> =
        counts.iter().filter_map(|(name, count)| Some(format!("\"{name}\":{}", (*count)?))).collect();
    if counts.is_empty() {
        return "{\"data\":".to_owned();
    }
    format!("{{\"meta\":{{{}}},\"data\":", counts.join(","))
}

/// 200 with the only entry of a JSON array as `data`; 204 when it has none (or nothing at all came back).
pub fn only(array: &[u8]) -> Response {
    let entry = array.trim_ascii();
    let entry = entry.strip_prefix(b"[").and_then(|entry| entry.strip_suffix(b"]")).unwrap_or(entry);
    let entry = entry.trim_ascii();
    if entry.is_empty() { empty() } else { of(entry) }
}

/// 200 with an array as `data`; 204 when nothing came back because the caller may not read.
pub fn written(array: &[u8]) -> Response {
    if array.is_empty() { empty() } else { of(array) }
}

/// 200 with `data` from a value.
pub fn value(data: &impl Serialize) -> Response {
    // Values made here are structs, lists and maps with string keys: JSON can always be made of them.
    of(&serde_json::to_vec(data).unwrap_or_default())
}

/// 204.
pub fn empty() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    mark(&mut response);
    response
}

/// 200 with a whole JSON body.
pub fn respond(body: impl Into<Bytes>) -> Response {
    streamed(Body::from(body.into()))
}

/// 200 with a JSON body that may still be on its way.
pub fn streamed(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    mark(&mut response);
    response
}

/// What every success of a data route says to caches.
fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Origin, Cache-Control"));
}

fn enveloped(head: &[u8], json: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(head.len() + json.len() + 1);
    body.extend_from_slice(head);
    body.extend_from_slice(json);
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use axum::response::Response;
    use http_body_util::BodyExt;

    use super::{list, of, only, written};

    fn text(response: Response) -> String {
        let status = response.status().as_u16();
        let body = response.into_body().collect();
        let bytes = futures_util::FutureExt::now_or_never(body).unwrap().unwrap().to_bytes();
        format!("{status} {}", std::str::from_utf8(&bytes).unwrap())
    }

    #[test]
    fn envelopes() {
        assert_eq!(text(of(b"{\"id\":1}")), r#"200 {"data":{"id":1}}"#);
        assert_eq!(text(list(b"[]", None, None)), r#"200 {"data":[]}"#);
        assert_eq!(text(list(b"[]", Some(3), None)), r#"200 {"meta":{"total_count":3},"data":[]}"#);
        assert_eq!(
            text(list(b"[1]", Some(3), Some(2))),
            r#"200 {"meta":{"total_count":3,"filter_count":2},"data":[1]}"#
        );
        assert_eq!(text(only(b" [{\"a\":[1]}] ")), r#"200 {"data":{"a":[1]}}"#);
        assert_eq!(text(only(b"[]")), "204 ");
        assert_eq!(text(only(b"")), "204 ");
        assert_eq!(text(written(b"[]")), r#"200 {"data":[]}"#);
        assert_eq!(text(written(b"")), "204 ");
        assert_eq!(of(b"1").headers()["cache-control"], "no-cache");
    }
}
