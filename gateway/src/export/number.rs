//! Numbers as JavaScript writes them, where that says the same; else as they are: no digit is lost.

use std::borrow::Cow;

/// Most digits before the point that are written without an exponent.
const PLAIN_DIGITS: i32 = 21;
/// Most zeros after the point that are written without an exponent.
const PLAIN_ZEROS: i32 = 6;

/// A decimal: `0.digits * 10^exponent`, digits without zeros at either end.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i32,
}

/// `1E400` and the like are left as they are: `None`.
fn decimal(text: &str) -> Option<Decimal> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let exponent = exponent.checked_add(i32::try_from(whole.len()).ok()?)?;
    let exponent = exponent.checked_sub(i32::try_from(leading).ok()?)?;
    Some(Decimal { negative, digits: digits.trim_matches('0').to_owned(), exponent })
}

/// The text of a number of JSON.
pub fn shown(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    if plain && text.len() < 16 && (text.len() == 1 || !text.starts_with('0')) {
        return Cow::Borrowed(text);
    }
    let double = text.parse::<f64>().ok().filter(|double| double.is_finite() && *double != 0.0);
    let shortest = double.and_then(|double| decimal(&format!("{double:e}")));
    match shortest {
        // What JavaScript would make of it has the same value.
        Some(shortest) if decimal(text).is_some_and(|exact| exact == shortest) => {
            Cow::Owned(written(&shortest))
        }
        _ => Cow::Borrowed(text),
    }
}

/// As `Number.prototype.toString` does.
fn written(decimal: &Decimal) -> String {
    let Decimal { negative, digits, exponent } = decimal;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let sign = if *negative { "-" } else { "" };
    if (count..=PLAIN_DIGITS).contains(exponent) {
        return format!("{sign}{digits}{}", zeros(exponent - count));
    }
    if (1..=PLAIN_DIGITS).contains(exponent) {
        // Between 1 and `count` here, or the branch above would have it.
        let (whole, fraction) = digits.split_at(usize::try_from(*exponent).unwrap_or_default());
        return format!("{sign}{whole}.{fraction}");
    }
    if (-PLAIN_ZEROS < *exponent) && *exponent <= 0 {
        return format!("{sign}0.{}{digits}", zeros(-exponent));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{:+}", exponent - 1)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn as_javascript_does_where_it_loses_nothing() {
        for (text, expected) in [
            ("0", "0"),
            ("-5", "-5"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("1e15", "1000000000000000"),
            ("1e+15", "1000000000000000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1e+30", "1e+30"),
            ("-1.25e30", "-1.25e+30"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.17e-38", "1.17e-38"),
            ("1e-10", "1e-10"),
            ("123456.79", "123456.79"),
            ("9007199254740992", "9007199254740992"),
            ("100000000000000000000000", "1e+23"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for exact in
            ["9007199254740993", "0.1000000000000000055511151231257827", "1e400", "12345678901234567890.5"]
        {
            assert_eq!(shown(exact), exact);
        }
    }
}
