//! The id that a request keeps on all its ways.

use http::HeaderMap;
use model::Ids;

/// The client's own id if it is sane, else one of ours.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    /// Reads `X-Request-Id`, or makes an id.
    pub fn of(headers: &HeaderMap, ids: &dyn Ids) -> Self {
        let sane = |text: &&str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(sane);
        Self(given.map_or_else(|| ids.ordered().to_string(), str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use model::RandomIds;

    use super::RequestId;

    #[test]
    fn only_sane_ids_are_taken() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-request-id"),
                HeaderValue::from_str(text).unwrap(),
            )]);
            RequestId::of(&headers, &RandomIds).0
        };
        assert_eq!(id("Abc_1-2"), "Abc_1-2");
        for bad in ["", "a b", "a.b", &"a".repeat(65)] {
            let made = id(bad);
            assert_eq!(made.len(), 36, "{made}");
        }
        assert_ne!(
            RequestId::of(&HeaderMap::new(), &RandomIds).0,
            RequestId::of(&HeaderMap::new(), &RandomIds).0
        );
    }
}
