//! Comparing by order: numbers with numbers, instants with instants, each also given as its text.

use std::cmp::Ordering;

use model::parse_instant;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::Failure;

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => {
            let number: serde_json::Number = text.trim().parse().ok()?;
            Some(Value::Number(number))
        }
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Whole numbers are compared digit by digit, others as floats.
fn compare_numbers(one: &Value, other: &Value) -> Option<Ordering> {
    let whole = |value: &Value| match value {
        Value::Number(number) => number.as_i128(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => float(one)?.partial_cmp(&float(other)?),
    }
}

/// Both are numbers, or texts of numbers, of the same size.
pub(super) fn same_number(one: &Value, other: &Value) -> bool {
    compare_numbers(one, other) == Some(Ordering::Equal)
}

/// An instant: a text of ISO 8601, or milliseconds since 1970.
fn instant(value: &Value) -> Option<OffsetDateTime> {
    match value {
        Value::String(text) => parse_instant(text),
        Value::Number(number) => {
            let milliseconds = number.as_i64().or_else(|| {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "parts of milliseconds are of no account"
                )]
                number.as_f64().map(|number| number as i64)
            })?;
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
        }
        _ => None,
    }
}

/// What is against an order: nothing, if `fits` says yes of the value beside the rule's.
pub(super) fn ordered(
    kind: &'static str,
    subject: &Value,
    value: &Value,
    fits: fn(Ordering) -> bool,
) -> Vec<Failure> {
    let (ordering, wanted) = match (number(value), instant(value)) {
        (Some(number), _) => (compare_numbers(subject, value), number),
        (None, Some(at)) => (instant(subject).map(|subject| subject.cmp(&at)), Value::from(iso(at))),
        // A rule about no order at all fits nothing.
        (None, None) => return vec![Failure::with(kind, value.clone())],
    };
    match ordering {
        Some(ordering) if fits(ordering) => Vec::new(),
        Some(_) => vec![Failure::with(kind, wanted)],
        None => vec![Failure::required()],
    }
}

/// With milliseconds, as instants are shown everywhere.
fn iso(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.format(form).unwrap_or_default()
}

/// A value within a sentence; an instant is spelled out.
pub(super) fn said(value: &Value) -> String {
    let text = super::shown(value);
    let form = format_description!(
        "[weekday repr:short] [month repr:short] [day] [year] [hour]:[minute]:[second] GMT+0000 (Coordinated Universal Time)"
    );
    // Only instants that were made by `iso` end so.
    let at = OffsetDateTime::parse(&text, &Rfc3339).ok().filter(|at| text == iso(*at));
    at.and_then(|at| at.format(form).ok()).unwrap_or(text)
}
