//! Reading: a query -> one statement whose answer is JSON text.

use access::{Access, Action};
use model::{Collection, Error, Field, FieldType, quote_identifier};
use query::Query;

use crate::column::{answer_value, json_row, sql_type};
use crate::condition::Conditions;
use crate::shape::{answer_fields, check_collection, readable_field};
use crate::statement::{Binding, Builder, Statement};
use crate::value::parse_key;

/// Items per page when the query names no limit.
const DEFAULT_LIMIT: i64 = 100;

/// The alias that items are read under.
const SOURCE: &str = "t";

/// How to answer a list: one statement with the column `items text`, and `total_count bigint`, `filter_count bigint`
/// where the query asks for them. Of a singleton `items` is its one item, an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadPlan {
    /// The one statement.
    pub statement: Statement,
}

/// How to answer for one item: one statement with the column `item text`; no row = no such item.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOne {
    /// The one statement.
    pub statement: Statement,
}

/// Plans a list.
pub fn plan_read(query: &Query, collection: &Collection, access: &Access) -> Result<ReadPlan, Error> {
    check_collection(collection, access, Action::Read)?;
    let mut builder = Builder::default();
    let conditions = Conditions { collection, access, source: SOURCE };
    let filter = match &query.filter {
        Some(filter) => Some(conditions.write(filter, &mut builder)?),
        None => None,
    };
    let fields = answer_fields(query, collection, access)?;
    let order = order_by(query, collection, access)?;
    let window = window(query)?;
    let table = table(collection);
    let filtered = filter.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
    let count = |wanted: bool, condition: &str, name: &str| match wanted {
        true => format!(", (SELECT count(*) FROM {table} {SOURCE}{condition}) AS {name}"),
        false => String::new(),
    };
    let counts = count(query.meta.total_count, "", "total_count")
        + &count(query.meta.filter_count, &filtered, "filter_count");
    if collection.singleton {
        let first = format!("SELECT * FROM {table} {SOURCE}{filtered}{order} LIMIT 1");
        let item = json_row(fields.iter().copied(), SOURCE);
        builder.push(&format!("SELECT coalesce((SELECT {item}::text FROM ({first}) {SOURCE}), "));
        builder.push(&unwritten(&fields, collection)).push(&format!("::text) AS items{counts}"));
    } else {
        let page = format!("SELECT * FROM {table} {SOURCE}{filtered}{order}{}", window.sql());
        builder
            .push(&format!("SELECT '[' || coalesce(string_agg(j::text, ','), '') || ']' AS items{counts}"));
        builder.push(" FROM (SELECT ").push(&json_row(fields, SOURCE));
        builder.push(&format!(" AS j FROM ({page}) {SOURCE}) p"));
    }
    Ok(ReadPlan { statement: builder.finish("items.read") })
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

/// Plans the read of one item by its key's text. A malformed key is 403, as a missing item is.
pub fn plan_read_one(
    key: &str,
    query: &Query,
    collection: &Collection,
    access: &Access,
) -> Result<ReadOne, Error> {
    check_collection(collection, access, Action::Read)?;
    let key_field = key_field(collection)?;
    let key = parse_key(key, key_field)?;
    let fields = answer_fields(query, collection, access)?;
    let mut builder = Builder::default();
    builder.push(&format!(
        "SELECT {}::text AS item FROM {} {SOURCE} WHERE ",
        json_row(fields, SOURCE),
        table(collection)
    ));
    builder.push(&format!("{SOURCE}.{} = ", quote_identifier(&key_field.name)));
    builder.push_bind(Binding::Text(Some(key))).push(&format!("::text::{}", sql_type(key_field)));
    Ok(ReadOne { statement: builder.finish("items.read_one") })
}

/// Plans the read of items by their keys, in key order, as [`plan_read`] without counts.
pub fn plan_read_keys(
    keys: &[String],
    query: &Query,
    collection: &Collection,
    access: &Access,
) -> Result<ReadPlan, Error> {
    check_collection(collection, access, Action::Read)?;
    let key_field = key_field(collection)?;
    let fields = answer_fields(query, collection, access)?;
    let mut builder = Builder::default();
    let column = format!("{SOURCE}.{}", quote_identifier(&key_field.name));
    builder.push(
        "SELECT '[' || coalesce(string_agg(j::text, ',' ORDER BY k), '') || ']' AS items FROM (SELECT ",
    );
    builder.push(&format!(
        "{} AS j, {column} AS k FROM {} {SOURCE} WHERE {column} = ANY(",
        json_row(fields, SOURCE),
        table(collection)
    ));
    builder.push_bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    builder.push(&format!("::text[]::{}[])) p", sql_type(key_field)));
    Ok(ReadPlan { statement: builder.finish("items.read_keys") })
}

/// Plans the look-up of the keys that fit a query, sorted, for a change or deletion by query: rows of `key text`.
/// The statement that writes asks the filter again once it holds the locks.
pub fn plan_keys(
    query: &Query,
    collection: &Collection,
    access: &Access,
    action: Action,
) -> Result<Statement, Error> {
    check_collection(collection, access, action)?;
    let key_field = key_field(collection)?;
    let mut builder = Builder::default();
    let conditions = Conditions { collection, access, source: SOURCE };
    let filter = match &query.filter {
        Some(filter) => format!(" WHERE {}", conditions.write(filter, &mut builder)?),
        None => String::new(),
    };
    let order = order_by(query, collection, access)?;
    let window = window(query)?;
    let window = window.sql();
    builder.push(&format!(
        "SELECT {} AS key FROM {} {SOURCE}{filter}{order}{window}",
        answer_key(key_field, SOURCE),
        table(collection)
    ));
    Ok(builder.finish("items.keys"))
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

/// `ORDER BY` with the key as the last word, so that pages never overlap.
fn order_by(query: &Query, collection: &Collection, access: &Access) -> Result<String, Error> {
    let key = &collection.primary_key;
    let mut parts: Vec<String> = Vec::with_capacity(query.sort.len() + 1);
    let mut has_key = false;
    let column = |name: &str| format!("{SOURCE}.{}", quote_identifier(name));
    for sort in &query.sort {
        let field = readable_field(&sort.field, collection, access)?;
        if field.is_concealed() {
            return Err(Error::forbidden_field(&collection.name, &field.name));
        }
        if field.kind == FieldType::Json {
            return Err(Error::invalid_query(format!("\"{}\" has no order: it is json", field.name)));
        }
        has_key |= field.name == *key;
        parts.push(format!("{}{}", column(&field.name), if sort.descending { " DESC" } else { "" }));
    }
    let ordered = |name: &&str| collection.field(name).is_some_and(|field| field.kind != FieldType::Json);
    let sort_field = collection.sort_field.as_deref().filter(ordered);
    if let (true, Some(sort_field)) = (parts.is_empty(), sort_field) {
        has_key |= sort_field == key;
        parts.push(column(sort_field));
    }
    if !has_key {
        parts.push(column(key));
    }
    Ok(format!(" ORDER BY {}", parts.join(", ")))
}

struct Window {
    limit: Option<i64>,
    offset: i64,
}

impl Window {
    /// Numbers of ours, not bindings: PostgreSQL can't choose an index for a limit that it doesn't know.
    fn sql(&self) -> String {
        let limit = self.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let offset = if self.offset > 0 { format!(" OFFSET {}", self.offset) } else { String::new() };
        limit + &offset
    }
}

fn window(query: &Query) -> Result<Window, Error> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let too_far = || Error::invalid_query("\"offset\" is too large");
    let offset = match (query.page, query.offset) {
        (Some(page @ 1..), _) if limit >= 0 => {
            i64::try_from(page - 1).ok().and_then(|p| p.checked_mul(limit))
        }
        (_, Some(offset)) => i64::try_from(offset).ok(),
        _ => Some(0),
    };
    Ok(Window { limit: (limit >= 0).then_some(limit), offset: offset.ok_or_else(too_far)? })
}
