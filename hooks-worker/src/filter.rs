//! Operation `Filter`: a payload through the filter hooks that are registered for it.

use std::time::Duration;

use bytes::Bytes;
use model::EventName;
use proto::hooks::v1::{FilterRequest, FilterResponse};
use serde_json::value::RawValue;
use tonic::metadata::MetadataMap;

use crate::hook::FilterCall;
use crate::state::State;
use crate::{Error, registrations};

/// The request's payload as the hooks leave it. `deadline`: what the caller allows.
pub(crate) async fn filter(
    state: &State,
    request: FilterRequest,
    deadline: Option<Duration>,
) -> Result<FilterResponse, Error> {
    let call = read(request)?;
    let named = registrations::named(&state.db, &call.event, &call.collection).await?;
    let entries = state.filtering.run(call, &named, deadline).await?;
    let payload = serde_json::to_vec(&entries).map_err(Error::Json)?;
    Ok(FilterResponse { payload: Bytes::from(payload) })
}

fn read(request: FilterRequest) -> Result<FilterCall, model::Error> {
    let FilterRequest { event, collection, payload, keys } = request;
    // `articles.items.create` says the same as `items.create` on `articles`.
    let own = event.strip_prefix(collection.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let name = own.and_then(EventName::parse).or_else(|| EventName::parse(&event));
    let event = name.ok_or_else(|| model::Error::invalid_payload("\"event\" is not an event name"))?;
    let entries: Vec<Box<RawValue>> = serde_json::from_slice(&payload)
        .map_err(|_| model::Error::invalid_payload("\"payload\" is not a JSON array"))?;
    Ok(FilterCall { event, collection, keys, entries })
}

/// The caller's deadline from `grpc-timeout` (up to eight digits and a unit); `None` when there is none or it is
/// malformed, as the specification wants it.
pub(crate) fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::hooks::v1::FilterRequest;
    use tonic::metadata::MetadataMap;

    use super::{deadline, read};

    fn request(event: &str, payload: &'static str) -> FilterRequest {
        let (event, collection) = (event.to_owned(), "articles".to_owned());
        FilterRequest { event, collection, payload: payload.into(), keys: Vec::new() }
    }

    #[test]
    fn both_names_of_an_event_are_read() {
        for event in ["items.create", "articles.items.create"] {
            let call = read(request(event, r#"[{"price": 1.10}]"#)).unwrap();
            assert_eq!((call.event.as_str(), call.entries[0].get()), ("items.create", r#"{"price": 1.10}"#));
        }
        assert_eq!(read(request("pages.items.create", "[]")).unwrap().event.as_str(), "pages.items.create");
        for (event, payload) in [("items", "[]"), ("items.create", "{}"), ("items.create", "[1"), ("", "[]")]
        {
            assert!(read(request(event, payload)).is_err(), "{event} {payload}");
        }
    }

    #[test]
    fn deadlines_are_read() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            deadline(&metadata)
        };
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for bad in ["", "S", "5", "5x", "-1S", "123456789S", "1 S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }
}
