//! Reading: a query -> one statement whose answer is JSON text.

use std::borrow::Cow;

use access::{Access, Action};
use model::{Collection, Error, Field, Filter, quote_identifier};
use query::Query;

use crate::answer::answer;
use crate::column::{ItemJson, answer_value, json_row, sql_type};
use crate::figures::figures;
use crate::order::place;
use crate::page::{Page, filtered, fitting, page};
use crate::reader::Reader;
use crate::rights::{and, check_collection};
use crate::shown::shown;
use crate::statement::{Binding, Builder, Statement};
use crate::value::parse_key;

/// The alias that items are read under.
pub(crate) const SOURCE: &str = "t";

/// How to answer a list: one statement with the column `items text`, and `total_count bigint`, `filter_count bigint`
/// where the query asks for them. Of a singleton `items` is its one item, an object, and `version bigint` its
/// version, unless figures are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadPlan {
    /// The one statement.
    pub statement: Statement,
}

/// How to answer for one item, whichever it is: one statement with the columns `item text` and `version bigint` (of
/// the item, null where figures over it are asked for); no row = no such item.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOne {
    /// The statement, without a key.
    statement: Statement,
    /// Which binding the key is.
    key: usize,
}

impl ReadOne {
    /// The statement for the item with this key (its text). A malformed key is 403, as a missing item is.
    ///
    /// # Errors
    /// The key is malformed.
    pub fn of(&self, key: &str, collection: &Collection) -> Result<Statement, Error> {
        let key = parse_key(key, key_field(collection)?)?;
        let mut statement = self.statement.clone();
        if let Some(binding) = statement.bindings.get_mut(self.key) {
            *binding = Binding::Text(Some(key));
        }
        Ok(statement)
    }

    /// The statement, for whom any key will do.
    pub fn keyless(&self) -> &Statement {
        &self.statement
    }
}

/// Plans a list, or the figures over it.
pub fn plan_read(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<ReadPlan, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(query)?;
    let mut b = Builder::of(reader);
    let fits = filtered(&fitting(query, &shown(query)?, collection, reader, SOURCE, &mut b)?);
    let counts = counts(query, collection, reader, &fits, &mut b)?;
    let all = |b: &mut Builder, rows: &str| {
        b.push("SELECT '[' || coalesce(string_agg(j::text, ','), '') || ']' AS items");
        b.push(&format!("{counts} FROM ({rows}) p"));
    };
    if collection.singleton {
        check_version(query)?;
    }
    if asks_figures(query) {
        let rows = figures(query, collection, reader, (SOURCE, &fits), &mut b)?;
        if collection.singleton {
            b.push(&format!(
                "SELECT coalesce((SELECT j::text FROM ({rows}) p LIMIT 1), 'null') AS items{counts}"
            ));
        } else {
            all(&mut b, &rows);
        }
        return Ok(ReadPlan { statement: b.finish("items.figures") });
    }
    let item = answer(query, collection, reader, SOURCE, &mut b)?;
    let columns = format!("{SOURCE}.*");
    let wanted = Page { filtered: &fits, sort_field: None, alias: SOURCE, columns: &columns };
    if collection.singleton {
        let item = singleton(query, collection, reader, (&item, &wanted), &mut b)?;
        let version = singleton_version(query, collection, reader, &wanted, &mut b)?;
        b.push(&format!("SELECT {item} AS items, {version} AS version{counts}"));
    } else {
        let page = page(query, collection, reader, &wanted, &mut b)?;
        all(&mut b, &item.of_each(&format!("({page}) {SOURCE}")));
    }
    Ok(ReadPlan { statement: b.finish("items.read") })
}

