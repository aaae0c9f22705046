//! Versions of the written form of an event, and what leads from each to the next. Pure.
//!
//! What was written once stays readable for ever: each version has golden files (`golden/`), and a test that fails when
//! the written form changes without a new one. A version from the future is not guessed at: its event is kept as far as it
//! can be read, and consumers park it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Event;

/// The version that is written now.
pub const SCHEMA: i16 = 2;

/// The version of what names none: it was written before versions were.
pub(super) fn unnamed() -> i16 {
    1
}

/// The members of a written event, their values as they stand there: numbers keep their digits.
type Members = BTreeMap<String, Box<RawValue>>;

/// What leads from a version to the next, from version 1 on.
const UPCASTERS: [fn(&mut Members); 1] = [first];

const _: () = assert!(UPCASTERS.len() + 1 == SCHEMA as usize, "each version but the newest has an upcaster");

/// Version 1 left out what was not known yet when it was written: its version, whether it is silent, what was erased, and
/// whether its bodies were left out.
fn first(members: &mut Members) {
    for (name, value) in [("oversized", "false"), ("silent", "false"), ("erased", "null")] {
        members.entry(name.to_owned()).or_insert_with(|| raw(value));
    }
}

fn raw(text: &'static str) -> Box<RawValue> {
    // A literal of ours is JSON.
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The JSON Schema of a version.
pub fn schema_of(version: i16) -> Option<&'static str> {
    match version {
        1 => Some(include_str!("../../schema/event-v1.json")),
        2 => Some(include_str!("../../schema/event-v2.json")),
        _ => None,
    }
}

/// Why a written event can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is none.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of a version that this program does not know, and of another form than it could read.
    #[error("its version is {0}, which this program does not know")]
    Newer(i16),
}

/// Reads a written event of any version, as one of the newest.
///
/// One of a newer version whose form can be read nevertheless keeps that version's number: see [`Event::is_newer`].
///
/// # Errors
/// It is no event, or one from the future of another form.
pub fn read(bytes: &[u8]) -> Result<Event, ReadError> {
    // What was written by this version is read once.
    let malformed = match serde_json::from_slice::<Event>(bytes) {
        Ok(event) if event.schema >= SCHEMA => return Ok(event),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let version = version(bytes)?;
    match malformed {
        Some(_) if version > SCHEMA => return Err(ReadError::Newer(version)),
        Some(error) if version == SCHEMA => return Err(error.into()),
        _ => {}
    }
    let mut members: Members = serde_json::from_slice(bytes)?;
    for upcast in UPCASTERS.iter().skip(usize::try_from(version - 1).unwrap_or_default()) {
        upcast(&mut members);
    }
    members.insert("schema".to_owned(), RawValue::from_string(SCHEMA.to_string())?);
    Ok(serde_json::from_slice(&serde_json::to_vec(&members)?)?)
}

/// The version that a written event names.
fn version(bytes: &[u8]) -> Result<i16, serde_json::Error> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default = "unnamed")]
        schema: i16,
    }
    Ok(serde_json::from_slice::<Named>(bytes)?.schema.max(1))
}

#[cfg(test)]
mod tests;
