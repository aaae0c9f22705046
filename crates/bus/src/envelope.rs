//! An event as a NATS message: CloudEvents 1.0 in binary mode, and back.
//!
//! The headers are for subscribers that never heard of Eventus; we ourselves read the body.

use async_nats::HeaderMap;
use async_nats::header::{IntoHeaderValue, NATS_MESSAGE_ID};
use bytes::Bytes;
use model::{Event, EventName, TraceParent};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::topology::MAX_MESSAGE;
use crate::{Error, subject};

/// What a header value may not hold, by CloudEvents' HTTP rule: outside of U+0021 to U+007E, `"` and `%`.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// `NATS/1.0`, line ends, and what the publisher adds: `Nats-Expected-Last-Sequence` with 20 digits.
const FRAME: usize = 10 + 2 + "Nats-Expected-Last-Sequence: 18446744073709551615\r\n".len();

/// A message ready to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to.
    pub subject: String,
    /// CloudEvents attributes and the message id.
    pub headers: HeaderMap,
    /// JSON of [`Event`].
    pub body: Bytes,
}

/// What the headers of a stored message say about its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `ce-id`.
    pub id: Uuid,
    /// `ce-sequence`.
    pub position: i64,
    /// `ce-source`.
    pub source: String,
}

/// `ce-source` of a log: a reset of the relay begins a new epoch.
pub fn source(epoch: Uuid) -> String {
    format!("/eventus/{epoch}")
}

/// An event as a message. If it would exceed [`MAX_MESSAGE`], its bodies are left out: `oversized` is set and
/// `ce-dataref` names the place where they are.
pub fn encode(prefix: &str, source: &str, event: &Event) -> Result<Message, Error> {
    let subject = subject(prefix, event);
    let mut headers = headers(source, event)?;
    let room = MAX_MESSAGE - FRAME - headers_len(&headers);
    // Serialising first what can't fit anyway is not worth it.
    let bodies =
        [&event.payload, &event.previous].into_iter().flatten().map(|body| body.get().len()).sum::<usize>();
    if !event.oversized && bodies <= room {
        let body = json(event)?;
        if body.len() <= room {
            return Ok(Message { subject, headers, body });
        }
    }
    headers.insert("ce-dataref", format!("/events/{}", event.position));
    let mut slim = Event { payload: None, previous: None, oversized: true, ..event.clone() };
    let room = MAX_MESSAGE.saturating_sub(FRAME + headers_len(&headers));
    let mut body = json(&slim)?;
    if body.len() > room {
        slim.fields = None;
        body = json(&slim)?;
    }
    Ok(Message { subject, headers, body })
}

/// The event in a message's body.
pub fn decode(body: &[u8]) -> Result<Event, Error> {
    model::read_event(body).map_err(|error| Error::Envelope(error.to_string()))
}

/// What the headers alone say of an event that this program can't read because it is of a newer version.
pub fn outline(headers: &HeaderMap, schema: i16) -> Result<Event, Error> {
    let Place { id, position, .. } = place(headers)?;
    let value = |name: &str| headers.get(name).map(|value| value.as_str());
    let named = value("ce-type").and_then(EventName::parse);
    let name = named.ok_or_else(|| Error::Envelope("ce-type is no name of an event".to_owned()))?;
    let time = value("ce-time").and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    let key = value("ce-subject").unwrap_or_default();
    Ok(Event {
        schema,
        position,
        id,
        name,
        collection: String::new(),
        key: percent_decode_str(key).decode_utf8_lossy().into_owned(),
        version: 0,
        payload: None,
        previous: None,
        oversized: false,
        fields: None,
        user: None,
        role: None,
        request_id: None,
        traceparent: value("traceparent").and_then(TraceParent::parse),
        causation_id: None,
        depth: 0,
        batch_id: None,
        batch_index: 0,
        silent: value("ce-silent") == Some("true"),
        erased: None,
        time: time.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    })
}

/// Where a stored message stands in the log, by its headers.
pub fn place(headers: &HeaderMap) -> Result<Place, Error> {
    let value = |name: &str| {
        headers.get(name).map(|value| value.as_str()).ok_or_else(|| Error::Envelope(format!("no {name}")))
    };
    let id = Uuid::parse_str(value("ce-id")?).map_err(|_| Error::Envelope("ce-id is no UUID".to_owned()))?;
    let position = value("ce-sequence")?.parse();
    let position = position.map_err(|_| Error::Envelope("ce-sequence is no number".to_owned()))?;
    let source = percent_decode_str(value("ce-source")?).decode_utf8_lossy().into_owned();
    Ok(Place { id, position, source })
}

fn headers(source: &str, event: &Event) -> Result<HeaderMap, Error> {
    let time = event.time.format(&Rfc3339).map_err(|error| Error::Envelope(error.to_string()))?;
    let id = event.id.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, id.as_str());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id);
    headers.insert("ce-type", event.name.as_str());
    headers.insert("ce-source", value(source));
    if !event.key.is_empty() {
        headers.insert("ce-subject", value(&event.key));
    }
    headers.insert("ce-time", time);
    headers.insert("ce-sequence", event.position.to_string());
    headers.insert("ce-datacontenttype", "application/json");
    headers.insert("ce-dataschema", format!("/server/specs/events/{}", event.schema));
    if event.silent {
        headers.insert("ce-silent", "true");
    }
    if let Some(parent) = event.traceparent.as_ref().map(TraceParent::as_str) {
        headers.insert("traceparent", parent);
    }
    Ok(headers)
}

/// A header's value: percent-encoded, upper-case hex.
fn value(text: &str) -> async_nats::HeaderValue {
    let encoded: std::borrow::Cow<'_, str> = utf8_percent_encode(text, VALUE).into();
    encoded.as_ref().into_header_value()
}

fn headers_len(headers: &HeaderMap) -> usize {
    let line = |name: &async_nats::HeaderName, value: &async_nats::HeaderValue| {
        let name: &str = name.as_ref();
        name.len() + ": ".len() + value.as_str().len() + "\r\n".len()
    };
    headers.iter().flat_map(|(name, values)| values.iter().map(move |value| line(name, value))).sum()
}

fn json(event: &Event) -> Result<Bytes, Error> {
    let bytes = serde_json::to_vec(event).map_err(|error| Error::Envelope(error.to_string()))?;
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests;
