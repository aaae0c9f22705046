//! A client's value -> the text that PostgreSQL reads as the column's type, refused here when it can't be one.

use std::borrow::Cow;

use model::{Error, ErrorCode, Field, FieldType};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::column::sql_type;
use crate::geometry;

mod cast;
mod number;

/// A checked primary key, as PostgreSQL prints it.
pub type KeyText = String;

/// Checks the text of a key against the type of the key field. 403 when it can't be one: a malformed key and a
/// missing item are not told apart.
pub fn parse_key(text: &str, field: &Field) -> Result<KeyText, Error> {
    let forbidden = |_| Error::forbidden();
    match field.kind {
        FieldType::Integer => text.parse::<i32>().map(|n| n.to_string()).map_err(|_| Error::forbidden()),
        FieldType::BigInteger => text.parse::<i64>().map(|n| n.to_string()).map_err(|_| Error::forbidden()),
        FieldType::Uuid => uuid::Uuid::parse_str(text).map(|id| id.to_string()).map_err(forbidden),
        _ if text.contains('\0') || text.is_empty() => Err(Error::forbidden()),
        FieldType::String | FieldType::Text | FieldType::Csv | FieldType::Unknown => Ok(text.to_owned()),
        kind => scalar_text(text, false, kind, field, "").map_err(|_| Error::forbidden()),
    }
}

/// Holds JSON's escape of NUL: PostgreSQL stores it as `json` and can never take it apart again.
pub fn has_nul(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest.as_bytes()[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        // The escaped letter is passed over: a backslash may be one. What follows it begins at a boundary.
        let step = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[at + 1 + step..];
    }
    false
}

/// A value of a payload as text; `None` is null.
pub(crate) fn payload_text(raw: &RawValue, field: &Field, collection: &str) -> Result<Option<String>, Error> {
    if raw.get() == "null" {
        return Ok(None);
    }
    if matches!(field.kind, FieldType::Geometry(_)) {
        return geometry::payload_text(raw, field).map(Some);
    }
    let text = match cast::cast(raw, field)? {
        Some(text) => check_length(&text, field, collection).map(|()| Some(text)),
        None => value_text(raw, field, collection),
    };
    text.map_err(|error| as_sent(error, raw))
}

/// Names the value in the form in which it came.
fn as_sent(mut error: Error, raw: &RawValue) -> Error {
    if let (Some(named), Some(sent)) = (error.extensions.get_mut("value"), query::parse_json(raw.get())) {
        *named = sent;
    }
    error
}

