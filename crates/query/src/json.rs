//! JSON text -> value without losing digits: a number that a 64-bit integer or float can't hold stays as text.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// Nesting of arrays and objects; the filter's own limit is lower.
const DEPTH_LIMIT: usize = 32;

/// `None` when the text is not JSON or nested too deeply. Of equal keys the last counts.
pub fn parse(text: &str) -> Option<Value> {
    read(text.trim_matches([' ', '\t', '\r', '\n']), 0)
}

fn read(text: &str, depth: usize) -> Option<Value> {
    if depth > DEPTH_LIMIT {
        return None;
    }
    match text.as_bytes().first()? {
        b'{' => {
            let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let values = entries.into_iter().map(|(name, raw)| Some((name, read(raw.get(), depth + 1)?)));
            values.collect::<Option<_>>().map(Value::Object)
        }
        b'[' => {
            let entries: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let values = entries.into_iter().map(|raw| read(raw.get(), depth + 1));
            values.collect::<Option<_>>().map(Value::Array)
        }
        _ => {
            let value: Value = serde_json::from_str(text).ok()?;
            let shown = value.is_f64().then(|| value.to_string());
            let exact = shown.is_none_or(|shown| shown == text);
            Some(if exact { value } else { Value::String(text.to_owned()) })
        }
    }
}
