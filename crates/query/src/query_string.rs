//! Query string -> parameters: `filter[a][_eq]=1`, `sort[]=a`, `fields=a,b`, repeated names.
//!
//! Only parameters of the language are looked at, so that a stranger's parameters cost nothing.

use std::borrow::Cow;

use model::Error;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::parameters::is_known;
use crate::values::LIST_LIMIT;

/// Brackets after a name.
const DEPTH_LIMIT: usize = 22;
/// Parameters in all.
const COUNT_LIMIT: usize = 1_000;

/// Parameters by name; bracket forms become objects (index objects too), arrays come from `[]` and repeated names.
pub fn parse(text: &str) -> Result<Map<String, Value>, Error> {
    parse_with(text, &[])
}

/// The same with further parameters that are looked at.
pub fn parse_with(text: &str, further: &[&str]) -> Result<Map<String, Value>, Error> {
    let mut parameters = Map::new();
    for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if count == COUNT_LIMIT {
            return Err(Error::invalid_query("Too many parameters"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name);
        let (root, brackets) = name.split_at(name.find('[').unwrap_or(name.len()));
        if is_known(root) || further.contains(&root) {
            let slot = parameters.entry(root).or_insert(Value::Null);
            put(slot, brackets, decode(value).into_owned(), 0)
                .ok_or_else(|| Error::invalid_query(format!("Parameter \"{name}\" is malformed")))?;
        }
    }
    Ok(parameters)
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Puts a value where the brackets say; `None` when they are malformed or contradict earlier ones.
fn put(slot: &mut Value, brackets: &str, text: String, depth: usize) -> Option<()> {
    if brackets.is_empty() {
        return put_leaf(slot, text);
    }
    let (segment, rest) = brackets.strip_prefix('[')?.split_once(']')?;
    if depth == DEPTH_LIMIT {
        return None;
    }
    let index = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    match slot {
        Value::Array(list) if segment.is_empty() || index => {
            list.push(Value::Null);
            if list.len() > LIST_LIMIT {
                return None;
            }
            put(list.last_mut()?, rest, text, depth + 1)
        }
        Value::Object(map) if !segment.is_empty() => {
            put(map.entry(segment).or_insert(Value::Null), rest, text, depth + 1)
        }
        Value::Null | Value::String(_) if segment.is_empty() => {
            let first = slot.take();
            *slot = Value::Array(if first.is_null() { Vec::new() } else { vec![first] });
            put(slot, brackets, text, depth)
        }
        Value::Null => {
            *slot = Value::Object(Map::new());
            put(slot, brackets, text, depth)
        }
        _ => None,
    }
}

fn put_leaf(slot: &mut Value, text: String) -> Option<()> {
    match slot {
        Value::Null => *slot = Value::String(text),
        Value::String(_) => *slot = Value::Array(vec![slot.take(), Value::String(text)]),
        Value::Array(list) if list.len() < LIST_LIMIT => list.push(Value::String(text)),
        _ => return None,
    }
    Some(())
}
