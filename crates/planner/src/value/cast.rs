//! What a payload's value becomes on its way into a column, where its form is not the column's own: dates and times of
//! every zone, words for yes and no, JSON that was sent as text, bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Error, Field, FieldType, parse_instant};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::{article, has_nul, without_blanks, wrong};
use crate::column::sql_type;

/// The text that is stored, where the type decides on it alone; nothing, where a value of this type is taken as it is.
pub(super) fn cast(raw: &RawValue, field: &Field) -> Result<Option<String>, Error> {
    let token = raw.get();
    let text = as_text(token);
    match (field.kind, text) {
        (FieldType::Json, text) => json(token, text, field).map(Some),
        (FieldType::Binary, text) => bytes(token, text, field).map(Some),
        (FieldType::Date | FieldType::DateTime | FieldType::Timestamp, Some(text)) => {
            instant(&text, field).map(Some)
        }
        (FieldType::Boolean, text) => Ok(word(text.as_deref().unwrap_or(token)).map(|yes| flag(yes, field))),
        _ => Ok(None),
    }
}

/// Columns of other types have the digits for it (special `cast-boolean`).
fn flag(yes: bool, field: &Field) -> String {
    match sql_type(field) {
        "boolean" => yes.to_string(),
        _ => u8::from(yes).to_string(),
    }
}

fn as_text(token: &str) -> Option<String> {
    token.starts_with('"').then(|| serde_json::from_str(token).ok())?
}

/// A text is JSON itself: it stands for what it says.
fn json(token: &str, text: Option<String>, field: &Field) -> Result<String, Error> {
    let json = text.as_deref().unwrap_or(token);
    if text.is_some() && serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
        // In a column of texts a text that is no JSON can stand as it is.
        if !sql_type(field).starts_with("json") && !json.contains('\0') {
            return Ok(json.to_owned());
        }
        return Err(wrong(field, "must be JSON; a text within JSON stands in quotes of its own"));
    }
    if has_nul(json) {
        return Err(wrong(field, "can't hold \\u0000"));
    }
    // A column of texts holds what it is given.
    Ok(if sql_type(field).starts_with("json") { json.to_owned() } else { without_blanks(json) })
}

/// Base64, as it is read; or the list of bytes that Directus shows.
fn bytes(token: &str, text: Option<String>, field: &Field) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Buffer {
        data: Vec<u8>,
    }
    let bytes = match text {
        // PostgreSQL breaks its lines.
        Some(text) => STANDARD.decode(text.replace(['\r', '\n'], "")).ok(),
        None => serde_json::from_str::<Buffer>(token).ok().map(|buffer| buffer.data),
    };
    let bytes = bytes.ok_or_else(|| wrong(field, "must be bytes in base64"))?;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Ok(text)
}

/// In the column's own form, at UTC.
fn instant(text: &str, field: &Field) -> Result<String, Error> {
    let at = parse_instant(text).filter(|at| (1..=9999).contains(&at.year()));
    // A column of texts (special `cast-timestamp`) holds what is shown.
    let texts = !["timestamp", "date"].iter().any(|kind| sql_type(field).starts_with(kind));
    let form = match field.kind {
        FieldType::Timestamp if texts => at.and_then(|at| {
            at.format(format_description!(
                "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
            ))
            .ok()
        }),
        FieldType::Date => at.and_then(|at| at.format(format_description!("[year]-[month]-[day]")).ok()),
        // Finer than a second they have nothing, and nothing is rounded up.
        FieldType::DateTime => at.and_then(|at| {
            at.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]")).ok()
        }),
        _ => at.and_then(|at| at.format(&Rfc3339).ok()),
    };
    form.ok_or_else(|| match field.kind {
        FieldType::Date => Error::invalid_payload(format!("Invalid Date format in field \"{}\"", field.name)),
        FieldType::DateTime => {
            Error::invalid_payload(format!("Invalid DateTime format in field \"{}\"", field.name))
        }
        kind => wrong(field, &format!("must be {}", article(kind))),
    })
}

/// PostgreSQL's words for yes and no.
fn word(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" => Some(false),
        _ if begins("true", 1) || begins("yes", 1) => Some(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Some(false),
        _ => None,
    }
}
