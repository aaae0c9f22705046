//! A page of items: which, in what order, how many.

use model::{Collection, Error};
use query::Query;

use crate::condition::{Conditions, Whose, check_depth};
use crate::limits::Limits;
use crate::order::order_by;
use crate::read::table;
use crate::reader::Reader;
use crate::search;
use crate::shown::Shown;
use crate::statement::Builder;

/// What a page is of.
pub(crate) struct Page<'a> {
    /// Which items: ` WHERE ..` or nothing.
    pub(crate) filtered: &'a str,
    /// Orders them unless the query does.
    pub(crate) sort_field: Option<&'a str>,
    /// What they are read as.
    pub(crate) alias: &'a str,
    /// What is selected of them.
    pub(crate) columns: &'a str,
}

/// The items of a page: `SELECT .. FROM .. a ..`.
pub(crate) fn page(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    page: &Page<'_>,
    b: &mut Builder,
) -> Result<String, Error> {
    let Page { filtered, sort_field, alias, columns } = page;
    let order = order_by(query, collection, reader, (alias, *sort_field), b)?;
    let window = Window::of(query, reader.limits)?.sql();
    let table = table(collection);
    if let Some(found) = found(query, collection, alias, filtered) {
        return Ok(format!("SELECT {columns} FROM {found}{}{}{window}", order.joins, order.by()));
    }
    Ok(format!("SELECT {columns} FROM {table} {alias}{}{filtered}{}{window}", order.joins, order.by()))
}

/// The items that are found by managed indexes, read as `alias`; nothing where none is asked. A wall: on the way through
/// another index, one that has the order, the words of every item would be taken anew.
pub(crate) fn found(query: &Query, collection: &Collection, alias: &str, filtered: &str) -> Option<String> {
    let by_index = query.search.is_some() && collection.has_search_indexes();
    by_index
        .then(|| format!("(SELECT {alias}.* FROM {} {alias}{filtered} OFFSET 0) {alias}", table(collection)))
}

/// ` WHERE ..` of these conditions, or nothing.
pub(crate) fn filtered(conditions: &[String]) -> String {
    match conditions {
        [] => String::new(),
        all => format!(" WHERE {}", all.join(" AND ")),
    }
}

/// The conditions of a query: what may be seen by who is shown these fields, filter and search.
pub(crate) fn fitting(
    query: &Query,
    shown: &Shown,
    collection: &Collection,
    reader: Reader<'_>,
    alias: &str,
    b: &mut Builder,
) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    all.extend(reader.reach_shown(collection, shown, alias, b));
    if let Some(filter) = &query.filter {
        check_depth(filter, reader.limits)?;
        let conditions = Conditions {
            reader,
            collection,
            source: alias,
            depth: 0,
            whose: Whose::Client,
            owner: None,
            alternative: false,
        };
        all.push(conditions.write(filter, b)?);
    }
    if let Some(text) = &query.search {
        all.push(search::condition(text, collection, reader, alias, b)?);
    }
    Ok(all)
}

/// How many items, from where.
pub(crate) struct Window {
    limit: Option<i64>,
    offset: i64,
}

impl Window {
    /// Numbers of ours, not bindings: PostgreSQL can't choose an index for a limit that it doesn't know.
    pub(crate) fn sql(&self) -> String {
        let limit = self.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let offset = if self.offset > 0 { format!(" OFFSET {}", self.offset) } else { String::new() };
        limit + &offset
    }

    /// That of a query.
    pub(crate) fn of(query: &Query, limits: Limits) -> Result<Self, Error> {
        let limit = limits.items(query)?.unwrap_or(-1);
        let too_far = || Error::invalid_query("\"offset\" is too large");
        let offset = match (query.page, query.offset) {
            (Some(page @ 1..), _) if limit >= 0 => {
                i64::try_from(page - 1).ok().and_then(|p| p.checked_mul(limit))
            }
            (_, Some(offset)) => i64::try_from(offset).ok(),
            _ => Some(0),
        };
        Ok(Self { limit: (limit >= 0).then_some(limit), offset: offset.ok_or_else(too_far)? })
    }
}
