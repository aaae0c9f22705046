//! Rules that values are judged by (`validation` of fields and of permissions): JSON -> [`Filter`].
//!
//! They speak the language of filters, and `_submitted` and `_regex` beside. What is stored is read as far as it can be
//! read; a part that can't be holds for nothing, so that no rule is weaker than it was meant.

use model::{Filter, Operator, Quantifier};
use serde_json::{Map, Value};

use crate::values::{coerce, entries};

/// Objects within objects.
const DEPTH_LIMIT: usize = 24;

/// The rule that a value describes; nothing when it asks for nothing.
pub fn read_rule(value: &Value) -> Option<Filter> {
    let object = value.as_object().filter(|object| !object.is_empty())?;
    Some(group(None, object, 0))
}

/// What no value fits: one of none.
fn never(field: &str) -> Filter {
    let (field, value) = (field.to_owned(), Value::Array(Vec::new()));
    Filter::Compare { field, function: None, operator: Operator::In, value }
}

/// All entries of an object hold. Below a field its keys are operators, or fields of what it leads to.
fn group(field: Option<&str>, object: &Map<String, Value>, depth: usize) -> Filter {
    if depth > DEPTH_LIMIT {
        return never(field.unwrap_or_default());
    }
    let entry = |(key, value): (&String, &Value)| match (key.as_str(), field) {
        ("_and", _) => list(field, value, depth).map_or_else(|| never(key), Filter::And),
        ("_or", _) => list(field, value, depth).map_or_else(|| never(key), Filter::Or),
        (operator, Some(field)) if operator.starts_with('_') => compare(field, operator, value),
        (_, Some(field)) => Filter::Related {
            field: field.to_owned(),
            scope: None,
            quantifier: Quantifier::Any,
            filter: Box::new(of_field(key, value, depth)),
        },
        (_, None) => of_field(key, value, depth),
    };
    let mut all: Vec<Filter> = object.iter().map(entry).collect();
    if all.len() == 1 { all.swap_remove(0) } else { Filter::And(all) }
}

fn list(field: Option<&str>, value: &Value, depth: usize) -> Option<Vec<Filter>> {
    let members = entries("rule", value).ok()??;
    members.into_iter().map(|member| Some(group(field, member.as_object()?, depth + 1))).collect()
}

fn of_field(name: &str, value: &Value, depth: usize) -> Filter {
    match value {
        Value::Object(conditions) => group(Some(name), conditions, depth + 1),
        _ => compare(name, "_eq", value),
    }
}

fn compare(field: &str, operator: &str, value: &Value) -> Filter {
    // A function of a field, or a path with a point, is no name of a sent value.
    let is_name = !field.contains(['.', '(', ':']);
    let Some(operator) = Operator::parse(operator).filter(|operator| is_name && !operator.takes_object())
    else {
        return never(field);
    };
    let field = field.to_owned();
    let value = match value {
        Value::String(text) if operator.takes_list() => text.split(',').map(Value::from).collect(),
        Value::Object(_) if operator.takes_list() => match entries("rule", value) {
            Ok(Some(list)) => list.into_iter().cloned().collect(),
            _ => return never(&field),
        },
        Value::String(_) if operator != Operator::Regex => coerce(value).into_owned(),
        _ => value.clone(),
    };
    let off = value == Value::Bool(false);
    let (operator, value) = match (operator, value) {
        (Operator::Eq, Value::Null) => (Operator::Null, Value::Bool(true)),
        (Operator::Neq, Value::Null) => (Operator::Nnull, Value::Bool(true)),
        (Operator::Null, _) if off => (Operator::Nnull, Value::Bool(true)),
        (Operator::Nnull, _) if off => (Operator::Null, Value::Bool(true)),
        (Operator::Empty, _) if off => (Operator::Nempty, Value::Bool(true)),
        (Operator::Nempty, _) if off => (Operator::Empty, Value::Bool(true)),
        (Operator::Submitted, _) if off => return Filter::And(Vec::new()),
        other => other,
    };
    Filter::Compare { field, function: None, operator, value }
}

/// The fields of an item that a rule looks at.
pub fn fields_of(rule: &Filter) -> Vec<&str> {
    let mut fields = Vec::new();
    gather(rule, &mut fields);
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn gather<'a>(rule: &'a Filter, fields: &mut Vec<&'a str>) {
    match rule {
        Filter::And(all) | Filter::Or(all) => all.iter().for_each(|one| gather(one, fields)),
        Filter::Compare { field, .. } | Filter::Related { field, .. } => fields.push(field),
    }
}