/// The columns of the counts that a query wants.
pub(crate) fn counts(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    fits: &str,
    b: &mut Builder,
) -> Result<String, Error> {
    let table = table(collection);
    // They count what is seen, whatever is shown of it.
    let fits = match query.meta.filter_count && reader.sees_less(collection, &shown(query)?) {
        true => Cow::Owned(filtered(&fitting(query, &None, collection, reader, SOURCE, b)?)),
        false => Cow::Borrowed(fits),
    };
    let all_seen: Vec<String> = reader.reach(collection, Action::Read, SOURCE, b).into_iter().collect();
    let count = |wanted: bool, condition: &str, name: &str| match wanted {
        true => format!(", (SELECT count(*) FROM {table} {SOURCE}{condition}) AS {name}"),
        false => String::new(),
    };
    Ok(count(query.meta.total_count, &filtered(&all_seen), "total_count")
        + &count(query.meta.filter_count, &fits, "filter_count"))
}

/// Plans the look at how many items PostgreSQL expects to fit a query: one row, one column of JSON, its plan.
pub fn plan_estimate(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    let mut b = Builder::of(reader);
    let filtered = filtered(&fitting(query, &None, collection, reader, SOURCE, &mut b)?);
    b.push(&format!("EXPLAIN (FORMAT JSON) SELECT FROM {} {SOURCE}{filtered}", table(collection)));
    Ok(b.finish("items.estimate"))
}

/// Figures are asked for instead of items.
fn asks_figures(query: &Query) -> bool {
    !query.aggregate.is_empty() || !query.group.is_empty()
}

/// Other versions than the item itself are read by [`crate::plan_read_version`].
fn check_version(query: &Query) -> Result<(), Error> {
    match query.version.as_deref() {
        None | Some("main") => Ok(()),
        Some(_) => Err(Error::forbidden()),
    }
}

/// The text of a singleton's one item, read from a page of one; of its defaults while it was never written.
pub(crate) fn singleton(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    (item, wanted): (&ItemJson, &Page<'_>),
    b: &mut Builder,
) -> Result<String, Error> {
    let first = Query { limit: Some(1), ..query.clone() };
    let first = page(&first, collection, reader, wanted, b)?;
    let fields = unwritten_fields(query, collection, reader.access)?;
    let unwritten = unwritten(&fields, collection);
    Ok(format!("coalesce((SELECT {item}::text FROM ({first}) {SOURCE}), {unwritten}::text)"))
}

/// The version of a singleton's one item; null while it was never written.
fn singleton_version(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    wanted: &Page<'_>,
    b: &mut Builder,
) -> Result<String, Error> {
    let first = Query { limit: Some(1), ..query.clone() };
    let first = page(&first, collection, reader, wanted, b)?;
    let own = version(collection, reader, &answer_key(key_field(collection)?, SOURCE), b);
    Ok(format!("(SELECT {own} FROM ({first}) {SOURCE})"))
}

/// Fields of a singleton that was never written: its key and those with a default, as far as they are asked for.
fn unwritten_fields<'a>(
    query: &Query,
    collection: &'a Collection,
    access: &Access,
) -> Result<Vec<&'a Field>, Error> {
    let everything = ["*".to_owned()];
    let wanted = query::select(query.fields.as_deref().unwrap_or(&everything))?;
    let named = |field: &&Field| {
        field.is_stored()
            && access.allows_field(&collection.name, &field.name, Action::Read)
            && (field.default.is_some() || field.name == collection.primary_key)
            && wanted.iter().any(|selected| {
                selected.name == "*"
                    || selected.name == field.name && selected.function.is_none() && selected.below.is_empty()
            })
    };
    Ok(collection.fields.iter().filter(named).collect())
}

/// A singleton that was never written, as JSON: its defaults, without a key.
fn unwritten(fields: &[&Field], collection: &Collection) -> String {
    let value = |field: &&Field| {
        let default = match &field.default {
            Some(default) if field.name != collection.primary_key && !field.generated => default.as_str(),
            _ => "NULL",
        };
        format!("({default})::{} AS {}", sql_type(field), quote_identifier(&field.name))
    };
    let values: Vec<String> = fields.iter().map(value).collect();
    let none = if values.is_empty() { "NULL" } else { "" };
    let item = json_row(fields.iter().copied(), SOURCE);
    format!("(SELECT {item} FROM (SELECT {none}{}) {SOURCE})", values.join(", "))
}

