//! What browsers are told to leave alone: answers are data, no pages, unless a page says more of itself.

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

static OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Nothing is loaded, run, framed or sent from an answer that a browser shows.
const NOTHING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Windows of single sign-on may speak with who opened them, as in the original.
const POPUPS: HeaderValue = HeaderValue::from_static("same-origin-allow-popups");
/// Addresses may hold tokens.
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// Puts them on an answer; what the answer says itself stays.
pub fn put(transport: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.entry(&OPENER).or_insert(POPUPS);
    headers.entry(REFERRER_POLICY).or_insert(NO_REFERRER);
    if let Some(transport) = transport {
        headers.insert(STRICT_TRANSPORT_SECURITY, transport.clone());
    }
}
