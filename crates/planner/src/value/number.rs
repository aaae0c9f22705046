//! Numbers, with every digit: refused here when their column can't hold them.

use model::{Error, Field};

use super::{article, modifier, out_of_range, wrong};
use crate::column::sql_type;

fn bad(field: &Field) -> Error {
    wrong(field, &format!("must be {}", article(field.kind)))
}

pub(super) fn integer(
    text: &str,
    min: i64,
    max: i64,
    field: &Field,
    collection: &str,
) -> Result<String, Error> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad(field));
    }
    match text.parse::<i64>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n.to_string()),
        _ => Err(out_of_range(text, field, collection)),
    }
}

/// Neither what is no number nor what the column would make endless, or nothing, of.
pub(super) fn float(text: &str, field: &Field, collection: &str) -> Result<String, Error> {
    let text = text.trim();
    let number: f64 = text.parse().map_err(|_| bad(field))?;
    // `NaN`, `inf` and `infinity` are read as numbers, too.
    if text.contains(['n', 'N']) {
        return Err(bad(field));
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let nothing = mantissa.bytes().all(|b| !b.is_ascii_digit() || b == b'0');
    let holds = |finite: bool, zero: bool| finite && (nothing || !zero);
    let fits = match sql_type(field) {
        "real" => text.parse::<f32>().is_ok_and(|n| holds(n.is_finite(), n == 0.0)),
        _ => holds(number.is_finite(), number == 0.0),
    };
    if fits { Ok(text.to_owned()) } else { Err(out_of_range(text, field, collection)) }
}

pub(super) fn decimal(text: &str, field: &Field, collection: &str) -> Result<String, Error> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| bad(field))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad(field));
    }
    // PostgreSQL's numeric holds 131,072 digits before the point; a small text must not make a huge number.
    if exponent.abs() > 1000 || text.len() > 2000 || !has_room(whole, fraction, exponent, field) {
        return Err(out_of_range(text, field, collection));
    }
    Ok(text.to_owned())
}

/// The column has room for the digits before the point, once what is behind it is rounded.
fn has_room(whole: &str, fraction: &str, exponent: i32, field: &Field) -> bool {
    let mut parts = modifier(field).unwrap_or_default().split(',').map(|part| part.trim().parse::<usize>());
    let Some(Ok(precision)) = parts.next() else { return true };
    let scale = parts.next().and_then(Result::ok).unwrap_or(0);
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let Some(first) = digits.iter().position(|digit| *digit != b'0') else { return true };
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent));
    let before = point - i64::try_from(first).unwrap_or(i64::MAX);
    let room = i64::try_from(precision.saturating_sub(scale)).unwrap_or(i64::MAX);
    if before != room {
        return before < room;
    }
    // Full to the last digit: nines only give way when they are rounded up.
    let kept = &digits[first..];
    let nines = kept.iter().take(precision).all(|digit| *digit == b'9') && kept.len() > precision;
    !(nines && kept[precision] >= b'5')
}

#[cfg(test)]
mod tests {
    use model::{ErrorCode, FieldType};

    use super::{decimal, float};
    use crate::shape::tests::field;

    #[test]
    fn a_decimal_has_room_or_not() {
        let price = field("price", FieldType::Decimal, "numeric(5,2)");
        for fits in
            ["999.99", "999.994", "-999.99", "0000999.99", "9.9999e2", "0.00001", "1e2", "0e900", " 1 "]
        {
            assert!(decimal(fits, &price, "c").is_ok(), "{fits}");
        }
        for out in ["1000", "999.995", "-999.999", "1e3", "99999e-1", "1e900", "12345.6"] {
            assert_eq!(decimal(out, &price, "c").unwrap_err().code, ErrorCode::ValueOutOfRange, "{out}");
        }
        let free = field("free", FieldType::Decimal, "numeric");
        assert!(decimal("123456789012345678901234567890.5", &free, "c").is_ok());
    }

    #[test]
    fn a_float_is_a_number_with_an_end() {
        let of = |text: &str, column: &str| {
            float(text, &field("f", FieldType::Float, column), "c").map_err(|error| error.code)
        };
        for fits in ["1.5", "-1e30", "0", "0.0e-999", " 7 "] {
            assert_eq!(of(fits, "real"), Ok(fits.trim().to_owned()));
        }
        for out in ["1e400", "-1e400", "1e-400"] {
            assert_eq!(of(out, "double precision"), Err(ErrorCode::ValueOutOfRange), "{out}");
        }
        assert_eq!(of("1e39", "real"), Err(ErrorCode::ValueOutOfRange));
        assert_eq!(of("1e39", "double precision"), Ok("1e39".to_owned()));
        for none in ["NaN", "inf", "-Infinity", "x", ""] {
            assert_eq!(of(none, "real"), Err(ErrorCode::InvalidPayload), "{none}");
        }
    }
}
