//! `_json`: conditions on values inside json, by their paths (`{meta: {_json: {"a.b[0]": {_eq: 1}}}}`).

use model::{Error, Filter};
use serde_json::{Map, Value};

use super::{Reader, comparison, members, not_too_deep, unknown};
use crate::path::{Path, inside};

impl Reader {
    /// The value of `_json`: paths with their conditions, which all hold.
    pub(super) fn inside(&mut self, field: &str, value: &Value, depth: usize) -> Result<Filter, Error> {
        let refused = || Error::invalid_query("\"_json\" has to be an object of paths");
        let Path { steps, last, function } = Path::parse(field)?;
        if !steps.is_empty() || function.is_some() || last.scope.is_some() {
            return Err(Error::invalid_query(format!("\"_json\" can't be used on \"{field}\"")));
        }
        let parsed;
        let paths = match value {
            Value::Object(paths) => paths,
            Value::String(text) => {
                parsed = crate::json::parse(text).ok_or_else(refused)?;
                parsed.as_object().ok_or_else(refused)?
            }
            _ => return Err(refused()),
        };
        self.paths(&last.name, None, paths, depth + 1)
    }

    /// All entries of an object hold. Below a path its keys are operators, or lead on.
    fn paths(
        &mut self,
        field: &str,
        path: Option<&str>,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<Filter, Error> {
        not_too_deep(depth)?;
        let mut all = Vec::with_capacity(object.len());
        for (key, value) in object {
            self.count()?;
            all.push(match (key.as_str(), path) {
                ("_and" | "_or", _) => {
                    let parts = members(key, value)?.into_iter();
                    let parts: Result<_, Error> =
                        parts.map(|part| self.paths(field, path, part, depth + 1)).collect();
                    if key == "_and" { Filter::And(parts?) } else { Filter::Or(parts?) }
                }
                (operator, Some(path)) if operator.starts_with('_') => within(field, path, operator, value)?,
                (key, path) => {
                    let path = path.map_or_else(|| key.to_owned(), |path| format!("{path}.{key}"));
                    match value {
                        Value::Object(conditions) => self.paths(field, Some(&path), conditions, depth + 1)?,
                        _ => within(field, &path, "_eq", value)?,
                    }
                }
            });
        }
        if all.len() == 1 { Ok(all.swap_remove(0)) } else { Ok(Filter::And(all)) }
    }
}

fn within(field: &str, path: &str, operator: &str, value: &Value) -> Result<Filter, Error> {
    let (known, value) = comparison(field, operator, value)?;
    if known.takes_object() {
        return Err(unknown(path, operator));
    }
    let function = inside(path)
        .ok_or_else(|| Error::invalid_query(format!("\"{path}\" is no path inside \"{field}\"")))?;
    Ok(Filter::Compare { field: field.to_owned(), function: Some(function), operator: known, value })
}
