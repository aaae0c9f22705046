//! `as_of`: when items are to be read, by a position of the log or by the clock.

use model::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A moment of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// Behind the event at this position, or where it would stand.
    Position(i64),
    /// Behind the last event that was appended then or before.
    Time(#[serde(with = "time::serde::rfc3339")] OffsetDateTime),
}

impl AsOf {
    /// A whole number is a position; anything else has to be a date, or a date with time (UTC where no zone is named).
    ///
    /// # Errors
    /// `INVALID_QUERY`.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let wrong = || Error::invalid_query("\"as_of\" must be a position of the log or a date (ISO 8601)");
        match value {
            Value::Number(number) => {
                number.as_i64().filter(|at| *at >= 0).map(Self::Position).ok_or_else(wrong)
            }
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map(Self::Position).map_err(|_| wrong())
            }
            Value::String(text) => instant(text.trim()).map(Self::Time).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    // In a query string a plus that was not escaped is a blank.
    let (text, day) = (text.replace(' ', "+"), format_description!("[year]-[month]-[day]"));
    let local = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");
    let utc = OffsetDateTime::parse(&text, &Rfc3339)
        .or_else(|_| PrimitiveDateTime::parse(&text, &local).map(PrimitiveDateTime::assume_utc))
        .or_else(|_| Date::parse(&text, &day).map(|day| day.midnight().assume_utc()))
        .ok()?
        .checked_to_offset(UtcOffset::UTC)?;
    (1..=9999).contains(&utc.year()).then_some(utc)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::AsOf;

    #[test]
    fn positions_and_dates_are_read() {
        let read = |value| AsOf::parse(&value).unwrap();
        assert_eq!(read(json!(7)), AsOf::Position(7));
        assert_eq!(read(json!("0012")), AsOf::Position(12));
        let noon = datetime!(2026-03-01 12:00 UTC);
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01T14:00:00 02:00",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:00.000+00:00",
        ] {
            assert_eq!(read(json!(text)), AsOf::Time(noon), "{text}");
        }
        assert_eq!(read(json!("2026-03-01")), AsOf::Time(datetime!(2026-03-01 0:00 UTC)));
        for bad in [
            json!(-1),
            json!(1.5),
            json!("x"),
            json!("-1"),
            json!("2026-13-01"),
            json!(true),
            json!("99999999999999999999"),
            json!([]),
        ] {
            AsOf::parse(&bad).unwrap_err();
        }
    }
}
