//! Request bodies: read up to the limit, checked in one fast pass to be a JSON object or array, kept as bytes.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::{Error, ErrorCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::state::Gateway;

/// Nesting of arrays and objects.
const DEPTH_LIMIT: usize = 64;
/// How long, and how many bytes, a body that is too large is read for nothing.
const DRAIN: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 32 * 1024 * 1024;

/// A JSON object or array. Another content type, or nothing at all, is read as `{}`, as the original does.
#[derive(Debug, Clone)]
pub struct JsonBody(pub Bytes);

impl JsonBody {
    /// The body, an object, as a typed value.
    ///
    /// # Errors
    /// `INVALID_PAYLOAD` with what does not fit.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        if self.is_array() {
            // The derived readers would take the values of a list for the members in order.
            return Err(Error::invalid_payload("The body must be an object"));
        }
        serde_json::from_slice(&self.0).map_err(|error| Error::invalid_payload(error.to_string()))
    }

    /// It is an array.
    pub fn is_array(&self) -> bool {
        self.0.trim_ascii_start().first() == Some(&b'[')
    }
}

impl FromRequest<Gateway> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Failure> {
        let headers = request.headers();
        if !is_json(headers) {
            return Ok(Self(Bytes::from_static(b"{}")));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Error::new(ErrorCode::UnsupportedMediaType).into());
        }
        let limit = gateway.config.max_payload;
        let too_large = declared(headers).is_some_and(|length| length > limit);
        let body = read(request.into_body(), limit, too_large).await?;
        if body.is_empty() {
            return Ok(Self(Bytes::from_static(b"{}")));
        }
        check(&body)?;
        Ok(Self(body))
    }
}

/// The whole body of a request that carries a file, up to `limit` bytes.
pub async fn read_file(request: Request, limit: usize) -> Result<Bytes, Error> {
    let too_large = declared(request.headers()).is_some_and(|length| length > limit);
    read(request.into_body(), limit, too_large).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body, if it fits.
async fn read(mut body: Body, limit: usize, too_large: bool) -> Result<Bytes, Error> {
    if !too_large {
        match Limited::new(&mut body, limit).collect().await {
            Ok(whole) => return Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(Error::invalid_payload("The request body ended early")),
        }
    }
    // A client that still sends while we close would never see the answer.
    let _ = timeout(DRAIN, drain(body)).await;
    Err(Error::new(ErrorCode::ContentTooLarge))
}

async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

/// An object or array, well-formed, not nested too deeply.
fn check(body: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid_payload("The body is not UTF-8"))?;
    if !matches!(text.trim_ascii_start().as_bytes().first(), Some(b'{' | b'[')) {
        // What is not JSON at all says so; a lone string or number is JSON, but no payload.
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| Error::invalid_payload(error.to_string()))?;
        return Err(Error::invalid_payload("The body must be a JSON object or array"));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| Error::invalid_payload(error.to_string()))?;
    if depth(body) > DEPTH_LIMIT {
        return Err(Error::invalid_payload(format!("The body is nested deeper than {DEPTH_LIMIT} levels")));
    }
    Ok(())
}

/// Greatest nesting of well-formed JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{check, depth, is_json};

    fn reason(body: &[u8]) -> String {
        check(body)
            .map_or_else(|error| error.extensions["reason"].as_str().unwrap().to_owned(), |()| "ok".into())
    }

    #[test]
    fn objects_and_arrays_pass() {
        for good in [
            "{}",
            " [1,{\"a\":\"\\\"]}\"}]\n",
            "{\"a\":1,\"a\":2}",
            "{\"n\":123456789012345678901234567890.5}",
        ] {
            assert_eq!(reason(good.as_bytes()), "ok", "{good}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(reason(deep(64).as_bytes()), "ok");
        assert_eq!(reason(deep(65).as_bytes()), "The body is nested deeper than 64 levels");
        assert_eq!(reason(deep(200_000).as_bytes()), "The body is nested deeper than 64 levels");
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        insta::assert_snapshot!(reason(b"{bad"), @"key must be a string at line 1 column 2");
        insta::assert_snapshot!(reason(b"{\"a\":NaN}"), @"expected value at line 1 column 6");
        insta::assert_snapshot!(reason(b"{\"a\":1} x"), @"trailing characters at line 1 column 9");
        insta::assert_snapshot!(reason(b"[1,]"), @"expected value at line 1 column 4");
        insta::assert_snapshot!(reason(b"hello"), @"expected value at line 1 column 1");
        insta::assert_snapshot!(reason(b"\"text\""), @"The body must be a JSON object or array");
        insta::assert_snapshot!(reason(b"{\"a\":\"\xff\"}"), @"The body is not UTF-8");
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(serde::Deserialize)]
        struct Pair {
            a: u8,
        }
        let parse = |text: &'static str| {
            super::JsonBody(bytes::Bytes::from_static(text.as_bytes())).parse::<Pair>().map(|pair| pair.a)
        };
        assert_eq!(parse("{\"a\":1}").unwrap(), 1);
        assert!(parse(" [1]").is_err());
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[[1]]}"#), 3);
    }

    #[test]
    fn content_types() {
        let json = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(json("application/json"));
        assert!(json("Application/JSON; charset=utf-8"));
        assert!(!json("text/plain"));
        assert!(!json("application/jsonp"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
