//! Dates and times as clients write them: the forms of ISO 8601, and nothing that means "now" or "for ever".

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Reads `2024`, `2024-02`, `2024-02-29` or `20240229`, alone or before a time (behind `T` or one blank): `10`, `10:11`,
/// `10:11:12`, with a fraction, with `Z` or an offset. What names no zone is UTC. Nothing for all else, and for days
/// that no calendar has.
pub fn parse_instant(text: &str) -> Option<OffsetDateTime> {
    let (day, rest) = match text.split_once(['T', 't', ' ']) {
        Some((day, rest)) => (day, Some(rest)),
        None => (text, None),
    };
    let day = parse_day(day)?;
    let Some(rest) = rest else { return Some(PrimitiveDateTime::new(day, Time::MIDNIGHT).assume_utc()) };
    let (time, offset) = parse_time(rest)?;
    let local = PrimitiveDateTime::new(day, time);
    local.assume_offset(offset.unwrap_or(UtcOffset::UTC)).checked_to_offset(UtcOffset::UTC)
}

/// Reads a time of day with its offset, as [`parse_instant`] does.
fn parse_time(text: &str) -> Option<(Time, Option<UtcOffset>)> {
    let end = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    if !is_digits(fraction) {
        return None;
    }
    let parts: Option<Vec<u8>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let (hour, minute, second) = match *parts?.as_slice() {
        [hour] => (hour, 0, 0),
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    // Nine digits are what is counted; the rest is less than anybody measures.
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let time = Time::from_hms_nano(hour, minute, second, nanos.parse().ok()?).ok()?;
    Some((time, parse_zone(zone)?))
}

fn parse_zone(zone: &str) -> Option<Option<UtcOffset>> {
    let sign = match zone.as_bytes().first() {
        None => return Some(None),
        Some(b'Z' | b'z') => return (zone.len() == 1).then_some(Some(UtcOffset::UTC)),
        Some(b'-') => -1,
        Some(_) => 1,
    };
    let (hours, minutes) = match zone[1..].split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if zone.len() == 5 && zone.is_ascii() => zone[1..].split_at(2),
        None => (&zone[1..], "00"),
    };
    let (hours, minutes) = (digits::<i8>(hours, 2)?, digits::<i8>(minutes, 2)?);
    if minutes > 59 {
        return None;
    }
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok().map(Some)
}

fn parse_day(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let (year, month, day) = match *parts.as_slice() {
        [whole] if whole.len() == 8 && whole.is_ascii() => (&whole[..4], &whole[4..6], &whole[6..]),
        [year] => (year, "01", "01"),
        [year, month] => (year, month, "01"),
        [year, month, day] => (year, month, day),
        _ => return None,
    };
    let month = Month::try_from(digits::<u8>(month, 2)?).ok()?;
    let year: i32 = digits(year, 4)?;
    // PostgreSQL's calendar has no year 0.
    (year > 0).then(|| Date::from_calendar_date(year, month, digits(day, 2)?).ok())?
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A number of exactly so many digits.
fn digits<N: std::str::FromStr>(text: &str, length: usize) -> Option<N> {
    (text.len() == length && is_digits(text)).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::parse_instant;

    #[test]
    fn forms_of_iso_8601_are_read() {
        for (text, instant) in [
            ("2024", "2024-01-01T00:00:00Z"),
            ("2024-02", "2024-02-01T00:00:00Z"),
            ("20240229", "2024-02-29T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2024-02-29T10", "2024-02-29T10:00:00Z"),
            ("2024-02-29 10:11", "2024-02-29T10:11:00Z"),
            ("2024-02-29T10:11:12.345678Z", "2024-02-29T10:11:12.345678Z"),
            ("2024-02-29T23:30:00-05:00", "2024-03-01T04:30:00Z"),
            ("2024-02-29T10:11:12+02", "2024-02-29T08:11:12Z"),
            ("2024-02-29T10:11:12+0230", "2024-02-29T07:41:12Z"),
        ] {
            let read = parse_instant(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read.format(&Rfc3339).unwrap(), instant, "{text}");
        }
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            "now",
            "infinity",
            "2024-02-30",
            "2024-2-3",
            "2024-13-01",
            "0000-01-01",
            "10000-01-01",
            " 2024-02-29",
            "2024-02-29 ",
            "29.02.2024",
            "2024-02-29T25:00",
            "2024-02-29T10:60",
            "2024-02-29T10:11:12.",
            "2024-02-29T",
            "2024-02-29T10:11+2",
            "2024-02-29T10:11+99:00",
            "2024-02-29T10:11+01:60",
            "2024-02-29T10:11Zx",
            "Feb 29 2024",
            "2024-02-29T10:1é",
            "é0240229",
            "2024-02-29T10:11+é1",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_fail(text in "[0-9TZ:.+é -]{0,30}") {
            let _ = parse_instant(&text);
        }
    }
}
