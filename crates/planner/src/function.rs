//! Functions of fields: parts of times, counts.

use access::Action;
use model::{Collection, Error, Field, FieldType, Function, Link, quote_identifier};

use crate::column::answer_value;
use crate::link::target_key;
use crate::read::table;
use crate::reader::Reader;
use crate::rights::and;
use crate::statement::{Binding, Builder};

/// A function of a field as a number of PostgreSQL's.
pub(crate) fn function_value(
    function: &Function,
    field: &Field,
    collection: &Collection,
    source: &str,
    reader: &Reader<'_>,
    b: &mut Builder,
) -> Result<String, Error> {
    let refused = || {
        Error::invalid_query(format!(
            "\"{}\" can't be used with the function {}()",
            field.name,
            function.as_str()
        ))
    };
    if field.is_concealed() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    let column = reader.column(field, collection, source, b);
    let part = match function {
        Function::Count => {
            return count(field, collection, (source, &column), reader, b).ok_or_else(refused)?;
        }
        // A value inside json can be shown, and no more.
        Function::Json(path) => {
            return Err(Error::forbidden_field(&collection.name, &format!("{},{path}", field.name)));
        }
        Function::Year => "YEAR",
        Function::Month => "MONTH",
        Function::Week => "WEEK",
        Function::Day => "DAY",
        Function::Weekday => "DOW",
        Function::Hour => "HOUR",
        Function::Minute => "MINUTE",
        Function::Second => "SECOND",
    };
    let of_time = matches!(part, "HOUR" | "MINUTE" | "SECOND");
    match field.kind {
        FieldType::Timestamp => Ok(format!("EXTRACT({part} FROM {column} AT TIME ZONE 'UTC')")),
        FieldType::DateTime => Ok(format!("EXTRACT({part} FROM {column})")),
        FieldType::Date if !of_time => Ok(format!("EXTRACT({part} FROM {column})")),
        FieldType::Time if of_time => Ok(format!("EXTRACT({part} FROM {column})")),
        _ => Err(refused()),
    }
}

/// How many related items, or entries of a list; nothing for other fields.
fn count(
    field: &Field,
    collection: &Collection,
    (source, column): (&str, &str),
    reader: &Reader<'_>,
    b: &mut Builder,
) -> Option<Result<String, Error>> {
    if let Some(Link::Many { collection: many, field: by, .. }) = &field.link {
        let many = match reader.related(many) {
            Ok(many) => many,
            Err(error) => return Some(Err(error)),
        };
        let alias = b.alias();
        let (by, key) = (quote_identifier(by), target_key(collection, source));
        let seen = and(reader.reach(many, Action::Read, &alias, b));
        let count =
            format!("(SELECT count(*) FROM {} {alias} WHERE {alias}.{by} = {key}{seen})", table(many));
        return Some(Ok(reader.masked(field, collection, source, count, b)));
    }
    let json = field.kind == FieldType::Json && field.column_type.starts_with("json");
    let kind = if field.column_type == "jsonb" { "jsonb" } else { "json" };
    json.then(|| {
        Ok(format!("CASE WHEN {kind}_typeof({column}) = 'array' THEN {kind}_array_length({column}) END"))
    })
}

/// A function of a field as clients see it: PostgreSQL's numbers are texts.
pub(crate) fn function_answer(
    function: &Function,
    field: &Field,
    collection: &Collection,
    source: &str,
    reader: &Reader<'_>,
    b: &mut Builder,
) -> Result<String, Error> {
    let Function::Json(path) = function else {
        let value = function_value(function, field, collection, source, reader, b)?;
        let entries = matches!(function, Function::Count) && field.is_stored();
        return Ok(if entries { value } else { format!("({value})::text") });
    };
    if field.is_concealed() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    if field.kind != FieldType::Json {
        return Err(Error::invalid_query("Invalid function specified \"json\""));
    }
    let steps = query::json_steps(path).into_iter().map(|step| Some(step.to_owned())).collect();
    let steps = b.bind(Binding::Texts(steps));
    let value = reader.masked(field, collection, source, answer_value(field, source), b);
    Ok(format!("({value})::json #> {steps}::text[]"))
}
