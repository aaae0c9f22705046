use super::{parse_key, payload_text};
use crate::shape::tests::field;
use model::{ErrorCode, FieldType};
use serde_json::value::RawValue;

fn text(json: &str, kind: FieldType, column: &str) -> Result<Option<String>, ErrorCode> {
    let raw = RawValue::from_string(json.to_owned()).unwrap();
    payload_text(&raw, &field("f", kind, column), "c").map_err(|error| error.code)
}

#[test]
fn nul_is_seen_behind_other_escapes() {
    for (json, nul) in [
        (r#"{"a":"\u0000"}"#, true),
        (r#"{"a":"\\u0000"}"#, false),
        (r#"{"a":"\\\u0000"}"#, true),
        (r#""\u00001""#, true),
        (r#""\u0001 \n \"é""#, false),
        (r#""é\""#, false),
    ] {
        assert_eq!(super::has_nul(json), nul, "{json}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let big = "12345678901234567890.123456789012345678901234567890";
    assert_eq!(text(big, FieldType::Decimal, "numeric"), Ok(Some(big.to_owned())));
    assert_eq!(
        text("9007199254740993", FieldType::BigInteger, "bigint"),
        Ok(Some("9007199254740993".to_owned()))
    );
    assert_eq!(
        text("\"9007199254740993\"", FieldType::BigInteger, "bigint"),
        Ok(Some("9007199254740993".to_owned()))
    );
}

#[test]
fn wrong_types_are_refused_before_any_statement() {
    use ErrorCode::{InvalidPayload, ValueOutOfRange, ValueTooLong};
    for (json, kind, column, code) in [
        ("\"notanumber\"", FieldType::Integer, "integer", InvalidPayload),
        ("1.5", FieldType::Integer, "integer", InvalidPayload),
        ("true", FieldType::Integer, "integer", InvalidPayload),
        ("2147483648", FieldType::Integer, "integer", ValueOutOfRange),
        ("9223372036854775808", FieldType::BigInteger, "bigint", ValueOutOfRange),
        ("1e400000", FieldType::Decimal, "numeric(10,2)", ValueOutOfRange),
        ("\"NaN\"", FieldType::Float, "double precision", InvalidPayload),
        ("\"maybe\"", FieldType::Boolean, "boolean", InvalidPayload),
        ("\"now\"", FieldType::Timestamp, "timestamp with time zone", InvalidPayload),
        ("\"infinity\"", FieldType::Date, "date", InvalidPayload),
        ("12", FieldType::Date, "date", InvalidPayload),
        ("\"x\"", FieldType::Uuid, "uuid", InvalidPayload),
        ("\"a\\u0000b\"", FieldType::Text, "text", InvalidPayload),
        ("\"abcdef\"", FieldType::String, "character varying(5)", ValueTooLong),
    ] {
        assert_eq!(text(json, kind, column), Err(code), "{json} as {kind:?}");
    }
}

#[test]
fn good_values_pass() {
    for (json, kind, column, expected) in [
        (
            "\"2026-01-02T03:04:05Z\"",
            FieldType::Timestamp,
            "timestamp with time zone",
            "2026-01-02T03:04:05Z",
        ),
        ("\"2026-01-02 03:04:05.123+02:00\"", FieldType::Timestamp, "text", "2026-01-02T01:04:05.123Z"),
        ("\"2026-01-02\"", FieldType::Date, "date", "2026-01-02"),
        ("\"03:04:05\"", FieldType::Time, "time without time zone", "03:04:05"),
        ("[\"a\",\"b\"]", FieldType::Csv, "text", "a,b"),
        ("{\"a\": 1}", FieldType::Json, "json", "{\"a\": 1}"),
        ("{\"a\":1}", FieldType::Text, "text", "{\"a\":1}"),
        ("5", FieldType::String, "character varying(5)", "5"),
        ("\"ééééé\"", FieldType::String, "character varying(5)", "ééééé"),
        ("\"1\"", FieldType::Boolean, "boolean", "true"),
    ] {
        assert_eq!(text(json, kind, column), Ok(Some(expected.to_owned())), "{json}");
    }
    assert_eq!(text("null", FieldType::Integer, "integer"), Ok(None));
}

#[test]
fn only_hashes_are_stored_as_hashes() {
    let hash = "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA";
    let json = format!("\"{hash}\"");
    assert_eq!(text(&json, FieldType::Hash, "character varying(255)"), Ok(Some(hash.to_owned())));
    assert_eq!(text("\"x\"", FieldType::Hash, "character varying(255)"), Err(ErrorCode::InvalidPayload));
    let raw = RawValue::from_string(json).unwrap();
    let error = payload_text(&raw, &field("f", FieldType::Hash, "character varying(5)"), "c").unwrap_err();
    assert!(!format!("{error:?}").contains(hash), "{error:?}");
}

#[test]
fn keys_of_the_wrong_type_are_forbidden() {
    let id = field("id", FieldType::Integer, "integer");
    assert_eq!(parse_key("007", &id).unwrap(), "7");
    for bad in ["abc", "", "1.5", "99999999999", "1;drop"] {
        assert_eq!(parse_key(bad, &id).unwrap_err().code, ErrorCode::Forbidden, "{bad}");
    }
    let day = field("id", FieldType::Date, "date");
    assert_eq!(parse_key("2026-01-02", &day).unwrap(), "2026-01-02");
    assert_eq!(parse_key("now", &day).unwrap_err().code, ErrorCode::Forbidden);
    let uuid = field("id", FieldType::Uuid, "uuid");
    assert_eq!(
        parse_key("AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA", &uuid).unwrap(),
        "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
    );
}
