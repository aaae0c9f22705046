//! Successes as the client sees them: `{"data":..}`, with `"meta"` before it when asked. JSON of the services goes
//! in as bytes, unread.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proto::items::v1::ReadItemsResponse;
use serde::Serialize;
use sha1::{Digest as _, Sha1};

/// Content type of every JSON answer.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The answer was given before.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What an answer was made of, commas between: Cloudflare's header.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// The same with spaces: Fastly's and Varnish's.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Bytes of all tags: proxies refuse headers of more than 8 KiB in all.
const TAGS: usize = 3 * 1024;
/// What stands for itself in a tag, as in the path of a purge (`outbound::url::segment`).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

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

/// 200 without a body.
pub fn nothing() -> Response {
    let mut response = empty();
    *response.status_mut() = StatusCode::OK;
    response
}

/// 200 with a whole JSON body.
pub fn respond(body: impl Into<Bytes>) -> Response {
    let body = body.into();
    let tag = etag(&body);
    let mut response = streamed(Body::from(body));
    response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    response
}

/// 200 with a JSON body that may still be on its way.
pub fn streamed(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    mark(&mut response);
    response
}

/// The weak tag of a body in the original's form: its length in hexadecimal digits, and its SHA-1. It tells answers
/// apart, and guards nothing.
fn etag(body: &[u8]) -> Option<HeaderValue> {
    let hash = STANDARD_NO_PAD.encode(Sha1::digest(body));
    HeaderValue::from_str(&format!("W/\"{:x}-{hash}\"", body.len())).ok()
}

/// The tag of one item at this version: the version, a dot, and that of the body. Who writes the item names its version
/// again (`If-Match`). Version 0 is none.
#[must_use]
pub fn versioned(mut response: Response, version: i64) -> Response {
    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    let body = tag.and_then(|tag| tag.strip_prefix("W/\"")).filter(|_| version > 0);
    let tag = body.and_then(|body| HeaderValue::from_str(&format!("\"{version}.{body}")).ok());
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Says that this is the answer of an earlier request, if it is.
#[must_use]
pub fn replayed(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Names what an answer was made of, for caches that can be told to forget it: collections and keys, each as it stands
/// in the path of a purge.
#[must_use]
pub fn tagged(mut response: Response, tags: &[String]) -> Response {
    let mut line = String::new();
    for tag in tags {
        let tag = utf8_percent_encode(tag, PLAIN).to_string();
        let tag = if tag == "." || tag.contains("..") { tag.replace('.', "%2E") } else { tag };
        if line.len() + tag.len() > TAGS {
            break;
        }
        if !line.is_empty() {
            line.push(',');
        }
        line.push_str(&tag);
    }
    if !line.is_empty() {
        let headers = response.headers_mut();
        // Names of ASCII letters, commas or spaces between them: these are always header values.
        headers.extend(HeaderValue::from_str(&line.replace(',', " ")).ok().map(|keys| (SURROGATE_KEY, keys)));
        headers.extend(HeaderValue::from_str(&line).ok().map(|tags| (CACHE_TAG, tags)));
    }
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

    use super::{TAGS, list, of, only, replayed, respond, tagged, versioned, written};

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

    #[test]
    fn bodies_have_the_tags_of_the_original() {
        for (body, tag) in [
            (r#"{"data":[{"id":1}]}"#, r#"W/"13-Y72cZALG8c53AvookbtjwYVoS34""#),
            (r#"{"data":{"id":1}}"#, r#"W/"11-mhIzk+6CZQ0xNbkxdoJWFe0RFnY""#),
            (r#"{"data":[]}"#, r#"W/"b-EFAlOux7Kcr/ZEgGkn2r+oFAbu4""#),
        ] {
            assert_eq!(respond(body).headers()["etag"], tag);
        }
    }

    #[test]
    fn one_item_has_a_version() {
        let tag = |response: Response| response.headers()["etag"].to_str().unwrap().to_owned();
        let body = || respond(r#"{"data":{"id":1}}"#);
        assert_eq!(tag(versioned(body(), 7)), r#""7.11-mhIzk+6CZQ0xNbkxdoJWFe0RFnY""#);
        assert_eq!(tag(versioned(body(), 0)), r#"W/"11-mhIzk+6CZQ0xNbkxdoJWFe0RFnY""#);
        assert!(versioned(super::empty(), 7).headers().get("etag").is_none());
        assert_eq!(replayed(body(), true).headers()["idempotency-replayed"], "true");
        assert!(replayed(body(), false).headers().get("idempotency-replayed").is_none());
    }

    #[test]
    fn what_an_answer_was_made_of() {
        let made = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let response = tagged(of(b"[]"), &tags);
            let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (text("cache-tag"), text("surrogate-key"))
        };
        assert_eq!(made(&[]), (None, None));
        let both = |comma: &str, space: &str| (Some(comma.to_owned()), Some(space.to_owned()));
        assert_eq!(made(&["articles", "7"]), both("articles,7", "articles 7"));
        let odd = made(&["a b", "x,y", "\u{e4}\r\n", "..", "a/b"]);
        assert_eq!(
            odd,
            both("a%20b,x%2Cy,%C3%A4%0D%0A,%2E%2E,a%2Fb", "a%20b x%2Cy %C3%A4%0D%0A %2E%2E a%2Fb")
        );
        let many: Vec<String> = (0..1_000).map(|number| format!("key-{number}")).collect();
        let many = made(&many.iter().map(String::as_str).collect::<Vec<_>>()).0.unwrap();
        assert!(many.len() <= 2 * TAGS && many.starts_with("key-0,key-1,") && !many.ends_with(','));
    }
}
