use std::time::Duration;

use super::{ConfigError, Env};

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::from_pairs(pairs.iter().copied())
}

#[test]
fn empty_is_not_set() {
    let env = env(&[("A", ""), ("B", "x")]);
    assert_eq!(env.get("A"), Ok(None));
    assert_eq!(env.required("A"), Err(ConfigError::Missing("A".into())));
    assert_eq!(env.required("B"), Ok("x".into()));
    assert_eq!(env.parse("A", 8055_u16), Ok(8055));
}

#[test]
fn files_stand_for_values() {
    let path = std::env::temp_dir().join(format!("eventus-chassis-env-{}", std::process::id()));
    std::fs::write(&path, "s3cret\n").unwrap();
    let file = path.to_str().unwrap();
    assert_eq!(env(&[("SECRET_FILE", file)]).get("SECRET"), Ok(Some("s3cret".into())));
    let both = env(&[("SECRET_FILE", file), ("SECRET", "x")]);
    assert_eq!(both.get("SECRET"), Err(ConfigError::Twice("SECRET".into())));
    std::fs::remove_file(&path).unwrap();
    let missing = env(&[("SECRET_FILE", file)]).get("SECRET").unwrap_err();
    assert!(missing.to_string().starts_with("SECRET_FILE: "), "{missing}");
}

#[test]
fn durations_as_directus_writes_them() {
    let of = |text: &str| env(&[("T", text)]).duration("T", Duration::ZERO);
    for (text, milliseconds) in [
        ("500", 500),
        ("15m", 900_000),
        ("7d", 604_800_000),
        ("1.5h", 5_400_000),
        ("2 days", 172_800_000),
        ("10S", 10_000),
        ("100 ms", 100),
        ("1w", 604_800_000),
        ("0", 0),
    ] {
        assert_eq!(of(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["m", "-1s", "1 fortnight", "1m30s", "1e3", "9999999999999999999999y", "..", "1..2"] {
        assert!(of(text).is_err(), "{text}");
    }
}

#[test]
fn sizes_as_directus_writes_them() {
    let of = |text: &str| env(&[("S", text)]).bytes("S", 0);
    for (text, bytes) in
        [("1mb", 1 << 20), ("512kb", 512 << 10), ("1024", 1024), ("1.5 KB", 1536), ("1GB", 1 << 30)]
    {
        assert_eq!(of(text), Ok(bytes), "{text}");
    }
    for text in ["mb", "-1", "1 mib", "1e30gb", "99999999tb"] {
        assert!(of(text).is_err(), "{text}");
    }
}

#[test]
fn flags_and_lists() {
    let env = env(&[("A", "TRUE"), ("B", "0"), ("C", "yes"), ("L", " a, ,b,"), ("M", "")]);
    assert_eq!(
        (env.flag("A", false), env.flag("B", true), env.flag("X", true)),
        (Ok(true), Ok(false), Ok(true))
    );
    assert!(env.flag("C", false).is_err());
    assert_eq!(env.list("L"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(env.list("M"), Ok(vec![]));
}

#[test]
fn errors_name_the_key_and_never_the_value() {
    let env = env(&[("PORT", "hunter2"), ("TTL", "hunter2"), ("ON", "hunter2"), ("MAX", "hunter2")]);
    for error in [
        env.parse("PORT", 0_u16).unwrap_err(),
        env.duration("TTL", Duration::ZERO).unwrap_err(),
        env.flag("ON", false).unwrap_err(),
        env.bytes("MAX", 0).unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?} {env:?}").contains("hunter2"), "{error}");
    }
    assert_eq!(env.parse("PORT", 0_u16).unwrap_err().to_string(), "PORT is not valid: expected a valid u16");
}

#[test]
fn mistyped_keys_are_known_by_not_being_asked_for() {
    let env = env(&[
        ("EVENTUS_SUBJECT_PREFIX", "x"),
        ("EVENTUS_SUBJCT_PREFIX", "x"),
        ("EVENTUS_TOKEN_FILE", "/nowhere"),
        ("EVENTUS_HOME", "x"),
        ("EVENTUS_BIN", "x"),
        ("EVENTUS_TEST_ANY", "x"),
        ("PATH", "x"),
    ]);
    assert_eq!(env.unknown().len(), 3);
    let clone = env.clone();
    let _ = (clone.get("EVENTUS_SUBJECT_PREFIX"), clone.get("EVENTUS_TOKEN"));
    assert_eq!(env.unknown(), ["EVENTUS_SUBJCT_PREFIX"]);
    assert_eq!(env.refuse_unknown().unwrap_err().to_string(), "unknown settings: EVENTUS_SUBJCT_PREFIX");
}
