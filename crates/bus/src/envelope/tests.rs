//! The form of a message.

use model::EventName;
use serde_json::value::RawValue;
use time::macros::datetime;

use super::*;

fn event(payload: Option<String>) -> Event {
    Event {
        id: Uuid::from_u128(7),
        collection: "arti.cles".to_owned(),
        key: "a \"b\" 100% ö".to_owned(),
        version: 3,
        payload: payload.map(|text| RawValue::from_string(text).unwrap()),
        fields: Some(vec!["title".to_owned()]),
        traceparent: TraceParent::parse(testkit::TRACE),
        time: datetime!(2026-11-22 10:20:30.123456 UTC),
        ..testkit::event(42)
    }
}

fn len(message: &Message) -> usize {
    FRAME + headers_len(&message.headers) + message.body.len()
}

#[test]
fn a_message_is_a_cloud_event_in_binary_mode() {
    let epoch = Uuid::from_u128(1);
    let message = encode("acme", &source(epoch), &event(Some("{\"title\": 1.50}".to_owned()))).unwrap();
    assert_eq!(message.subject, "acme.items.update.arti%2Ecles");
    let get = |name: &str| message.headers.get(name).map(|value| value.as_str());
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "00000000-0000-0000-0000-000000000007"),
        ("Nats-Msg-Id", "00000000-0000-0000-0000-000000000007"),
        ("ce-type", "items.update"),
        ("ce-source", "/eventus/00000000-0000-0000-0000-000000000001"),
        ("ce-subject", "a%20%22b%22%20100%25%20%C3%B6"),
        ("ce-time", "2026-11-22T10:20:30.123456Z"),
        ("ce-sequence", "42"),
        ("ce-datacontenttype", "application/json"),
        ("ce-dataschema", "/server/specs/events/2"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ] {
        assert_eq!(get(name), Some(value), "{name}");
    }
    assert_eq!(get("ce-dataref"), None);
    let back = decode(&message.body).unwrap();
    assert_eq!(back.payload.unwrap().get(), "{\"title\": 1.50}");
    assert_eq!((back.key.as_str(), back.position, back.version), ("a \"b\" 100% ö", 42, 3));
    let place = place(&message.headers).unwrap();
    assert_eq!((place.id, place.position, place.source), (Uuid::from_u128(7), 42, source(epoch)));
}

#[test]
fn a_custom_event_stands_under_its_name_and_silence_is_a_header() {
    let name = EventName::parse("custom.article.created").unwrap();
    let event = Event { name, key: String::new(), collection: String::new(), silent: true, ..event(None) };
    let message = encode("acme", "/eventus/x", &event).unwrap();
    assert_eq!(message.subject, "acme.custom.article.created");
    assert_eq!(message.headers.get("ce-silent").map(|value| value.as_str()), Some("true"));
    assert!(message.headers.get("ce-subject").is_none());
}

#[test]
fn a_system_event_stands_under_its_name() {
    let event = Event { name: EventName::new("users", "create"), ..event(None) };
    assert_eq!(encode("", "/eventus/x", &event).unwrap().subject, "users.create");
}

#[test]
fn exactly_the_limit_still_fits_and_one_byte_more_does_not() {
    let empty = len(&encode("", "/eventus/x", &event(Some("\"\"".to_owned()))).unwrap());
    let text = |len: usize| Some(format!("\"{}\"", "x".repeat(len)));
    let full = encode("", "/eventus/x", &event(text(MAX_MESSAGE - empty))).unwrap();
    assert_eq!(len(&full), MAX_MESSAGE);
    assert!(!decode(&full.body).unwrap().oversized);

    let slim = encode("", "/eventus/x", &event(text(MAX_MESSAGE - empty + 1))).unwrap();
    assert!(slim.body.len() < 1000);
    assert_eq!(slim.headers.get("ce-dataref").unwrap().as_str(), "/events/42");
    let back = decode(&slim.body).unwrap();
    assert!(back.oversized && back.payload.is_none() && back.previous.is_none());
    assert_eq!((back.key.as_str(), back.version), ("a \"b\" 100% ö", 3));
    assert_eq!(back.fields, Some(vec!["title".to_owned()]));
}

#[test]
fn even_the_names_of_the_fields_give_way() {
    let mut event = event(None);
    event.fields = Some((0..20_000).map(|n| format!("a_rather_long_name_{n}")).collect());
    let message = encode("", "/eventus/x", &event).unwrap();
    assert!(len(&message) <= MAX_MESSAGE);
    assert!(decode(&message.body).unwrap().oversized);
}

#[test]
fn garbage_is_refused() {
    assert!(decode(b"{}").is_err());
    assert!(decode(b"").is_err());
    assert!(place(&HeaderMap::new()).is_err());
}

#[test]
fn headers_alone_outline_an_event_that_can_not_be_read() {
    let message = encode("", &source(Uuid::from_u128(1)), &event(None)).unwrap();
    let outline = outline(&message.headers, 9).unwrap();
    assert!(outline.is_newer());
    let said = (outline.position, outline.id, outline.name.as_str(), outline.key.as_str());
    assert_eq!(said, (42, Uuid::from_u128(7), "items.update", "a \"b\" 100% ö"));
    assert_eq!(outline.traceparent, TraceParent::parse(testkit::TRACE));
}
