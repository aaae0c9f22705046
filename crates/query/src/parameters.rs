//! Parameters -> query: one reader per parameter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::{Error, Filter};
use serde_json::{Map, Value};

use crate::budget::{self, Cost};
use crate::values::{coerce, names, whole_names};
use crate::{AsOf, Meta, Path, Query, Sort, aggregate, filter, json};

/// Parameters of the language.
const KNOWN: [&str; 18] = [
    "fields",
    "filter",
    "search",
    "sort",
    "limit",
    "offset",
    "page",
    "cursor",
    "meta",
    "aggregate",
    "groupBy",
    "group",
    "deep",
    "alias",
    "backlink",
    "version",
    "as_of",
    "versionRaw",
];
/// What is read elsewhere: see [`crate::Export`].
const EXPORT: &str = "export";
/// Bytes of a cursor.
const CURSOR_LIMIT: usize = 8_192;
/// Bytes of an alias: it is the name of a column.
const ALIAS_LIMIT: usize = 50;

/// A parameter that [`read`] looks at.
pub fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || name == EXPORT
}

/// The query that the parameters describe.
///
/// # Errors
/// `INVALID_QUERY` with a reason.
pub fn read(parameters: &Map<String, Value>) -> Result<Query, Error> {
    let query = read_at(parameters, 0)?;
    Cost::of(&query).check()?;
    Ok(query)
}

fn read_at(parameters: &Map<String, Value>, depth: usize) -> Result<Query, Error> {
    let get = |name: &str| parameters.get(name).filter(|value| !value.is_null());
    let cursor = get("cursor").map(|value| cursor(value, depth)).transpose()?;
    if let (Some(_), Some(name)) = (&cursor, ["page", "offset"].into_iter().find(|name| get(name).is_some()))
    {
        return Err(Error::invalid_query(format!("\"{name}\" can't be used together with \"cursor\"")));
    }
    let as_of = get("as_of").filter(|value| value.as_str() != Some("")).map(AsOf::parse).transpose()?;
    check_as_of(as_of, cursor.is_some(), depth)?;
    // Nothing behind the name is as if it were not there.
    let object_of = |name: &str| get(name).filter(|value| value.as_str() != Some(""));
    Ok(Query {
        fields: get("fields").map(fields).transpose()?.flatten(),
        filter: get("filter").map(filter_of).transpose()?.flatten(),
        search: get("search").map(search).transpose()?.flatten(),
        sort: get("sort").map(|value| sort("sort", value)).transpose()?.unwrap_or_default(),
        limit: get("limit").map(|value| integer("limit", value, -1)).transpose()?,
        offset: object_of("offset").map(|value| natural("offset", value)).transpose()?,
        page: object_of("page").map(|value| natural("page", value)).transpose()?,
        cursor,
        meta: get("meta").map(meta).transpose()?.unwrap_or_default(),
        aggregate: object_of("aggregate")
            .map(|value| aggregate::read(&*object("aggregate", value)?))
            .transpose()?
            .unwrap_or_default(),
        group: get("groupBy").or_else(|| get("group")).map(group).transpose()?.unwrap_or_default(),
        deep: object_of("deep")
            .map(|value| deep(&*object("deep", value)?, depth + 1))
            .transpose()?
            .unwrap_or_default(),
        alias: object_of("alias")
            .map(|value| alias(&*object("alias", value)?))
            .transpose()?
            .unwrap_or_default(),
        version: get("version").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned),
        as_of,
        version_raw: get("versionRaw")
            .is_some_and(|value| matches!(&*coerce(value), Value::Bool(true)) || value == ""),
        no_backlink: get("backlink").is_some_and(|value| *coerce(value) == Value::Bool(false)),
    })
}

