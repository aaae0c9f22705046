//! `ORDER BY`, with the joins of those that order by a related item's field.

use access::Action;
use model::{Collection, Error, Field, FieldType, Function, Link, quote_identifier};
use query::{Path, Query, Step};

use crate::function::function_value;
use crate::limits::Limits;
use crate::link::{target_key, to_any};
use crate::read::{key_field, table};
use crate::reader::Reader;
use crate::rights::and;
use crate::search::{Sought, is_relevance};
use crate::shape::readable_field;
use crate::statement::{Binding, Builder};

/// An order of items.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// ` LEFT JOIN ..` of related items.
    pub(crate) joins: String,
    /// What it goes by, the first thing first.
    pub(crate) parts: Vec<Part>,
}

/// One thing that an order goes by.
#[derive(Debug)]
pub(crate) struct Part {
    /// The expression.
    pub(crate) value: String,
    /// Greatest first; null counts as greater than everything.
    pub(crate) descending: bool,
    /// What it is of.
    pub(crate) of: Of,
}

/// What a part of an order is of.
#[derive(Debug)]
pub(crate) enum Of {
    /// What the query names.
    Asked(Path),
    /// A field of the collection, which stands there by itself.
    Own(String),
}

impl Order {
    /// ` ORDER BY ..`
    pub(crate) fn by(&self) -> String {
        let part = |part: &Part| format!("{}{}", part.value, if part.descending { " DESC" } else { "" });
        format!(" ORDER BY {}", self.parts.iter().map(part).collect::<Vec<_>>().join(", "))
    }

    fn push(&mut self, value: String, descending: bool, of: Of) {
        self.parts.push(Part { value, descending, of });
    }
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
    let mut has_key = false;
    for sort in &query.sort {
        let path = path(&sort.field, collection, reader.limits)?;
        has_key |= path.steps.is_empty() && path.function.is_none() && path.last.name == *key;
        let value = if is_relevance(&path, collection) {
            Sought::of(query.search.as_deref(), collection, reader, source)?.relevance(b)
        } else {
            let way = Way { steps: &path.steps, path: &path, descending: sort.descending };
            way.value(collection, source, reader, &mut order.joins, b)?
        };
        order.push(value, sort.descending, Of::Asked(path));
    }
    let by_itself = own_order(collection, sort_field, reader);
    if let (true, Some(field)) = (order.parts.is_empty(), by_itself) {
        has_key |= field.name == *key;
        let value = reader.column(field, collection, source, b);
        order.push(value, false, Of::Own(field.name.clone()));
    }
    if !has_key {
        order.push(target_key(collection, source), false, Of::Own(key.clone()));
    }
    Ok(order)
}

/// The field that orders items where nobody says how.
fn own_order<'c>(
    collection: &'c Collection,
    sort_field: Option<&str>,
    reader: Reader<'_>,
) -> Option<&'c Field> {
    let name = sort_field.or(collection.sort_field.as_deref())?;
    let field = readable_field(name, collection, reader.access).ok()?;
    (field.is_stored() && !field.is_concealed() && field.kind != FieldType::Json).then_some(field)
}

/// What stands before the key in the order of written items: `<source>.<place>, `, if their collection has one.
pub(crate) fn place(
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> Option<String> {
    let field = own_order(collection, None, reader).filter(|field| field.name != collection.primary_key)?;
    Some(reader.column(field, collection, source, b))
}

/// A name to order by: what is none is no field that may be read.
fn path(name: &str, collection: &Collection, limits: Limits) -> Result<Path, Error> {
    let path = Path::parse(name).map_err(|_| Error::forbidden_field(&collection.name, name))?;
    limits.check_depth(path.steps.len() + 1)?;
    // A function stands before the last name, not around the way to it.
    match name.split_once('(') {
        Some((_, inner)) if inner.contains('.') && !matches!(path.function, Some(Function::Json(_))) => {
            Err(Error::forbidden_field(&collection.name, name))
        }
        _ => Ok(path),
    }
}

/// A path that is ordered by.
struct Way<'p> {
    steps: &'p [Step],
    path: &'p Path,
    descending: bool,
}

