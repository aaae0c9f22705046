//! The golden files: every version that was ever written, and that the present one is written as it says.

use serde_json::{Map, Value};

use super::{Event, ReadError, SCHEMA, read, schema_of};

/// Each version's files, oldest first.
const GOLDEN: [(i16, &[&str]); 2] = [
    (
        1,
        &[
            include_str!("../../../golden/event-v1-before-silent.json"),
            include_str!("../../../golden/event-v1-create.json"),
            include_str!("../../../golden/event-v1-oversized.json"),
        ],
    ),
    (
        2,
        &[
            include_str!("../../../golden/event-v2-create.json"),
            include_str!("../../../golden/event-v2-update.json"),
            include_str!("../../../golden/event-v2-erased.json"),
        ],
    ),
];

fn written(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

/// Should this fail, the written form has changed: raise `SCHEMA`, write an upcaster, keep these files and add new ones.
#[test]
fn the_present_version_is_written_as_its_golden_files_say() {
    let (version, files) = GOLDEN[GOLDEN.len() - 1];
    assert_eq!(version, SCHEMA);
    for text in files {
        assert_eq!(written(&read(text.trim().as_bytes()).unwrap()), text.trim());
    }
}

#[test]
fn every_version_is_read_and_becomes_the_newest() {
    for (version, files) in GOLDEN {
        for text in files {
            let event = read(text.as_bytes()).unwrap();
            assert_eq!(event.schema, SCHEMA, "version {version}: {text}");
            // What is in it once stays in it, to the digit.
            let again = read(written(&event).as_bytes()).unwrap();
            assert_eq!(written(&again), written(&event));
        }
    }
}

#[test]
fn the_first_version_gets_what_it_did_not_know() {
    let [old, create, oversized] = GOLDEN[0].1 else { panic!("three files") };
    let old = read(old.as_bytes()).unwrap();
    assert!(!old.silent && !old.oversized && old.erased.is_none());
    assert_eq!(old.payload.unwrap().get(), r#"{"price":12345678901234567890.10}"#);
    let create = read(create.as_bytes()).unwrap();
    assert!(create.silent);
    assert_eq!((create.position, create.version, create.key.as_str()), (4711, 1, "7"));
    assert!(read(oversized.as_bytes()).unwrap().oversized);
}

#[test]
fn the_future_is_not_guessed_at() {
    let newest = GOLDEN[1].1[0].trim();
    let future = format!("\"schema\":{},", SCHEMA + 1);
    let readable =
        newest.replace("\"schema\":2,", &future).replace("\"depth\":0", "\"depth\":0,\"mood\":\"good\"");
    let event = read(readable.as_bytes()).unwrap();
    assert!(event.is_newer() && event.schema == SCHEMA + 1);
    let strange = newest.replace("\"schema\":2,", &future).replace("\"key\":\"7\"", "\"key\":[7]");
    assert!(matches!(read(strange.as_bytes()), Err(ReadError::Newer(version)) if version == SCHEMA + 1));
    let broken = newest.replace("\"key\":\"7\"", "\"key\":[7]");
    assert!(matches!(read(broken.as_bytes()), Err(ReadError::Malformed(_))));
    assert!(read(b"{}").is_err() && read(b"[]").is_err() && read(b"").is_err());
}

/// Every golden file is what the schema of its version says: the members, and the types of their values.
#[test]
fn golden_files_are_as_their_schema_says() {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    for (version, files) in GOLDEN {
        let schema: Value = serde_json::from_str(schema_of(version).unwrap()).unwrap();
        let (properties, required) = (&schema["properties"], schema["required"].as_array().unwrap());
        for text in files {
            let event: Map<String, Value> = serde_json::from_str(text).unwrap();
            assert!(required.iter().all(|name| event.contains_key(name.as_str().unwrap())), "{text}");
            for (name, value) in event {
                let property = &properties[&name];
                let types =
                    property["type"].as_array().cloned().unwrap_or_else(|| vec![property["type"].clone()]);
                let fits = property["const"] == value || types.iter().any(|found| found == kind(&value));
                assert!(fits, "{name}: {value} is not {property}");
            }
        }
    }
    assert_eq!(schema_of(SCHEMA + 1), None);
}