fn fields(value: &Value) -> Result<Option<Vec<String>>, Error> {
    let mut fields: Vec<String> = Vec::new();
    for name in names("fields", value)? {
        Path::parse(&name)?;
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    let everything = fields.is_empty() || fields == ["*"];
    Ok((!everything).then_some(fields))
}

/// An object, perhaps as JSON text.
fn object<'a>(name: &str, value: &'a Value) -> Result<Cow<'a, Map<String, Value>>, Error> {
    let refused = || Error::invalid_query(format!("\"{name}\" must be of type object"));
    match value {
        Value::Object(map) => Ok(Cow::Borrowed(map)),
        Value::String(text) => match json::parse(text) {
            Some(Value::Object(map)) => Ok(Cow::Owned(map)),
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

fn search(value: &Value) -> Result<Option<String>, Error> {
    match value {
        // Blanks around a text don't count, unless there is nothing else.
        Value::String(text) => {
            let trimmed = text.trim();
            let text = if trimmed.is_empty() { text } else { trimmed };
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Error::invalid_query("\"search\" must be a string")),
    }
}

fn cursor(value: &Value, depth: usize) -> Result<String, Error> {
    if depth > 0 {
        return Err(Error::invalid_query("\"deep\" does not support \"_cursor\""));
    }
    let text = value.as_str().filter(|text| text.len() <= CURSOR_LIMIT);
    text.map(str::to_owned).ok_or_else(|| Error::invalid_query("\"cursor\" is not one that was given out"))
}

/// All of a query is of one moment, and what a cursor goes by are the items of now.
fn check_as_of(as_of: Option<AsOf>, cursor: bool, depth: usize) -> Result<(), Error> {
    match as_of {
        Some(_) if depth > 0 => Err(Error::invalid_query("\"deep\" does not support \"_as_of\"")),
        Some(_) if cursor => Err(Error::invalid_query("\"as_of\" can't be used together with \"cursor\"")),
        _ => Ok(()),
    }
}

fn group(value: &Value) -> Result<Vec<String>, Error> {
    let names = names("group", value)?;
    names.iter().try_for_each(|name| Path::parse(name).map(|_| ()))?;
    Ok(names)
}

/// `{rel: {_limit: 5, nested: {..}}}`: what has an underscore is a parameter, the rest leads on.
fn deep(object: &Map<String, Value>, depth: usize) -> Result<BTreeMap<String, Query>, Error> {
    let mut queries = BTreeMap::new();
    for (name, value) in object.iter().filter(|(name, _)| !name.starts_with('_')) {
        if depth > budget::DEPTH {
            return Err(Error::invalid_query("Max relational depth exceeded"));
        }
        let Value::Object(members) = value else {
            return Err(Error::invalid_query("\"deep\" must be of type object"));
        };
        let own = members.iter().filter_map(|(name, value)| Some((name.strip_prefix('_')?, value)));
        let own: Map<String, Value> = own.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let mut query = read_at(&own, depth)?;
        query.deep = deep(members, depth + 1)?;
        queries.insert(name.clone(), query);
    }
    Ok(queries)
}

fn alias(object: &Map<String, Value>) -> Result<BTreeMap<String, String>, Error> {
    let mut names = BTreeMap::new();
    for (alias, field) in object {
        let field =
            field.as_str().ok_or_else(|| Error::invalid_query("\"alias\" must be an object of names"))?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        if !alias.chars().all(plain) || alias.len() > ALIAS_LIMIT {
            return Err(Error::invalid_query(format!("\"{alias}\" can't be used as an alias")));
        }
        if field.contains('.') {
            return Err(Error::invalid_query("\"alias\" key/value can't contain a period character `.`"));
        }
        names.insert(alias.clone(), field.to_owned());
    }
    Ok(names)
}

fn filter_of(value: &Value) -> Result<Option<Filter>, Error> {
    let parsed;
    let value = match value {
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => {
            parsed =
                json::parse(text).ok_or_else(|| Error::invalid_query("Invalid JSON for filter object"))?;
            &parsed
        }
        _ => value,
    };
    match value {
        Value::Array(list) if list.is_empty() => Ok(None),
        Value::Object(map) if map.is_empty() => Ok(None),
        Value::Object(map) => filter::read(map).map(Some),
        _ => Err(Error::invalid_query("\"filter\" must be of type object")),
    }
}

/// The keys of an order: names, `-` before those that begin with the greatest.
pub(crate) fn sort(parameter: &str, value: &Value) -> Result<Vec<Sort>, Error> {
    let mut sort: Vec<Sort> = Vec::new();
    for name in whole_names(parameter, value)? {
        let (field, descending) =
            name.strip_prefix('-').map_or((name.as_str(), false), |field| (field, true));
        // What is no name of a field is none that may be read: of items the planner's to say.
        if parameter != "sort" {
            Path::parse(field)
                .map_err(|_| Error::invalid_query(format!("\"{parameter}\" must be a list of names")))?;
        }
        sort.push(Sort { field: field.to_owned(), descending });
    }
    Ok(sort)
}

fn meta(value: &Value) -> Result<Meta, Error> {
    let names = names("meta", value)?;
    let known = |name: &String| {
        matches!(name.as_str(), "total_count" | "filter_count" | "filter_count_estimate" | "*")
    };
    if let Some(at) = names.iter().position(|name| !known(name)) {
        let reason =
            format!("\"meta[{at}]\" must be one of [total_count, filter_count, filter_count_estimate]");
        return Err(Error::invalid_query(reason));
    }
    let asks = |name: &str| names.iter().any(|asked| asked == name || asked == "*");
    Ok(Meta {
        total_count: asks("total_count"),
        filter_count: asks("filter_count"),
        // Beyond the original, so that its `*` stays what it is.
        filter_count_estimate: names.iter().any(|asked| asked == "filter_count_estimate"),
    })
}

fn natural(name: &str, value: &Value) -> Result<u64, Error> {
    // Never below 0, which `integer` has checked.
    integer(name, value, 0).map(i64::unsigned_abs)
}

/// A whole number of at least `least`.
pub(crate) fn integer(name: &str, value: &Value, least: i64) -> Result<i64, Error> {
    let value = match value {
        Value::Array(list) if list.len() == 1 => &list[0],
        _ => value,
    };
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
