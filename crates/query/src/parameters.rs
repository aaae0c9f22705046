//! Parameters -> query: one reader per parameter, and the list of those we refuse.

use model::{Error, Filter};
use serde_json::{Map, Value};

use crate::values::{check_field, names};
use crate::{Meta, Query, Sort, filter, json};

/// Parameters of the language.
const KNOWN: [&str; 7] = ["fields", "filter", "sort", "limit", "offset", "page", "meta"];
/// Parameters of the language that we refuse for now: ignoring them would answer another question.
const REFUSED: [&str; 11] = [
    "search",
    "deep",
    "alias",
    "aggregate",
    "groupBy",
    "group",
    "export",
    "version",
    "versionRaw",
    "backlink",
    "joinlink",
];

/// A parameter that [`read`] looks at.
pub fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || REFUSED.contains(&name)
}

/// The query that the parameters describe.
///
/// # Errors
/// `INVALID_QUERY` with a reason.
pub fn read(parameters: &Map<String, Value>) -> Result<Query, Error> {
    if let Some(name) = REFUSED.iter().find(|name| parameters.get(**name).is_some_and(says_something)) {
        return Err(Error::invalid_query(format!("Parameter \"{name}\" is not supported yet")));
    }
    let get = |name: &str| parameters.get(name).filter(|value| !value.is_null());
    Ok(Query {
        fields: get("fields").map(fields).transpose()?.flatten(),
        filter: get("filter").map(filter_of).transpose()?.flatten(),
        sort: get("sort").map(sort).transpose()?.unwrap_or_default(),
        limit: get("limit").map(|value| integer("limit", value, -1)).transpose()?,
        offset: get("offset").map(|value| natural("offset", value)).transpose()?,
        page: get("page").map(|value| natural("page", value)).transpose()?,
        meta: get("meta").map(meta).transpose()?.unwrap_or_default(),
    })
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn fields(value: &Value) -> Result<Option<Vec<String>>, Error> {
    let mut fields: Vec<String> = Vec::new();
    for name in names("fields", value)? {
        check_field(&name)?;
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    let everything = fields.is_empty() || fields == ["*"];
    Ok((!everything).then_some(fields))
}

fn filter_of(value: &Value) -> Result<Option<Filter>, Error> {
    let parsed;
    let value = match value {
        Value::String(text) => {
            parsed =
                json::parse(text).ok_or_else(|| Error::invalid_query("Invalid JSON for filter object"))?;
            &parsed
        }
        _ => value,
    };
    match value {
        Value::Null => Ok(None),
        Value::Object(map) if map.is_empty() => Ok(None),
        Value::Object(map) => filter::read(map).map(Some),
        _ => Err(Error::invalid_query("\"filter\" must be of type object")),
    }
}

fn sort(value: &Value) -> Result<Vec<Sort>, Error> {
    let mut sort: Vec<Sort> = Vec::new();
    for name in names("sort", value)? {
        let (field, descending) =
            name.strip_prefix('-').map_or((name.as_str(), false), |field| (field, true));
        if field.is_empty() {
            return Err(Error::invalid_query("\"sort\" must be a list of names"));
        }
        check_field(field)?;
        sort.push(Sort { field: field.to_owned(), descending });
    }
    Ok(sort)
}

fn meta(value: &Value) -> Result<Meta, Error> {
    let names = names("meta", value)?;
    let asks = |name: &str| names.iter().any(|asked| asked == name || asked == "*");
    Ok(Meta { total_count: asks("total_count"), filter_count: asks("filter_count") })
}

fn natural(name: &str, value: &Value) -> Result<u64, Error> {
    // Never below 0, which `integer` has checked.
    integer(name, value, 0).map(i64::unsigned_abs)
}

fn integer(name: &str, value: &Value, least: i64) -> Result<i64, Error> {
    let refused = |what: &str| Error::invalid_query(format!("\"{name}\" must be {what}"));
    let exact = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let number = match (exact, float.filter(|float| float.is_finite())) {
        (Some(number), _) => number,
        (None, Some(float)) if float.fract() != 0.0 => return Err(refused("an integer")),
        // `1e2` and `100.0` are integers too.
        #[expect(clippy::cast_possible_truncation, reason = "within the integers that a double holds")]
        (None, Some(float)) if float.abs() <= 9_007_199_254_740_991.0 => float as i64,
        (None, Some(_)) => return Err(refused("a safe number")),
        (None, None) => return Err(refused("a number")),
    };
    if number < least { Err(refused(&format!("greater than or equal to {least}"))) } else { Ok(number) }
}
