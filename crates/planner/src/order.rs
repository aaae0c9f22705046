//! `ORDER BY`, with the joins of those that order by a related item's field.

use model::{Collection, Error, FieldType, Link, quote_identifier};
use query::{Path, Query};

use crate::function::function_value;
use crate::link::target_key;
use crate::read::table;
use crate::reader::Reader;
use crate::shape::readable_field;
use crate::statement::Builder;

/// An order of items.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// ` LEFT JOIN ..` of related items.
    pub(crate) joins: String,
    /// ` ORDER BY ..`
    pub(crate) by: String,
}

/// The order of a query, with the key as the last word, so that pages never overlap.
pub(crate) fn order_by(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    (source, sort_field): (&str, Option<&str>),
    b: &mut Builder,
) -> Result<Order, Error> {
    let key = &collection.primary_key;
    let mut order = Order::default();
    let mut parts: Vec<String> = Vec::with_capacity(query.sort.len() + 1);
    let mut has_key = false;
    for sort in &query.sort {
        let path = Path::parse(&sort.field)?;
        has_key |= path.steps.is_empty() && path.function.is_none() && path.last.name == *key;
        let value = value(&path, collection, reader, source, &mut order.joins, b)?;
        parts.push(format!("{value}{}", if sort.descending { " DESC" } else { "" }));
    }
    let ordered = |name: &&str| {
        collection.field(name).is_some_and(|field| field.is_stored() && field.kind != FieldType::Json)
    };
    let by_itself = sort_field.or(collection.sort_field.as_deref()).filter(ordered);
    if let (true, Some(sort_field)) = (parts.is_empty(), by_itself) {
        has_key |= sort_field == key;
        parts.push(format!("{source}.{}", quote_identifier(sort_field)));
    }
    if !has_key {
        parts.push(target_key(collection, source));
    }
    order.by = format!(" ORDER BY {}", parts.join(", "));
    Ok(order)
}

/// What a path leads to; joins what is on its way.
fn value(
    path: &Path,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    joins: &mut String,
    b: &mut Builder,
) -> Result<String, Error> {
    let (mut collection, mut source) = (collection, source.to_owned());
    for step in &path.steps {
        let field = readable_field(&step.name, collection, reader.access)?;
        let Some(Link::One { collection: related }) = &field.link else {
            return Err(Error::invalid_query(format!("\"{}\" can't be sorted by", path.last.name)));
        };
        let one = reader.related(related)?;
        let alias = b.alias();
        let held = quote_identifier(&field.name);
        joins.push_str(&format!(
            " LEFT JOIN {} {alias} ON {} = {source}.{held}",
            table(one),
            target_key(one, &alias)
        ));
        (collection, source) = (one, alias);
    }
    let field = readable_field(&path.last.name, collection, reader.access)?;
    if let Some(function) = &path.function {
        return function_value(function, field, collection, &source, &reader, b);
    }
    if field.is_concealed() || !field.is_stored() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    if field.kind == FieldType::Json {
        return Err(Error::invalid_query(format!("\"{}\" has no order: it is json", field.name)));
    }
    Ok(format!("{source}.{}", quote_identifier(&field.name)))
}
