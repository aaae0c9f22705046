//! The body of a delivery, as Standard Webhooks recommends it: type, timestamp, data. Payloads go through as bytes.

use bytes::Bytes;
use model::Event;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    id: Uuid,
    position: i64,
    event: &'a str,
    collection: &'a str,
    key: &'a str,
    version: i64,
    payload: Option<&'a RawValue>,
    previous: Option<&'a RawValue>,
    fields: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<&'a [String]>,
    user: Option<Uuid>,
    request_id: Option<&'a str>,
}

/// The body for an event: the same bytes at every attempt.
pub(crate) fn body(event: &Event) -> Result<Bytes, serde_json::Error> {
    let message = Message {
        r#type: event.name.as_str(),
        timestamp: event.time,
        data: Content {
            id: event.id,
            position: event.position,
            event: event.name.as_str(),
            collection: &event.collection,
            key: &event.key,
            version: event.version,
            payload: event.payload.as_deref(),
            previous: event.previous.as_deref(),
            fields: event.fields.as_deref(),
            erased: event.erased.as_deref(),
            user: event.user,
            request_id: event.request_id.as_deref(),
        },
    };
    serde_json::to_vec(&message).map(Bytes::from)
}

#[cfg(test)]
pub(crate) mod tests {
    use model::{Event, EventName};
    use serde_json::json;
    use serde_json::value::RawValue;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::body;

    /// An event of this name.
    pub fn event(name: &str, collection: &str) -> Event {
        Event {
            id: Uuid::from_u128(1),
            name: EventName::parse(name).unwrap(),
            collection: collection.to_owned(),
            key: "1".to_owned(),
            version: 2,
            time: datetime!(2026-11-22 10:00:00.25 UTC),
            ..testkit::event(7)
        }
    }

    #[test]
    fn the_body_says_what_happened_and_keeps_every_digit() {
        let mut event = event("items.update", "articles");
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        event.payload = Some(raw(r#"{"price":12345678901234567890.10}"#));
        event.previous = Some(raw(r#"{"price":1}"#));
        event.fields = Some(vec!["price".to_owned()]);
        event.request_id = Some("r1".to_owned());
        let bytes = body(&event).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.contains("12345678901234567890.10"), "{text}");
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read["type"], "items.update");
        assert_eq!(read["timestamp"], "2026-11-22T10:00:00.25Z");
        let data = &read["data"];
        assert_eq!(data["previous"], json!({"price": 1}));
        assert_eq!(data["fields"], json!(["price"]));
        assert_eq!((&data["user"], &data["request_id"]), (&json!(null), &json!("r1")));
        assert_eq!((&data["collection"], &data["key"]), (&json!("articles"), &json!("1")));
        assert_eq!((&data["version"], &data["position"]), (&json!(2), &json!(7)));
        assert_eq!(data["id"], "00000000-0000-0000-0000-000000000001");
    }
}