/// A value as the text of its type, without the forms that payloads may have.
fn value_text(raw: &RawValue, field: &Field, collection: &str) -> Result<Option<String>, Error> {
    let token = raw.get();
    if token == "null" {
        return Ok(None);
    }
    if field.kind == FieldType::Json {
        if has_nul(token) {
            return Err(wrong(field, "can't hold \\u0000"));
        }
        return Ok(Some(token.to_owned()));
    }
    let value: Value = match token.as_bytes().first() {
        // A number keeps its digits: it never becomes a float here.
        Some(b'-' | b'0'..=b'9') => Value::String(token.to_owned()),
        Some(b'[') if field.kind == FieldType::Csv => return csv_text(token, field).map(Some),
        // Objects and arrays in other fields are stored as their JSON text.
        Some(b'{' | b'[') => Value::String(without_blanks(token)),
        _ => serde_json::from_str(token).map_err(|_| wrong(field, "is not valid JSON"))?,
    };
    let number = matches!(token.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    let text = match (&value, field.kind) {
        (Value::Bool(b), FieldType::Boolean | FieldType::String | FieldType::Text | FieldType::Csv) => {
            b.to_string()
        }
        (Value::String(text), kind) => scalar_text(text, number, kind, field, collection)?,
        _ => return Err(wrong(field, &format!("must be {}", article(field.kind)))),
    };
    check_length(&text, field, collection)?;
    Ok(Some(text))
}

/// JSON without what stands between its parts.
fn without_blanks(json: &str) -> String {
    let (mut text, mut escaped) = (false, false);
    let stays = |c: &char| {
        let stays = text || !c.is_ascii_whitespace();
        match c {
            '"' if !escaped => text = !text,
            _ => {}
        }
        escaped = text && *c == '\\' && !escaped;
        stays
    };
    json.chars().filter(stays).collect()
}

fn scalar_text(
    text: &str,
    number: bool,
    kind: FieldType,
    field: &Field,
    collection: &str,
) -> Result<String, Error> {
    let bad = || wrong(field, &format!("must be {}", article(kind)));
    match kind {
        FieldType::String | FieldType::Text | FieldType::Csv | FieldType::Unknown | FieldType::Json => {
            if text.contains('\0') {
                return Err(wrong(field, "must not hold NUL"));
            }
            Ok(text.to_owned())
        }
        FieldType::Integer => {
            number::integer(text, i64::from(i32::MIN), i64::from(i32::MAX), field, collection)
        }
        FieldType::BigInteger => number::integer(text, i64::MIN, i64::MAX, field, collection),
        FieldType::Float => number::float(text, field, collection),
        FieldType::Decimal => number::decimal(text, field, collection),
        FieldType::Boolean => match text {
            "true" | "1" => Ok("true".to_owned()),
            "false" | "0" => Ok("false".to_owned()),
            _ => Err(bad()),
        },
        FieldType::Uuid => uuid::Uuid::parse_str(text).map(|id| id.to_string()).map_err(|_| bad()),
        FieldType::Date | FieldType::DateTime | FieldType::Timestamp | FieldType::Time => {
            let text = text.trim();
            if number || !looks_temporal(text, kind) {
                return Err(bad());
            }
            Ok(text.to_owned())
        }
        // What is no hash here was not hashed on its way: it must not be stored.
        FieldType::Hash if text.starts_with("$argon2") => Ok(text.to_owned()),
        FieldType::Hash | FieldType::Binary => Err(wrong(field, "can't be written as it is")),
        FieldType::Alias | FieldType::Geometry(_) => Err(bad()),
    }
}

fn csv_text(token: &str, field: &Field) -> Result<String, Error> {
    let parts: Vec<Value> =
        serde_json::from_str(token).map_err(|_| wrong(field, "must be a list of texts"))?;
    let texts: Result<Vec<String>, Error> = parts
        .into_iter()
        .map(|part| match part {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(b) => Ok(b.to_string()),
            Value::Null => Ok(String::new()),
            _ => Err(wrong(field, "must be a list of texts")),
        })
        .collect();
    let joined = texts?.join(",");
    if joined.contains('\0') { Err(wrong(field, "must not hold NUL")) } else { Ok(joined) }
}

/// ISO 8601 in shape only: what PostgreSQL reads further (`now`, `infinity`) never passes, an impossible day is
/// left to PostgreSQL to refuse.
fn looks_temporal(text: &str, kind: FieldType) -> bool {
    let (date, time) = match kind {
        FieldType::Time => (None, Some(text)),
        _ => match text.split_once(['T', ' ']) {
            Some((date, time)) => (Some(date), Some(time)),
            None => (Some(text), None),
        },
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let date_fits = |date: &str| {
        let parts: Vec<&str> = date.split('-').collect();
        matches!(parts.as_slice(), [y, m, d] if y.len() == 4 && m.len() <= 2 && d.len() <= 2
            && digits(y) && digits(m) && digits(d))
    };
    let time_fits = |time: &str| {
        let clock = time.split(['Z', 'z', '+', '-']).next().unwrap_or_default();
        let zone = &time[clock.len()..];
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let parts: Vec<&str> = clock.split(':').collect();
        (2..=3).contains(&parts.len())
            && parts.iter().zip([24, 59, 60]).all(|(part, most)| {
                part.len() == 2 && digits(part) && part.parse::<u8>().is_ok_and(|n| n <= most)
            })
            && digits(fraction)
            && fraction.len() <= 9
            && (zone.is_empty()
                || matches!(zone, "Z" | "z")
                || (zone.len() <= 6 && digits(&zone[1..].replacen(':', "", 1))))
    };
    date.is_none_or(date_fits) && time.is_none_or(time_fits)
}

fn check_length(text: &str, field: &Field, collection: &str) -> Result<(), Error> {
    if sql_type(field) != "character varying" && sql_type(field) != "bpchar" {
        return Ok(());
    }
    let Some(max) = modifier(field).and_then(|inner| inner.parse::<usize>().ok()) else { return Ok(()) };
    if text.len() > max && text.chars().count() > max {
        return Err(of_value(ErrorCode::ValueTooLong, "is too long", text, field, collection));
    }
    Ok(())
}

/// What stands in the brackets of the declared type: `255`, `10,2`.
fn modifier(field: &Field) -> Option<&str> {
    field.column_type.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner)
}

fn out_of_range(text: &str, field: &Field, collection: &str) -> Error {
    let mut error = of_value(ErrorCode::ValueOutOfRange, "is out of range", text, field, collection);
    if let Some(rest) = error.message.strip_prefix("Value ") {
        error.message = format!("Numeric value {rest}");
    }
    error
}

fn of_value(code: ErrorCode, what: &str, text: &str, field: &Field, collection: &str) -> Error {
    let name = &field.name;
    if field.is_concealed() {
        return Error::new(code)
            .with_message(format!("The value for field \"{name}\" in collection \"{collection}\" {what}."))
            .with("collection", collection)
            .with("field", name.as_str());
    }
    Error::new(code)
        .with_message(format!("Value \"{text}\" for field \"{name}\" in collection \"{collection}\" {what}."))
        .with("collection", collection)
        .with("field", name.as_str())
        .with("value", text)
}

fn wrong(field: &Field, what: &str) -> Error {
    Error::invalid_payload(format!("\"{}\" {what}", field.name)).with("field", field.name.as_str())
}

fn article(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Integer => "an integer",
        FieldType::BigInteger => "an integer of at most 64 bits",
        FieldType::Float | FieldType::Decimal => "a number",
        FieldType::Boolean => "a boolean",
        FieldType::Uuid => "a uuid",
        FieldType::Date => "a date (YYYY-MM-DD)",
        FieldType::Time => "a time (HH:MM:SS)",
        FieldType::DateTime | FieldType::Timestamp => "a date with time (ISO 8601)",
        _ => "a text",
    }
}

