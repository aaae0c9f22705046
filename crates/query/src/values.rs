//! Values as the language takes them: lists in three forms, and words that mean something.

use std::borrow::Cow;

use model::Error;
use serde_json::Value;

/// Entries of a list.
pub const LIST_LIMIT: usize = 500;

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

/// Names from a comma list, a JSON array as text, an array of either, or an index object. Empty names are dropped.
///
/// # Errors
/// Anything else.
pub fn names(name: &str, value: &Value) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let refused = || Error::invalid_query(format!("\"{name}\" must be a list of names"));
    match value {
        Value::String(text) if text.trim_start().starts_with('[') => {
            let list: Vec<String> = serde_json::from_str(text).map_err(|_| refused())?;
            list.iter().for_each(|text| split(text, &mut names));
        }
        Value::String(text) => split(text, &mut names),
        _ => {
            for entry in entries(name, value)?.ok_or_else(refused)? {
                split(entry.as_str().ok_or_else(refused)?, &mut names);
            }
        }
    }
    if names.len() > LIST_LIMIT {
        return Err(Error::invalid_query(format!("\"{name}\" has more than {LIST_LIMIT} entries")));
    }
    Ok(names)
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
    names.extend(parts.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
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