/// Plans the read of one item, to be named afterwards ([`ReadOne::of`]).
pub fn plan_read_one(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<ReadOne, Error> {
    read_one(query, collection, reader, Builder::of(reader))
}

/// The same, after what stands in the statement already.
pub(crate) fn read_one(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    mut builder: Builder,
) -> Result<ReadOne, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(query)?;
    let key_field = key_field(collection)?;
    check_version(query)?;
    if chooses(query) {
        return chosen_one(query, collection, reader, builder);
    }
    let item = answer(query, collection, reader, SOURCE, &mut builder)?;
    let key = builder.bound();
    let bound = builder.bind(Binding::Text(None));
    let seen = and(reader.reach_shown(collection, &shown(query)?, SOURCE, &mut builder));
    let own =
        format!("{SOURCE}.{} = {bound}::text::{}", quote_identifier(&key_field.name), sql_type(key_field));
    let found = item.of_each(&format!("{} {SOURCE} WHERE {own}{seen}", table(collection)));
    let version = version(collection, reader, &format!("{bound}::text"), &mut builder);
    builder.push(&format!("SELECT p.j::text AS item, {version} AS version FROM ({found}) p"));
    Ok(ReadOne { statement: builder.finish("items.read_one"), key })
}

/// The version of the item with this key; of one that was never changed the first. What was is no ground for a change of
/// what is: in the past there is none.
fn version(collection: &Collection, reader: Reader<'_>, key: &str, b: &mut Builder) -> String {
    if reader.schema.past.is_some() {
        return "NULL::bigint".to_owned();
    }
    let name = b.bind(Binding::Text(Some(collection.name.clone())));
    format!(
        "coalesce((SELECT h.version FROM eventus.heads h WHERE h.collection = {name}::text AND h.key = {key}), {})",
        collection.first_version
    )
}

/// The query says more than which fields: the item is a list of one.
fn chooses(query: &Query) -> bool {
    let Query { filter, search, limit, offset, page, sort, .. } = query;
    let pages = limit.is_some() || offset.is_some() || page.is_some();
    filter.is_some() || search.is_some() || pages || !sort.is_empty() || asks_figures(query)
}

/// The item with this key, if it is on the page that the query describes; or the figures over it.
fn chosen_one(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    mut b: Builder,
) -> Result<ReadOne, Error> {
    let key_field = key_field(collection)?;
    let key = b.bound();
    let bound = b.bind(Binding::Text(None));
    let asked = format!("{bound}::text::{}", sql_type(key_field));
    let mut conditions = vec![format!("{SOURCE}.{} = {asked}", quote_identifier(&key_field.name))];
    let query =
        Query { filter: query.filter.as_ref().map(|filter| but_key(filter, collection)), ..query.clone() };
    conditions.extend(fitting(&query, &shown(&query)?, collection, reader, SOURCE, &mut b)?);
    let fits = filtered(&conditions);
    let mut own = "NULL::bigint".to_owned();
    let rows = if asks_figures(&query) {
        figures(&query, collection, reader, (SOURCE, &fits), &mut b)?
    } else {
        own = version(collection, reader, &format!("{bound}::text"), &mut b);
        let columns = format!("{SOURCE}.*");
        let wanted = Page { filtered: &fits, sort_field: None, alias: SOURCE, columns: &columns };
        let page = page(&query, collection, reader, &wanted, &mut b)?;
        answer(&query, collection, reader, SOURCE, &mut b)?.of_each(&format!("({page}) {SOURCE}"))
    };
    b.push(&format!("SELECT p.j::text AS item, {own} AS version FROM ({rows}) p LIMIT 1"));
    Ok(ReadOne { statement: b.finish("items.read_one"), key })
}

