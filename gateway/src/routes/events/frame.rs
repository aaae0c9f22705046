//! Server-sent events on the wire.

use bytes::Bytes;
use proto::events::v1::EventMessage;
use serde::Deserialize;

/// Keeps the connection alive.
pub const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");
/// Ends a stream because the log can't be read now.
pub const INTERRUPTED: Bytes = Bytes::from_static(b": interrupted, reconnect\n\n");
/// Ends a stream because he who listens is another by now: what he may see is found out when he comes again.
pub const CHANGED: Bytes = Bytes::from_static(b": access has changed, reconnect\n\n");
/// Ends a stream because the credential no longer suffices.
pub const DENIED: Bytes = Bytes::from_static(b": credential expired or revoked\n\n");

/// Begins a stream: the client reconnects after so many milliseconds.
pub fn hello(retry: u64) -> Bytes {
    format!("retry: {retry}\n\n").into()
}

/// Ends a stream because we stop; those who come again should not all come at once.
pub fn stopping(retry: u64) -> Bytes {
    format!("retry: {retry}\n: stopping, reconnect\n\n").into()
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
}

/// One message: `id` is its place, `event` its name, `data` its JSON on one line. Of a place without an event clients keep
/// the id and nothing else. A `reset` says that the stream does not go on where it was asked to.
pub fn write(message: &EventMessage, frame: &mut Vec<u8>) {
    let EventMessage { position, event, token, reset } = message;
    let place = if token.is_empty() { position.to_string() } else { token.clone() };
    frame.extend_from_slice(format!("id: {place}\n").as_bytes());
    if !reset.is_empty() {
        let data = serde_json::json!({ "reason": reset });
        frame.extend_from_slice(format!("event: reset\ndata: {data}\n").as_bytes());
    } else if !event.is_empty() {
        let named: Option<Named> = serde_json::from_slice(event).ok();
        let name = named.map_or(std::borrow::Cow::Borrowed("message"), |named| named.name);
        let head = format!("event: {}\ndata: ", name.replace(['\n', '\r'], " "));
        frame.extend_from_slice(head.as_bytes());
        // Line ends stand only between JSON's tokens, never within its strings.
        frame.extend(event.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        frame.push(b'\n');
    }
    frame.push(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::events::v1::EventMessage;

    use super::write;

    fn text(message: &EventMessage) -> String {
        let mut frame = Vec::new();
        write(message, &mut frame);
        String::from_utf8(frame).unwrap()
    }

    #[test]
    fn one_event_is_one_frame() {
        let event = Bytes::from_static(b"{\"name\":\"items.create\",\n\"payload\":{\"a\":\"\\n\"}}");
        let whole = EventMessage { position: 7, event, ..EventMessage::default() };
        let data = "event: items.create\ndata: {\"name\":\"items.create\", \"payload\":{\"a\":\"\\n\"}}\n\n";
        assert_eq!(text(&whole), format!("id: 7\n{data}"));
        let sealed = EventMessage { position: 0, token: "AbC".to_owned(), ..whole.clone() };
        assert_eq!(text(&sealed), format!("id: AbC\n{data}"));
        assert_eq!(text(&EventMessage { event: Bytes::new(), ..sealed.clone() }), "id: AbC\n\n");
        let reset = EventMessage { event: Bytes::new(), reset: "trimmed".to_owned(), ..sealed };
        assert_eq!(text(&reset), "id: AbC\nevent: reset\ndata: {\"reason\":\"trimmed\"}\n\n");
    }
}
