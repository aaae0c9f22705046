//! The filter grammar: objects of conditions -> [`Filter`].
//!
//! Several keys hold together; `_and`/`_or` take lists; a bare value means `_eq`; logic may also stand below a
//! field (`{price: {_or: [{_lt: 1}, {_gt: 9}]}}`).

mod json;

use model::{Error, Filter, Function, Operator, Quantifier};
use serde_json::{Map, Value};

use crate::path::{Path, Step};
use crate::values::{coerce, entries};

/// Objects within objects.
const DEPTH_LIMIT: usize = 24;
/// Conditions and groups in all; their budget is counted when the whole query is there.
const NODE_LIMIT: usize = 500;

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

/// Levels that are read at all; how many may be asked for is the budget's business.
fn not_too_deep(depth: usize) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        return Err(Error::invalid_query(format!("\"filter\" is nested deeper than {DEPTH_LIMIT} levels")));
    }
    Ok(())
}

impl Reader {
    /// All entries of an object hold. Below a field its keys are operators or fields of what it leads to.
    fn group(
        &mut self,
        field: Option<&str>,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<Filter, Error> {
        not_too_deep(depth)?;
        let mut all = Vec::with_capacity(object.len());
        for (key, value) in object {
            all.push(match (key.as_str(), field) {
                ("_and", _) => Filter::And(self.list(field, key, value, depth)?),
                ("_or", _) => Filter::Or(self.list(field, key, value, depth)?),
                ("_some", Some(field)) => self.related(field, Quantifier::Some, key, value, depth)?,
                ("_none", Some(field)) => self.related(field, Quantifier::None, key, value, depth)?,
                ("_json", Some(field)) => self.inside(field, value, depth)?,
                (key, Some(field)) if key.starts_with('_') => compare(field, key, value)?,
                (key, Some(field)) => {
                    let Step { name, scope } = step(field)?;
                    let filter = Box::new(self.field(key, value, depth)?);
                    Filter::Related { field: name, scope, quantifier: Quantifier::Any, filter }
                }
                (key, None) if Operator::parse(key).is_some() || matches!(key, "_some" | "_none") => {
                    return Err(Error::invalid_query(format!("Invalid filter key \"{key}\"")));
                }
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

    fn related(
        &mut self,
        field: &str,
        quantifier: Quantifier,
        key: &str,
        value: &Value,
        depth: usize,
    ) -> Result<Filter, Error> {
        let Value::Object(conditions) = value else {
            return Err(Error::invalid_query(format!("\"{key}\" must be of type object")));
        };
        let Step { name, scope } = step(field)?;
        let filter = Box::new(self.group(None, conditions, depth + 1)?);
        Ok(Filter::Related { field: name, scope, quantifier, filter })
    }

    fn list(
        &mut self,
        field: Option<&str>,
        key: &str,
        value: &Value,
        depth: usize,
    ) -> Result<Vec<Filter>, Error> {
        members(key, value)?.into_iter().map(|member| self.group(field, member, depth + 1)).collect()
    }

    fn field(&mut self, name: &str, value: &Value, depth: usize) -> Result<Filter, Error> {
        match value {
            Value::Object(conditions) => self.group(Some(name), conditions, depth + 1),
            Value::Null => Err(Error::invalid_query("Invalid filter object")),
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

/// `{"_and": []}` says nothing: it neither holds nor fails.
fn is_hollow(member: &Value) -> bool {
    let Some(object) = member.as_object().filter(|object| object.len() == 1) else { return false };
    let list = object.get("_and").or_else(|| object.get("_or"));
    list.and_then(Value::as_array).is_some_and(Vec::is_empty)
}

/// A relational field: one name, perhaps with the collection that is meant.
fn step(name: &str) -> Result<Step, Error> {
    let path = Path::parse(name)?;
    if path.steps.is_empty() && path.function.is_none() {
        return Ok(path.last);
    }
    Err(Error::invalid_query(format!("\"{name}\" leads to no other items")))
}

/// The members of `_and` and `_or`.
fn members<'v>(key: &str, value: &'v Value) -> Result<Vec<&'v Map<String, Value>>, Error> {
    let refused = || Error::invalid_query(format!("\"{key}\" must be an array of objects"));
    let members = match value {
        Value::Object(map) if map.is_empty() => Vec::new(),
        _ => entries(key, value)?.ok_or_else(refused)?,
    };
    let members = members.into_iter().filter(|member| !is_hollow(member));
    members.map(|member| member.as_object().ok_or_else(refused)).collect()
}

fn compare(name: &str, operator: &str, value: &Value) -> Result<Filter, Error> {
    let (operator, value) = comparison(name, operator, value)?;
    let path = Path::parse(name)?;
    if path.last.scope.is_some() {
        return Err(Error::invalid_query(format!("Invalid filter key \"{name}\"")));
    }
    // A path is written as nested objects, and a value inside json can only be shown: as a key this is the name of a
    // field, which there hardly is.
    if !path.steps.is_empty() || matches!(path.function, Some(Function::Json(_))) {
        return Ok(Filter::Compare { field: name.to_owned(), function: None, operator, value });
    }
    Ok(Filter::Compare { field: path.last.name, function: path.function, operator, value })
}

/// An operator with its value, in the form that suits it.
fn comparison(name: &str, operator: &str, value: &Value) -> Result<(Operator, Value), Error> {
    let Some(known) = Operator::parse(operator) else { return Err(unknown(name, operator)) };
    Ok(match known {
        _ if known.takes_list() => (known, list_value(operator, value)?),
        _ if known.takes_flag() => (known, flag(operator, value)?),
        _ if known.takes_object() => (known, object_value(operator, value)?),
        Operator::Eq | Operator::Neq | Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
            match (known, scalar(operator, value)?) {
                // Nothing equals null; who asks this wants to know whether there is a value.
                (Operator::Eq, Value::Null) => (Operator::Null, Value::Bool(true)),
                (Operator::Neq, Value::Null) => (Operator::Nnull, Value::Bool(true)),
                (_, Value::Null) => return Err(not_scalar(operator)),
                other => other,
            }
        }
        // A part of a text: `true` and `null` are letters here.
        _ if value.as_str().is_some_and(|text| !text.is_empty()) => (known, value.clone()),
        _ => match scalar(operator, value)? {
            Value::Null => return Err(not_scalar(operator)),
            other => (known, other),
        },
    })
}

fn unknown(field: &str, name: &str) -> Error {
    Error::invalid_query(format!("Field \"{field}\" does not contain the \"{name}\" filter operator"))
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
        _ => Ok(coerce(value).into_owned()),
    }
}

fn object_value(name: &str, value: &Value) -> Result<Value, Error> {
    let refused = || Error::invalid_query(format!("\"{name}\" has to be a valid GeoJSON object"));
    match value {
        Value::Object(_) => Ok(value.clone()),
        Value::String(text) => crate::json::parse(text).filter(Value::is_object).ok_or_else(refused),
        _ => Err(refused()),
    }
}

fn list_value(name: &str, value: &Value) -> Result<Value, Error> {
    let list = match value {
        Value::String(text) => {
            let parts: Vec<Value> = text.split(',').map(Value::from).collect();
            return list_value(name, &Value::Array(parts));
        }
        Value::Number(_) | Value::Bool(_) => vec![value],
        Value::Object(map) if map.keys().any(|key| key.parse::<u64>().is_err()) => map.values().collect(),
        _ => entries(name, value)?.unwrap_or_default(),
    };
    if list.is_empty() {
        return Err(Error::invalid_query(format!("\"{name}\" has to be an array of values")));
    }
    let list = list.into_iter().map(|entry| match entry {
        // One of the values may be the empty text.
        Value::String(text) if text.is_empty() => Ok(entry.clone()),
        _ => match scalar(name, entry)? {
            Value::Null => Err(not_scalar(name)),
            entry => Ok(entry),
        },
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
