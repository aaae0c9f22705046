//! Values as the language takes them: lists in three forms, and words that mean something.

use std::borrow::Cow;

use model::Error;
use serde_json::Value;

/// Entries of a list of names.
const NAMES_LIMIT: usize = 500;
/// Entries of any list.
pub const LIST_LIMIT: usize = 10_000;

/// The entries of an array or of an index object (`{"0": .., "1": ..}`), in order; `None` for anything else.
///
/// # Errors
/// Too many entries.
pub fn entries<'a>(name: &str, value: &'a Value) -> Result<Option<Vec<&'a Value>>, Error> {
    let list: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => {
            let indexed: Option<Vec<(u64, &Value)>> =
                map.iter().map(|(index, value)| Some((index.parse().ok()?, value))).collect();
            let Some(mut indexed) = indexed.filter(|list| !list.is_empty()) else { return Ok(None) };
            indexed.sort_by_key(|(index, _)| *index);
            indexed.into_iter().map(|(_, value)| value).collect()
        }
        _ => return Ok(None),
    };
    if list.len() > LIST_LIMIT {
        return Err(Error::invalid_query(format!("\"{name}\" has more than {LIST_LIMIT} entries")));
    }
    Ok(Some(list))
}

/// Names from a comma list, an array of comma lists, or an index object. No text at all is no name.
///
/// # Errors
/// Anything else; an empty name.
pub fn names(name: &str, value: &Value) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let refused = || Error::invalid_query(format!("\"{name}\" must be a list of names"));
    match value {
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => split(text, &mut names),
        _ => {
            for entry in entries(name, value)?.ok_or_else(refused)? {
                split(entry.as_str().ok_or_else(refused)?, &mut names);
            }
        }
    }
    named(name, names)
}

/// The same; the entries of an array are whole names.
///
/// # Errors
/// The same.
pub fn whole_names(name: &str, value: &Value) -> Result<Vec<String>, Error> {
    let Value::Array(list) = value else { return names(name, value) };
    let texts = list.iter().map(|entry| entry.as_str().map(|text| text.trim().to_owned()));
    let texts: Option<Vec<String>> = texts.collect();
    named(name, texts.ok_or_else(|| Error::invalid_query(format!("\"{name}\" must be a list of names")))?)
}

fn named(name: &str, names: Vec<String>) -> Result<Vec<String>, Error> {
    if names.len() > NAMES_LIMIT {
        return Err(Error::invalid_query(format!("\"{name}\" has more than {NAMES_LIMIT} entries")));
    }
    match names.iter().position(String::is_empty) {
        Some(at) => Err(Error::invalid_query(format!("\"{name}[{at}]\" is not allowed to be empty"))),
        None => Ok(names),
    }
}

fn split(text: &str, names: &mut Vec<String>) {
    let mut open = 0_usize;
    // A comma between brackets separates arguments.
    let parts = text.split(|c| {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        c == ',' && open == 0
    });
    names.extend(parts.map(|name| name.trim().to_owned()));
}

/// `"true"`, `"false"` and `"null"` mean what they say.
pub fn coerce(value: &Value) -> Cow<'_, Value> {
    match value.as_str() {
        Some("true") => Cow::Owned(Value::Bool(true)),
        Some("false") => Cow::Owned(Value::Bool(false)),
        Some("null") => Cow::Owned(Value::Null),
        _ => Cow::Borrowed(value),
    }
}
