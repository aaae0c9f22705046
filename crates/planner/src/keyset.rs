//! Pages by place: what comes behind the last item of the page before, found by its values instead of by counting.
//!
//! Whatever is written or deleted in between, an item that stays where it is comes exactly once. The order is the
//! query's, with the key as the last word; null counts as greater than everything, as `ORDER BY` has it.

use access::Action;
use model::{Collection, Error, Field, FieldType, Link, quote_identifier};
use query::{LARGEST_DOCUMENT, Path, Query, Step};

use crate::answer::answer;
use crate::column::sql_type;
use crate::limits::Limits;
use crate::order::{Of, Order, Part, order_by};
use crate::page::{filtered, fitting, found};
use crate::read::{ReadPlan, SOURCE, counts, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::search::is_relevance;
use crate::shape::readable_field;
use crate::shown::shown;
use crate::statement::{Binding, Builder};

/// Where an item stands in an order: the value of each thing that the order goes by, as PostgreSQL's text, nothing lost.
pub type Place = Vec<Option<String>>;

/// One thing that the order goes by.
struct Key {
    value: String,
    descending: bool,
    /// The type that its text is read as.
    cast: String,
    /// Its JSON is its whole text, whatever the session's settings.
    temporal: bool,
    nullable: bool,
}

/// Plans a page of a list behind `after`, or the first one: one statement with the columns of [`crate::plan_read`] and
/// `last text`: a [`Place`] as JSON, that of the page's last item; null where nothing comes behind it.
///
/// # Errors
/// `INVALID_QUERY`: a query without such pages, or a place of another order. `FORBIDDEN` as for a list.
pub fn plan_page(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    after: Option<&Place>,
) -> Result<ReadPlan, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(query)?;
    let limit = limit(query, collection, reader.limits)?;
    let mut b = Builder::default();
    visible_key(collection, reader, &mut b)?;
    let conditions = fitting(query, &shown(query)?, collection, reader, SOURCE, &mut b)?;
    let counts = counts(query, collection, reader, &filtered(&conditions), &mut b)?;
    let mut order = order_by(query, collection, reader, (SOURCE, None), &mut b)?;
    turn_the_key(&mut order);
    let keys = keys(&order, collection, reader)?;
    let behind = after.map(|place| behind(&keys, place, &mut b)).transpose()?;
    let item = answer(query, collection, reader, SOURCE, &mut b)?;
    // What was joined to order by is out of sight where the page is read. Names of ours beside those of the fields
    // begin with a blank, which no field's name does.
    let (carried, place) = match order.joins.is_empty() {
        true => (String::new(), place_of(&keys)),
        false => (format!(", {} AS \" place\"", place_of(&keys)), format!("{SOURCE}.\" place\"")),
    };
    let (from, conditions) = match found(query, collection, SOURCE, &filtered(&conditions)) {
        Some(found) => (found, Vec::new()),
        None => (format!("{} {SOURCE}", table(collection)), conditions),
    };
    let part = |condition: Option<&str>, window: &str| {
        let all: Vec<String> = conditions.iter().cloned().chain(condition.map(str::to_owned)).collect();
        let (joins, filtered, by) = (&order.joins, filtered(&all), order.by());
        format!("SELECT {SOURCE}.*{carried} FROM {from}{joins}{filtered}{by}{window}")
    };
    // One more than asked for says whether anything follows; it is not answered, so its relations are not read.
    let window = format!(" LIMIT {}", limit + 1);
    let page = match behind.as_deref() {
        None => part(None, &window),
        Some([only]) => part(Some(only), &window),
        // One after the other, the second as far as the first has left room: parts with limits are never read at once.
        Some(parts) => {
            let parts: Vec<String> =
                parts.iter().map(|condition| format!("({})", part(Some(condition), &window))).collect();
            format!("SELECT * FROM ({}) {SOURCE}{window}", parts.join(" UNION ALL "))
        }
    };
    b.push("SELECT '[' || coalesce(string_agg(j::text, ','), '') || ']' AS items, ");
    b.push(&format!(
        "CASE WHEN count(*) > {limit} THEN max(k) FILTER (WHERE n = {limit}) END AS last{counts}"
    ));
    b.push(&format!(
        " FROM (SELECT CASE WHEN {SOURCE}.\" n\" <= {limit} THEN {item} END AS j, {SOURCE}.\" n\" AS n, "
    ));
    b.push(&format!("{place} AS k FROM (SELECT {SOURCE}.*, row_number() OVER () AS \" n\""));
    b.push(&format!(" FROM ({page}) {SOURCE}) {SOURCE}) p"));
    Ok(ReadPlan { statement: b.finish("items.page") })
}

