//! Events as tests append them and as consumers get them.

use event_store::NewEvent;
use model::{Event, EventName, Ids as _, RandomIds, TraceParent};
use time::OffsetDateTime;
use uuid::Uuid;

/// The trace that every event of a test belongs to.
pub const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// An event that is not yet in the log: the first of its item.
pub fn new_event(name: &str, collection: &str, key: &str) -> NewEvent {
    let name = EventName::parse(name).expect("a name of an event");
    let traceparent = TraceParent::parse(TRACE);
    NewEvent { traceparent, ..NewEvent::new(RandomIds.ordered(), name, collection, key, 1) }
}

/// An event of the log, bare: `items.update` in `articles`. Its id and its key are its position.
pub fn event(position: i64) -> Event {
    Event {
        schema: model::EVENT_SCHEMA,
        position,
        id: Uuid::from_u128(position.unsigned_abs().into()),
        name: EventName::new("items", "update"),
        collection: "articles".to_owned(),
        key: position.to_string(),
        version: 1,
        payload: None,
        previous: None,
        oversized: false,
        fields: None,
        user: None,
        role: None,
        request_id: None,
        traceparent: None,
        causation_id: None,
        depth: 0,
        batch_id: None,
        batch_index: 0,
        silent: false,
        erased: None,
        time: OffsetDateTime::UNIX_EPOCH,
    }
}
