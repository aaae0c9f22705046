//! Server-sent events on the wire.

use bytes::Bytes;
use proto::events::v1::EventMessage;
use serde::Deserialize;

/// Begins a stream: the client reconnects after a second.
pub const HELLO: Bytes = Bytes::from_static(b"retry: 1000\n\n");
/// Keeps the connection alive.
pub const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");
/// Ends a stream because we stop.
pub const STOPPING: Bytes = Bytes::from_static(b": stopping, reconnect\n\n");
/// Ends a stream because the log can't be read now.
pub const INTERRUPTED: Bytes = Bytes::from_static(b": interrupted, reconnect\n\n");
/// Ends a stream because the credential no longer suffices.
pub const DENIED: Bytes = Bytes::from_static(b": credential expired or revoked\n\n");

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
}

/// One event: `id` is its position, `event` its name, `data` its JSON on one line.
pub fn event(message: &EventMessage) -> Bytes {
    let named: Option<Named> = serde_json::from_slice(&message.event).ok();
    let name = named.map_or(std::borrow::Cow::Borrowed("message"), |named| named.name);
    let head = format!("id: {}\nevent: {}\ndata: ", message.position, name.replace(['\n', '\r'], " "));
    let mut frame = Vec::with_capacity(head.len() + message.event.len() + 2);
    frame.extend_from_slice(head.as_bytes());
    // Line ends stand only between JSON's tokens, never within its strings.
    frame.extend(message.event.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
    frame.extend_from_slice(b"\n\n");
    Bytes::from(frame)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::events::v1::EventMessage;

    use super::event;

    #[test]
    fn one_event_is_one_frame() {
        let json = Bytes::from_static(b"{\"name\":\"items.create\",\n\"payload\":{\"a\":\"\\n\"}}");
        let frame = event(&EventMessage { position: 7, event: json });
        assert_eq!(
            std::str::from_utf8(&frame).unwrap(),
            "id: 7\nevent: items.create\ndata: {\"name\":\"items.create\", \"payload\":{\"a\":\"\\n\"}}\n\n"
        );
    }
}