impl Way<'_> {
    /// What the path leads to, from items of `collection` read as `source`; joins what is on its way. Of several
    /// related items the first in the order counts.
    fn value(
        &self,
        collection: &Collection,
        source: &str,
        reader: Reader<'_>,
        joins: &mut String,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            return self.last(collection, source, reader, b);
        };
        let field = readable_field(&step.name, collection, reader.access)?;
        match &field.link {
            Some(Link::One { collection: related }) => {
                let one = reader.related(related)?;
                let alias = b.alias();
                let held = reader.column(field, collection, source, b);
                let seen = and(reader.reach(one, Action::Read, &alias, b));
                let key = target_key(one, &alias);
                joins.push_str(&format!(" LEFT JOIN {} {alias} ON {key} = {held}{seen}", table(one)));
                Way { steps: rest, ..*self }.value(one, &alias, reader, joins, b)
            }
            Some(Link::Many { collection: related, field: by, .. }) => {
                let many = reader.related(related)?;
                let (alias, mut inner) = (b.alias(), String::new());
                let value = Way { steps: rest, ..*self }.value(many, &alias, reader, &mut inner, b)?;
                let seen = and(reader.reach(many, Action::Read, &alias, b));
                let first =
                    self.first(&value, many, (&alias, by), &inner, &(target_key(collection, source) + &seen));
                Ok(reader.masked(field, collection, source, first, b))
            }
            Some(Link::Any { collection_field, allowed }) if step.scope.is_some() => {
                let scope = step.scope.as_deref().unwrap_or_default();
                let one = reader.related(scope)?;
                if !allowed.iter().any(|name| name == scope) {
                    return Err(Error::forbidden_collection(scope));
                }
                let alias = b.alias();
                let held = to_any(key_field(one)?, &reader.column(field, collection, source, b));
                let seen = and(reader.reach(one, Action::Read, &alias, b));
                let which = b.bind(Binding::Text(Some(scope.to_owned())));
                joins.push_str(&format!(
                    " LEFT JOIN {} {alias} ON {} = {held} AND {source}.{} = {which}::text{seen}",
                    table(one),
                    target_key(one, &alias),
                    quote_identifier(collection_field)
                ));
                Way { steps: rest, ..*self }.value(one, &alias, reader, joins, b)
            }
            _ => {
                let below = rest.first().unwrap_or(&self.path.last);
                Err(Error::forbidden_field(&collection.name, &below.name))
            }
        }
    }

    /// The first value of those who refer to `key` (and whatever else must hold of them).
    fn first(
        &self,
        value: &str,
        many: &Collection,
        (alias, by): (&str, &str),
        joins: &str,
        key: &str,
    ) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        format!(
            "(SELECT {value} FROM {} {alias}{joins} WHERE {alias}.{} = {key} ORDER BY 1{direction} LIMIT 1)",
            table(many),
            quote_identifier(by)
        )
    }

    fn last(
        &self,
        collection: &Collection,
        source: &str,
        reader: Reader<'_>,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let field = readable_field(&self.path.last.name, collection, reader.access)?;
        if let Some(function) = &self.path.function {
            return function_value(function, field, collection, source, &reader, b);
        }
        if let Some(Link::Many { collection: related, field: by, .. }) = &field.link {
            let many = reader.related(related)?;
            let alias = b.alias();
            let seen = and(reader.reach(many, Action::Read, &alias, b));
            let key = target_key(collection, source) + &seen;
            let first = self.first(&target_key(many, &alias), many, (&alias, by), "", &key);
            return Ok(reader.masked(field, collection, source, first, b));
        }
        if field.is_concealed() || !field.is_stored() {
            return Err(Error::forbidden_field(&collection.name, &field.name));
        }
        if field.kind == FieldType::Json {
            return Err(Error::invalid_query(format!("\"{}\" has no order: it is json", field.name)));
        }
        Ok(reader.column(field, collection, source, b))
    }
}