/// The key of the request stands for every condition on the key.
fn but_key(filter: &Filter, collection: &Collection) -> Filter {
    let is_other = |filter: &&Filter| match filter {
        Filter::Compare { field, function: None, .. } => *field != collection.primary_key,
        _ => true,
    };
    match filter {
        Filter::And(parts) => Filter::And(parts.iter().filter(is_other).cloned().collect()),
        other => Filter::And([other].into_iter().filter(is_other).cloned().collect()),
    }
}

/// Plans the read of items by their keys, in the order that is theirs, as [`plan_read`] without counts.
pub fn plan_read_keys(
    keys: &[String],
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<ReadPlan, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    check_now(query)?;
    let key_field = key_field(collection)?;
    let mut builder = Builder::of(reader);
    let item = answer(query, collection, reader, SOURCE, &mut builder)?;
    let column = format!("{SOURCE}.{}", quote_identifier(&key_field.name));
    let place = if keys.len() > 1 { place(collection, reader, SOURCE, &mut builder) } else { None };
    let by = if place.is_some() { "o, k" } else { "k" };
    builder.push(&format!(
        "SELECT '[' || coalesce(string_agg(j::text, ',' ORDER BY {by}), '') || ']' AS items FROM (SELECT "
    ));
    let place = place.map_or_else(String::new, |place| format!("{place} AS o, "));
    builder.push(&format!(
        "{item} AS j, {place}{column} AS k FROM {} {SOURCE} WHERE {column} = ANY(",
        table(collection)
    ));
    builder.push_bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let seen = and(reader.reach_shown(collection, &shown(query)?, SOURCE, &mut builder));
    builder.push(&format!("::text[]::{}[]){seen}) p", sql_type(key_field)));
    Ok(ReadPlan { statement: builder.finish("items.read_keys") })
}

/// Plans the look-up of the keys that fit a query, sorted, for a change of these fields or a deletion by query: rows of
/// `key text` and `within_reach boolean`, whether he may do it to this item, which he sees. The statement that writes asks the filter
/// again once it holds the locks.
pub fn plan_keys(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    (action, fields): (Action, &[&str]),
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, action)?;
    if query.cursor.is_some() {
        return Err(Error::invalid_query("\"cursor\" is only for reading lists"));
    }
    check_now(query)?;
    let key_field = key_field(collection)?;
    let mut b = Builder::of(reader);
    let filtered = filtered(&fitting(query, &None, collection, reader, SOURCE, &mut b)?);
    let mut reached: Vec<String> = reader.reach(collection, action, SOURCE, &mut b).into_iter().collect();
    reached
        .extend(fields.iter().filter_map(|name| reader.reach_with(name, collection, action, SOURCE, &mut b)));
    let reached = if reached.is_empty() { "true".to_owned() } else { reached.join(" AND ") };
    let columns =
        format!("{} AS key, coalesce({reached}, false) AS within_reach", answer_key(key_field, SOURCE));
    let wanted = Page { filtered: &filtered, sort_field: None, alias: SOURCE, columns: &columns };
    let keys = page(query, collection, reader, &wanted, &mut b)?;
    b.push(&keys);
    Ok(b.finish("items.keys"))
}

/// What is written is of now.
pub(crate) fn check_now(query: &Query) -> Result<(), Error> {
    match query.as_of {
        Some(_) => Err(Error::invalid_query("\"as_of\" is for reading")),
        None => Ok(()),
    }
}

/// The quoted table of a collection, or what stands for it.
pub(crate) fn table(collection: &Collection) -> String {
    if let Some(view) = &collection.view {
        return view.clone();
    }
    format!("\"public\".{}", quote_identifier(&collection.name))
}

/// The primary key's field; a collection without one is never in the schema.
pub(crate) fn key_field(collection: &Collection) -> Result<&Field, Error> {
    collection.key().ok_or_else(Error::internal)
}

/// A key as text, as events and answers name it.
pub(crate) fn answer_key(field: &Field, source: &str) -> String {
    format!("({})::text", answer_value(field, source))
}
