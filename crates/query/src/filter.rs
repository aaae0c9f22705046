//! The filter grammar: objects of conditions -> [`Filter`].
//!
//! Several keys hold together; `_and`/`_or` take lists; a bare value means `_eq`; logic may also stand below a
//! field (`{price: {_or: [{_lt: 1}, {_gt: 9}]}}`).

use model::{Error, Filter, Operator};
use serde_json::{Map, Value};

use crate::json;
use crate::values::{check_field, coerce, entries};
use crate::variables;

/// Objects within objects.
const DEPTH_LIMIT: usize = 10;
/// Conditions and groups in all.
const NODE_LIMIT: usize = 100;

/// Operators of the original that ours do not include yet.
const LATER: [&str; 22] = [
    "_ieq",
    "_nieq",
    "_between",
    "_nbetween",
    "_empty",
    "_nempty",
    "_ncontains",
    "_icontains",
    "_nicontains",
    "_starts_with",
    "_nstarts_with",
    "_istarts_with",
    "_nistarts_with",
    "_ends_with",
    "_nends_with",
    "_iends_with",
    "_niends_with",
    "_json",
    "_some",
    "_none",
    "_submitted",
    "_regex",
];

/// The filter that an object describes.
///
/// # Errors
/// `INVALID_QUERY` with a reason.
pub fn read(object: &Map<String, Value>) -> Result<Filter, Error> {
    Reader { nodes: 0 }.group(None, object, 1)
}

struct Reader {
    nodes: usize,
}

impl Reader {
    /// All entries of an object hold. Below a field its keys are operators, else they are fields.
    fn group(
        &mut self,
        field: Option<&str>,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<Filter, Error> {
        if depth > DEPTH_LIMIT {
            return Err(Error::invalid_query(format!(
                "\"filter\" is nested deeper than {DEPTH_LIMIT} levels"
            )));
        }
        let mut all = Vec::with_capacity(object.len());
        for (key, value) in object {
            all.push(match (key.as_str(), field) {
                ("_and", _) => Filter::And(self.list(field, key, value, depth)?),
                ("_or", _) => Filter::Or(self.list(field, key, value, depth)?),
                (_, Some(field)) => compare(field, key, value)?,
                (_, None) => self.field(key, value, depth)?,
            });
            self.count()?;
        }
        if all.len() != 1 {
            self.count()?;
            return Ok(Filter::And(all));
        }
        Ok(all.swap_remove(0))
    }

    fn list(
        &mut self,
        field: Option<&str>,
        key: &str,
        value: &Value,
        depth: usize,
    ) -> Result<Vec<Filter>, Error> {
        let refused = || Error::invalid_query(format!("\"{key}\" must be an array of objects"));
        let members = match value {
            Value::Object(map) if map.is_empty() => Vec::new(),
            _ => entries(key, value)?.ok_or_else(refused)?,
        };
        members
            .into_iter()
            .map(|member| self.group(field, member.as_object().ok_or_else(refused)?, depth + 1))
            .collect()
    }

    fn field(&mut self, name: &str, value: &Value, depth: usize) -> Result<Filter, Error> {
        check_field(name)?;
        match value {
            Value::Object(conditions) => self.group(Some(name), conditions, depth + 1),
            _ => compare(name, "_eq", value),
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            return Err(Error::invalid_query(format!("\"filter\" has more than {NODE_LIMIT} conditions")));
        }
        Ok(())
    }
}

fn compare(field: &str, name: &str, value: &Value) -> Result<Filter, Error> {
    let Some(operator) = Operator::parse(name) else { return Err(unknown(field, name)) };
    let (operator, value) = match operator {
        Operator::In | Operator::Nin => (operator, list_value(name, value)?),
        Operator::Null | Operator::Nnull => (operator, flag(name, value)?),
        Operator::Intersects | Operator::Nintersects | Operator::IntersectsBox | Operator::NintersectsBox => {
            (operator, geometry(name, value)?)
        }
        // A part of a text: `true` and `null` are letters here.
        Operator::Contains if value.as_str().is_some_and(|text| !text.is_empty()) => {
            variables::refuse(value.as_str().unwrap_or_default())?;
            (operator, value.clone())
        }
        _ => match (operator, scalar(name, value)?) {
            // Nothing equals null; who asks this wants to know whether there is a value.
            (Operator::Eq, Value::Null) => (Operator::Null, Value::Bool(true)),
            (Operator::Neq, Value::Null) => (Operator::Nnull, Value::Bool(true)),
            (_, Value::Null) => return Err(not_scalar(name)),
            other => other,
        },
    };
    Ok(Filter::Compare { field: field.to_owned(), operator, value })
}

fn unknown(field: &str, name: &str) -> Error {
    Error::invalid_query(if LATER.contains(&name) {
        format!("Filter operator \"{name}\" is not supported yet")
    } else if name.starts_with('_') {
        format!("Field \"{field}\" does not contain the \"{name}\" filter operator")
    } else {
        format!("Relational path \"{field}.{name}\" is not supported yet")
    })
}

fn not_scalar(name: &str) -> Error {
    Error::invalid_query(format!("The filter value for \"{name}\" has to be a string, number, or boolean"))
}

fn scalar(name: &str, value: &Value) -> Result<Value, Error> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(not_scalar(name)),
        Value::String(text) if text.is_empty() => {
            Err(Error::invalid_query(format!("The filter value for \"{name}\" is empty")))
        }
        Value::String(text) => {
            variables::refuse(text)?;
            Ok(coerce(value).into_owned())
        }
        _ => Ok(value.clone()),
    }
}

/// GeoJSON, as an object or as its text.
fn geometry(name: &str, value: &Value) -> Result<Value, Error> {
    let read = match value {
        Value::String(text) => json::parse(text).unwrap_or_default(),
        other => other.clone(),
    };
    if read.is_object() {
        return Ok(read);
    }
    Err(Error::invalid_query(format!("\"{name}\" has to be a valid GeoJSON object")))
}

fn list_value(name: &str, value: &Value) -> Result<Value, Error> {
    let list = match value {
        Value::String(text) if !text.is_empty() => {
            let parts: Vec<Value> = text.split(',').map(Value::from).collect();
            return list_value(name, &Value::Array(parts));
        }
        Value::Object(map) if map.is_empty() => Vec::new(),
        Value::Number(_) | Value::Bool(_) | Value::String(_) => vec![value],
        _ => {
            let refused = || {
                Error::invalid_query(format!("The filter value for \"{name}\" has to be an array of values"))
            };
            entries(name, value)?.ok_or_else(refused)?
        }
    };
    let list = list.into_iter().map(|entry| match scalar(name, entry)? {
        Value::Null => Err(not_scalar(name)),
        entry => Ok(entry),
    });
    list.collect::<Result<_, _>>().map(Value::Array)
}

fn flag(name: &str, value: &Value) -> Result<Value, Error> {
    match coerce(value).as_ref() {
        Value::Bool(flag) => Ok(Value::Bool(*flag)),
        // `filter[a][_null]` with nothing behind it.
        Value::Null => Ok(Value::Bool(true)),
        Value::String(text) if text.is_empty() => Ok(Value::Bool(true)),
        _ => Err(Error::invalid_query(format!("The filter value for \"{name}\" has to be a boolean"))),
    }
}
