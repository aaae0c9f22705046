//! Texts that a reader of YAML would take for something else: they have to be quoted.

/// Words that were booleans in YAML 1.1.
const OLD_BOOLEANS: [&str; 16] =
    ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];
/// Words that mean something.
const WORDS: [&str; 11] =
    ["~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "<<"];

/// The text was something else in YAML 1.1: a boolean, or a number of base 60 (`12:30`).
pub fn was_something_else(text: &str) -> bool {
    OLD_BOOLEANS.contains(&text) || is_base_60(text)
}

/// The text is something else: null, a boolean, a number, a time.
pub fn is_something_else(text: &str) -> bool {
    WORDS.contains(&text) || is_integer(text) || is_float(text) || is_time(text)
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(fits)
}

fn is_spaced_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// `[-+]?[0-9_]+(:[0-9_]+)+(\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let text = unsigned(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.contains(':')
        && whole.split(':').all(|part| all(part, is_spaced_digit))
        && fraction.bytes().all(is_spaced_digit)
}

/// Decimal, `0b`, `0o`, `0x`; digits may be parted by `_`, which stands at neither end.
fn is_integer(text: &str) -> bool {
    let text = unsigned(text);
    let of = |digits: &str, fits: fn(u8) -> bool| {
        all(digits, |byte| byte == b'_' || fits(byte)) && digits.bytes().any(fits) && !digits.ends_with('_')
    };
    if text == "0" {
        return true;
    }
    if let Some(digits) = text.strip_prefix("0b") {
        return of(digits, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return of(digits, |byte| matches!(byte, b'0'..=b'7'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return of(digits, |byte| byte.is_ascii_hexdigit());
    }
    // A leading zero is stepped over before the next letter is looked at.
    let text = text.strip_prefix('0').unwrap_or(text);
    !text.starts_with('_') && of(text, |byte| byte.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let bare = unsigned(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if text.ends_with('_') {
        return false;
    }
    // `.5` has no sign there.
    let text = if bare.starts_with('.') { text } else { bare };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    if exponent.is_some_and(|exponent| !all(unsigned(exponent), |byte| byte.is_ascii_digit())) {
        return false;
    }
    match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, is_spaced_digit),
        Some((whole, fraction)) => is_whole(whole) && fraction.bytes().all(is_spaced_digit),
        None => is_whole(mantissa),
    }
}

/// `[0-9][0-9_]*`
fn is_whole(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(is_spaced_digit)
}

/// A date, or a date with a time: `2024-01-31`, `2024-1-3 4:05:06.7 +01:00`.
fn is_time(text: &str) -> bool {
    let digits = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts = |text: &str, months: usize| {
        let mut parts = text.splitn(3, '-');
        let mut next = |least, most| parts.next().is_some_and(|part| digits(part, least, most));
        next(4, 4) && next(months, 2) && next(months, 2)
    };
    if parts(text, 2) {
        return true;
    }
    let Some(end) = text.find(['T', 't', ' ', '\t']) else { return false };
    let (date, rest) = text.split_at(end);
    let rest = match rest.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None => rest.trim_start_matches([' ', '\t']),
    };
    let end = rest.find(|c: char| !matches!(c, '0'..='9' | ':' | '.')).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.split(':');
    let mut next = |least| clock.next().is_some_and(|part| digits(part, least, 2));
    parts(date, 1)
        && next(1)
        && next(2)
        && next(2)
        && clock.next().is_none()
        && digits(fraction, 0, 99)
        && is_zone(zone)
}

/// Nothing, `Z`, `+1`, `-01:30`, perhaps after blanks.
fn is_zone(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let text = text.trim_start_matches([' ', '\t']);
    let Some(offset) = text.strip_prefix(['+', '-']) else { return text == "Z" };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(hours.len(), 1 | 2) && digits(hours) && minutes.len() == 2 && digits(minutes)
}

#[cfg(test)]
mod tests {
    use super::{is_something_else, was_something_else};

    const MEANT: &str = "null ~ True << 0 5 -5 +1_000 0x1F 0b101 0o17 007 1.5 1. -1e5 1e-5 .5 .5e3 .inf -.INF .nan \
                         2024-01-31 2024-1-3T04:05:06Z 9007199254740993 0.0000";
    const PLAIN: &str = "nUll NaN - + _1 1_ 0x 0xg 0b2 1.2.3 1e -.5 --5 -.nan 2024-1-3 978-0001 2024-01 10:00:00+02 2^53 50% \
                         12345678-1234-4000-8000-000000000000 2024-01-02T03:04:05+00:0";

    #[test]
    fn what_a_reader_would_take_for_something_else() {
        let timed = ["2024-01-02 03:04:05+00", "2024-01-02 3:04:05.123  -01:30"];
        for text in MEANT.split_whitespace().chain(timed) {
            assert!(is_something_else(text), "{text}");
        }
        for text in PLAIN.split_whitespace().chain(["", "2024-01-02 03:04"]) {
            assert!(!is_something_else(text), "{text}");
        }
        for text in ["y", "No", "off", "12:30", "-1:2:3.4", "01:30:01", "1_0:2"] {
            assert!(was_something_else(text), "{text}");
        }
        for text in ["yEs", "nO", "12", "12:", ":30", "10:00:00+02", "1:2.x"] {
            assert!(!was_something_else(text), "{text}");
        }
    }
}