/// The key's field. Whoever goes by it can be told it, so he must be allowed to see it of every item that he may see.
pub(crate) fn visible_key<'a>(
    collection: &'a Collection,
    reader: Reader<'_>,
    b: &mut Builder,
) -> Result<&'a Field, Error> {
    let key = readable_field(&collection.primary_key, collection, reader.access)?;
    match reader.reach_with(&key.name, collection, Action::Read, SOURCE, b) {
        Some(_) => Err(Error::forbidden_field(&collection.name, &key.name)),
        None => Ok(key),
    }
}

/// Items of a page; without a limit as many as a document holds.
fn limit(query: &Query, collection: &Collection, limits: Limits) -> Result<i64, Error> {
    let refused = |reason: &str| Err(Error::invalid_query(reason));
    if collection.singleton {
        return refused("\"cursor\" means nothing for a singleton");
    }
    if !query.aggregate.is_empty() || !query.group.is_empty() {
        return refused("\"cursor\" can't be used together with \"aggregate\" and \"groupBy\"");
    }
    match limits.items(query)? {
        Some(0) => refused("\"limit\" must be greater than 0 with \"cursor\""),
        Some(limit) if limit > LARGEST_DOCUMENT => {
            let reason =
                format!("\"limit\" must be less than or equal to {LARGEST_DOCUMENT} with \"cursor\"");
            refused(&reason)
        }
        limit => Ok(limit.unwrap_or(LARGEST_DOCUMENT)),
    }
}

/// The key goes the way of what stands before it, so that one comparison of rows can do and an index be read backwards.
fn turn_the_key(order: &mut Order) {
    if let [.., Part { descending, .. }, Part { descending: turned, of: Of::Own(_), .. }] =
        order.parts.as_mut_slice()
    {
        *turned = *descending;
    }
}

fn keys(order: &Order, collection: &Collection, reader: Reader<'_>) -> Result<Vec<Key>, Error> {
    order.parts.iter().map(|part| key(part, collection, reader)).collect()
}

fn key(part: &Part, collection: &Collection, reader: Reader<'_>) -> Result<Key, Error> {
    let (field, number) = match &part.of {
        // What is in a cursor can be read by whoever holds it.
        Of::Own(name) => (readable_field(name, collection, reader.access)?, false),
        Of::Asked(path) if is_relevance(path, collection) => {
            return Err(Error::invalid_query(format!("\"{}\" can't be paged by", path.last.name)));
        }
        Of::Asked(path) => (last_field(&path.steps, path, collection, reader)?, path.function.is_some()),
    };
    if field.is_concealed() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    if matches!(field.kind, FieldType::Geometry(_)) && !number {
        return Err(Error::invalid_query(format!("\"{}\" can't be paged by: it is a geometry", field.name)));
    }
    let cast = if number { "numeric" } else { sql_type(field) };
    let bare = format!("{SOURCE}.{}", quote_identifier(&field.name));
    let temporal =
        matches!(field.kind, FieldType::Date | FieldType::Time | FieldType::DateTime | FieldType::Timestamp);
    Ok(Key {
        value: part.value.clone(),
        descending: part.descending,
        cast: cast.to_owned(),
        temporal: temporal && !number,
        // Only of the column itself is it known.
        nullable: part.value != bare || (field.nullable && field.name != collection.primary_key),
    })
}