/// A value of a filter as text, checked by the field's type. 400 INVALID_QUERY when it can't be one.
pub(crate) fn filter_text(value: &Value, field: &Field) -> Result<String, Error> {
    let raw = serde_json::value::to_raw_value(&*asked_number(value, field.kind))
        .map_err(|_| Error::invalid_query("filter value is not JSON"))?;
    let mut plain = field.clone();
    // A filter compares; the column's length does not limit what may be asked, nor do its digits.
    let limited = |(head, _): &(&str, &str)| head.starts_with("char") || *head == "numeric";
    if let Some((head, _)) = field.column_type.split_once('(').filter(limited) {
        plain.column_type = head.to_owned();
    }
    match value_text(&raw, &plain, "") {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(Error::invalid_query(format!("\"{}\" can't be compared with null", field.name))),
        Err(error) => {
            let reason = error.extensions.get("reason").and_then(Value::as_str).map(str::to_owned);
            Err(Error::invalid_query(
                reason.unwrap_or_else(|| format!("\"{}\" has a value out of range", field.name)),
            ))
        }
    }
}

/// Of a number's text blanks around it don't count, nor does the fraction of a whole one.
fn asked_number(value: &Value, kind: FieldType) -> Cow<'_, Value> {
    let text = match (value, kind) {
        (
            Value::String(text),
            FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal,
        ) => text.trim().to_owned(),
        (Value::Number(number), FieldType::Integer) => number.to_string(),
        _ => return Cow::Borrowed(value),
    };
    let whole = text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|b| b == b'0'));
    Cow::Owned(Value::String(match whole {
        Some((whole, _)) if kind == FieldType::Integer => whole.to_owned(),
        _ => text,
    }))
}

#[cfg(test)]
mod tests;
