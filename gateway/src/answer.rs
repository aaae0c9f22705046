//! Successes as the client sees them: `{"data":..}`, with `"meta"` before it when asked. JSON of the services goes
//! in as bytes, unread.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderValue, StatusCode};
use proto::items::v1::ReadItemsResponse;
use serde::Serialize;

/// Content type of every JSON answer.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// 200 with a JSON text as `data`.
pub fn of(json: &[u8]) -> Response {
    respond(enveloped(b"{\"data\":", json))
}

/// What stands beside a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// `total_count`
    pub total_count: Option<i64>,
    /// `filter_count`
    pub filter_count: Option<i64>,
    /// `filter_count_estimate`
    pub estimate: Option<i64>,
    /// `next_cursor`; empty behind the last page.
    pub next_cursor: Option<&'a str>,
}

/// 200 with a list, the counts that were asked for and the cursor of the next page.
pub fn list(found: &ReadItemsResponse) -> Response {
    let beside = Beside {
        total_count: found.total_count,
        filter_count: found.filter_count,
        estimate: found.filter_count_estimate,
        next_cursor: found.next_cursor.as_deref(),
    };
    respond(enveloped(opening(beside).as_bytes(), &found.items))
}

/// What stands before the items.
pub fn opening(beside: Beside<'_>) -> String {
    let counts = [
        ("total_count", beside.total_count),
        ("filter_count", beside.filter_count),
        ("filter_count_estimate", beside.estimate),
    ];
    let mut meta: Vec<String> =
        counts.iter().filter_map(|(name, count)| Some(format!("\"{name}\":{}", (*count)?))).collect();
    meta.extend(beside.next_cursor.map(|cursor| match cursor {
        "" => "\"next_cursor\":null".to_owned(),
        // Letters, digits, `-` and `_`.
        cursor => format!("\"next_cursor\":\"{cursor}\""),
    }));
    if meta.is_empty() {
        return "{\"data\":".to_owned();
    }
    format!("{{\"meta\":{{{}}},\"data\":", meta.join(","))
}

/// 200 with a JSON text as `data` and another one before it as `meta`, unless that is empty.
pub fn with_meta(json: &[u8], meta: &[u8]) -> Response {
    if meta.is_empty() {
        return of(json);
    }
    respond(enveloped(&[b"{\"meta\":", meta, b",\"data\":"].concat(), json))
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

    use proto::items::v1::ReadItemsResponse;

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
        let mut found = ReadItemsResponse { items: "[]".into(), ..ReadItemsResponse::default() };
        assert_eq!(text(list(&found)), r#"200 {"data":[]}"#);
        found.total_count = Some(3);
        assert_eq!(text(list(&found)), r#"200 {"meta":{"total_count":3},"data":[]}"#);
        found.filter_count = Some(2);
        found.next_cursor = Some(String::new());
        assert_eq!(
            text(list(&found)),
            r#"200 {"meta":{"total_count":3,"filter_count":2,"next_cursor":null},"data":[]}"#
        );
        let (items, next_cursor) = ("[1]".into(), Some("a-_9".to_owned()));
        let found = ReadItemsResponse {
            items,
            next_cursor,
            filter_count_estimate: Some(9),
            ..ReadItemsResponse::default()
        };
        assert_eq!(
            text(list(&found)),
            r#"200 {"meta":{"filter_count_estimate":9,"next_cursor":"a-_9"},"data":[1]}"#
        );
        assert_eq!(text(only(b" [{\"a\":[1]}] ")), r#"200 {"data":{"a":[1]}}"#);
        assert_eq!(text(only(b"[]")), "204 ");
        assert_eq!(text(only(b"")), "204 ");
        assert_eq!(text(written(b"[]")), r#"200 {"data":[]}"#);
        assert_eq!(text(written(b"")), "204 ");
        assert_eq!(of(b"1").headers()["cache-control"], "no-cache");
    }
}