/// The field that a path ends with; of those who refer, their key.
fn last_field<'a>(
    steps: &[Step],
    path: &Path,
    collection: &'a Collection,
    reader: Reader<'a>,
) -> Result<&'a Field, Error> {
    let name = steps.first().map_or(&path.last.name, |step| &step.name);
    let field = readable_field(name, collection, reader.access)?;
    let related = match &field.link {
        Some(Link::One { collection } | Link::Many { collection, .. }) => Some(collection),
        _ => None,
    };
    match (steps.split_first(), related) {
        (Some((_, rest)), Some(related)) => last_field(rest, path, reader.related(related)?, reader),
        (Some(_), None) => Err(Error::invalid_query(format!("\"{name}\" can't be sorted by"))),
        (None, Some(many)) if !field.is_stored() && path.function.is_none() => {
            key_field(reader.related(many)?)
        }
        (None, _) => Ok(field),
    }
}

/// The place of an item: JSON that loses nothing, neither digits nor microseconds.
fn place_of(keys: &[Key]) -> String {
    let value = |key: &Key| match key.temporal {
        true => key.value.clone(),
        false => format!("({})::text", key.value),
    };
    format!("json_build_array({})::text", keys.iter().map(value).collect::<Vec<_>>().join(", "))
}

/// What comes behind a place: one condition, or several whose items come one after the other.
fn behind(keys: &[Key], place: &Place, b: &mut Builder) -> Result<Vec<String>, Error> {
    let (Some(first), true) = (keys.first(), keys.len() == place.len()) else {
        return Err(Error::invalid_query("\"cursor\" is not one of this query"));
    };
    let operands: Vec<Option<String>> = keys
        .iter()
        .zip(place)
        .map(|(key, value)| {
            let bound = b.bind(Binding::Text(Some(value.clone()?)));
            Some(format!("{bound}::text::{}", key.cast))
        })
        .collect();
    let one_way = keys.iter().all(|key| key.descending == first.descending && !key.nullable);
    let known: Option<Vec<String>> = operands.iter().cloned().collect();
    if let (true, Some(known)) = (one_way, known) {
        let values: Vec<&str> = keys.iter().map(|key| key.value.as_str()).collect();
        let sign = if first.descending { '<' } else { '>' };
        return Ok(vec![format!("({}) {sign} ({})", values.join(", "), known.join(", "))]);
    }
    let mut chain = String::new();
    for (index, (key, operand)) in keys.iter().zip(&operands).enumerate().rev() {
        // The nulls of the first one are a part of their own.
        chain = link(key, operand.as_deref(), key.nullable && index > 0, &chain);
    }
    let Some(Some(operand)) = operands.first() else { return Ok(vec![chain]) };
    // The bound says nothing new, but something that an index can be entered by.
    let sign = if first.descending { "<=" } else { ">=" };
    let mut parts = vec![format!("({} {sign} {operand} AND {chain})", first.value)];
    if first.nullable && !first.descending {
        parts.push(format!("{} IS NULL", first.value));
    }
    Ok(parts)
}

/// Behind by this key, or equal in it and behind by `rest`.
fn link(key: &Key, operand: Option<&str>, nulls: bool, rest: &str) -> String {
    let value = &key.value;
    let (further, equal) = match (operand, key.descending) {
        (Some(operand), false) if nulls => {
            (format!("{value} > {operand} OR {value} IS NULL"), format!("{value} = {operand}"))
        }
        (Some(operand), false) => (format!("{value} > {operand}"), format!("{value} = {operand}")),
        (Some(operand), true) => (format!("{value} < {operand}"), format!("{value} = {operand}")),
        (None, true) => (format!("{value} IS NOT NULL"), format!("{value} IS NULL")),
        // Nothing is greater than null.
        (None, false) if rest.is_empty() => return "false".to_owned(),
        (None, false) => return format!("({value} IS NULL AND {rest})"),
    };
    if rest.is_empty() { format!("({further})") } else { format!("({further} OR ({equal} AND {rest}))") }
}

#[cfg(test)]
mod tests;
