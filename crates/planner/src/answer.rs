//! The fields of an answer, with those of related items at any depth, as one JSON expression.
//!
//! Related items are sub-selects of the row that leads to them: one row by its key, or a page per parent.

mod columns;
mod members;

use std::collections::BTreeMap;

use access::Action;
use columns::Way;
use members::{Column, members};
use model::{Collection, Error, ErrorCode, Field, FieldType, Link, quote_identifier};
use query::{Query, Selected};

use crate::column::{ItemJson, answer_value};
use crate::figures::figures;
use crate::function::function_answer;
use crate::link::{target_key, to_any};
use crate::page::{Page, filtered, fitting, page};
use crate::read::{check_now, key_field, table};
use crate::reader::Reader;
use crate::search::{Sought, is_excerpt};
use crate::shown::{shown, shown_of};
use crate::statement::{Binding, Builder};

/// Sub-selects of one answer.
const BUDGET: usize = 500;

static NOTHING: BTreeMap<String, Query> = BTreeMap::new();
static NO_ALIAS: BTreeMap<String, String> = BTreeMap::new();

/// The JSON of one item read from `source`, as a query wants it.
pub(crate) fn answer(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> Result<ItemJson, Error> {
    let everything = ["*".to_owned()];
    let fields = query::select(query.fields.as_deref().unwrap_or(&everything))?;
    let wish = Wish {
        fields: &fields,
        deep: &query.deep,
        alias: &query.alias,
        search: query.search.as_deref(),
        no_backlink: query.no_backlink,
        depth: 0,
    };
    Answers { reader, spent: 0 }.object(wish, Source { collection, alias: source }, None, b)
}

/// The same of an item that was written just now: null where he who wrote may not see it.
pub(crate) fn answer_written(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> Result<String, Error> {
    check_now(query)?;
    if !reader.access.allows(&collection.name, Action::Read) {
        return Ok("NULL::json".to_owned());
    }
    let bound = b.bound();
    let item = match answer(query, collection, reader, source, b) {
        // Who may write an item but not see what he asks of it is told nothing.
        Err(Error { code: ErrorCode::Forbidden, .. }) if !reader.access.is_admin() => {
            b.forget(bound);
            return Ok("NULL::json".to_owned());
        }
        item => item?,
    };
    Ok(match reader.reach_shown(collection, &shown(query)?, source, b) {
        Some(condition) => format!("CASE WHEN {condition} THEN {item} END"),
        None => item.to_string(),
    })
}

/// Whether the JSON of a written item looks at its own collection: a related item's list may have it in it. The statement
/// that writes sees the collection as it was before.
pub fn sees_itself(query: &Query, collection: &Collection, reader: Reader<'_>) -> bool {
    let own = |field: &Field| matches!(&field.link, Some(Link::Many { collection: many, .. }) if *many == collection.name);
    let deeper = query.fields.iter().flatten().any(|field| field.contains('.'));
    if !deeper && !collection.fields.iter().any(own) {
        return false;
    }
    let looked_at = format!("{} ", table(collection));
    let answer = answer_written(query, collection, reader, "t", &mut Builder::of(reader));
    answer.is_ok_and(|answer| answer.contains(&looked_at))
}

/// What is wanted of the items of one collection.
#[derive(Clone, Copy)]
struct Wish<'q> {
    fields: &'q [Selected],
    deep: &'q BTreeMap<String, Query>,
    alias: &'q BTreeMap<String, String>,
    search: Option<&'q str>,
    no_backlink: bool,
    depth: usize,
}

impl<'q> Wish<'q> {
    /// What is asked of the items that a field leads to, beside their fields.
    fn asked(&self, name: &str, scope: Option<&str>) -> Option<&'q Query> {
        let scoped = scope.and_then(|scope| self.deep.get(&format!("{name}:{scope}")));
        scoped.or_else(|| self.deep.get(name))
    }

    /// Not a field, but where the text that is searched stands.
    fn is_excerpt(&self, selected: &Selected, collection: &Collection) -> bool {
        let bare = selected.function.is_none() && selected.below.is_empty();
        bare && is_excerpt(&selected.name, collection) && !self.alias.contains_key(&selected.name)
    }

    /// The wish for those items.
    fn below<'b>(&self, fields: &'b [Selected], asked: Option<&'b Query>) -> Wish<'b> {
        Wish {
            fields,
            deep: asked.map_or(&NOTHING, |query| &query.deep),
            alias: asked.map_or(&NO_ALIAS, |query| &query.alias),
            search: asked.and_then(|query| query.search.as_deref()),
            no_backlink: self.no_backlink,
            depth: self.depth + 1,
        }
    }
}

/// Where items are read from.
#[derive(Clone, Copy)]
struct Source<'s> {
    collection: &'s Collection,
    alias: &'s str,
}

struct Answers<'a> {
    reader: Reader<'a>,
    spent: usize,
}

impl Answers<'_> {
    fn object(
        &mut self,
        wish: Wish<'_>,
        source: Source<'_>,
        way: Way<'_>,
        b: &mut Builder,
    ) -> Result<ItemJson, Error> {
        let mut columns = self.columns(wish, source.collection, way)?;
        columns.retain(|column| !column.wild || self.is_within_reach(column.field));
        let values: Result<Vec<String>, Error> =
            columns.iter().map(|column| self.value(column, wish, source, b)).collect();
        let excerpt = match wish.fields.iter().any(|selected| wish.is_excerpt(selected, source.collection)) {
            true => Some(Sought::of(wish.search, source.collection, self.reader, source.alias)?.excerpts(b)),
            false => None,
        };
        Ok(members(&columns, &values?, excerpt, b))
    }

    fn value(
        &mut self,
        column: &Column<'_>,
        wish: Wish<'_>,
        source: Source<'_>,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let field = column.field;
        if let Some(function) = &column.function {
            return function_answer(function, field, source.collection, source.alias, &self.reader, b);
        }
        match &field.link {
            Some(Link::Many { .. }) => self.many(column, wish, source, b),
            _ if column.below.is_empty() => Ok(self.plain(field, source, b)),
            Some(Link::One { collection }) if column.wild && self.reader.related(collection).is_err() => {
                Ok(self.plain(field, source, b))
            }
            Some(Link::One { collection }) => {
                let held = self.reader.column(field, source.collection, source.alias, b);
                let fields = column.fields(None);
                self.one(column, collection, &fields, (wish, None), (source, &held), b)
            }
            Some(Link::Any { collection_field, allowed }) => {
                self.any(column, (collection_field, allowed), wish, source, b)
            }
            None => {
                let below = column.fields(None);
                let name = below.first().map_or("*", |selected| selected.name.as_str());
                Err(Error::forbidden_field(&source.collection.name, &format!("{}.{name}", column.name)))
            }
        }
    }

    /// A field's own value.
    fn plain(&self, field: &Field, source: Source<'_>, b: &mut Builder) -> String {
        let value = answer_value(field, source.alias);
        self.reader.masked(field, source.collection, source.alias, value, b)
    }

    /// One more relation, `depth` of them above it; `deeper` when fields of its items are named.
    fn spend(&mut self, depth: usize, deeper: bool) -> Result<(), Error> {
        self.spent += 1;
        self.reader.limits.check_depth(depth + 1 + usize::from(deeper))?;
        if self.spent > BUDGET {
            return Err(Error::invalid_query(format!("The query asks for more than {BUDGET} relations")));
        }
        Ok(())
    }

    /// The item that `held` is the key of.
    fn one(
        &mut self,
        column: &Column<'_>,
        related: &str,
        fields: &[Selected],
        (wish, scope): (Wish<'_>, Option<&str>),
        (source, held): (Source<'_>, &str),
        b: &mut Builder,
    ) -> Result<String, Error> {
        self.spend(wish.depth, true)?;
        let one = self.reader.related(related)?;
        let alias = b.alias();
        let asked = wish.asked(&column.name, scope);
        if asked.is_some_and(|query| !query.aggregate.is_empty()) {
            let reason = format!("\"_aggregate\" is of several items: \"{}\" leads to one", column.name);
            return Err(Error::invalid_query(reason));
        }
        let below = wish.below(fields, asked);
        let fits = fitting(
            asked.unwrap_or(&Query::default()),
            &shown_of(fields, below.alias),
            one,
            self.reader,
            &alias,
            b,
        )?;
        let way = Some((source.collection.name.as_str(), column.field.name.as_str()));
        let object = self.object(below, Source { collection: one, alias: &alias }, way, b)?;
        let own = format!("{} = {held}", target_key(one, &alias));
        let conditions: Vec<String> = [own].into_iter().chain(fits).collect();
        Ok(format!("({})", object.of_each(&format!("{} {alias}{}", table(one), filtered(&conditions)))))
    }

    /// The item that a field refers to together with the field that names the collection.
    fn any(
        &mut self,
        column: &Column<'_>,
        (collection_field, allowed): (&str, &[String]),
        wish: Wish<'_>,
        source: Source<'_>,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let which = format!("{}.{}", source.alias, quote_identifier(collection_field));
        let held = self.reader.column(column.field, source.collection, source.alias, b);
        let mut cases = String::new();
        for name in allowed {
            let fields = column.fields(Some(name));
            let seen = self.reader.related(name);
            if fields.is_empty() || seen.is_err() && (column.wild || !self.reader.access.is_admin()) {
                // Its key, which is a number only where that is what the key is.
                if let Ok(key @ Field { kind: FieldType::Integer, .. }) = seen.and_then(key_field) {
                    let (key, bound) = (to_any(key, &held), b.bind(Binding::Text(Some(name.clone()))));
                    cases.push_str(&format!(" WHEN {which} = {bound}::text THEN to_json({key})"));
                }
                continue;
            }
            let one = seen?;
            let key = to_any(key_field(one)?, &held);
            let object = self.one(column, name, &fields, (wish, Some(name)), (source, &key), b)?;
            let bound = b.bind(Binding::Text(Some(name.clone())));
            cases.push_str(&format!(" WHEN {which} = {bound}::text THEN {object}"));
        }
        if cases.is_empty() {
            return Ok(held);
        }
        Ok(format!("CASE{cases} ELSE to_json({held}) END"))
    }

    /// The items that refer to this one: a page of them, or of their keys.
    fn many(
        &mut self,
        column: &Column<'_>,
        wish: Wish<'_>,
        source: Source<'_>,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let Some(Link::Many { collection, field, sort_field, .. }) = &column.field.link else {
            return Err(Error::internal());
        };
        self.spend(wish.depth, !column.below.is_empty())?;
        let many = self.reader.related(collection)?;
        let alias = b.alias();
        let asked = wish.asked(&column.name, None);
        let default = Query::default();
        let query = asked.unwrap_or(&default);
        let mut conditions = vec![format!(
            "{alias}.{} = {}",
            quote_identifier(field),
            target_key(source.collection, source.alias)
        )];
        let shown = if !query.aggregate.is_empty() {
            shown(query)?
        } else if column.below.is_empty() {
            Some(vec![many.primary_key.clone()])
        } else {
            shown_of(&column.fields(None), &query.alias)
        };
        conditions.extend(fitting(query, &shown, many, self.reader, &alias, b)?);
        let filtered = filtered(&conditions);
        let rows = if query.aggregate.is_empty() {
            let (columns, sort_field) = (format!("{alias}.*"), sort_field.as_deref());
            let wanted = Page { filtered: &filtered, sort_field, alias: &alias, columns: &columns };
            let rows = page(query, many, self.reader, &wanted, b)?;
            let (fields, read) = (column.fields(None), Source { collection: many, alias: &alias });
            let value = if column.below.is_empty() {
                ItemJson::Expression(self.plain(key_field(many)?, read, b))
            } else {
                let way = Some((many.name.as_str(), field.as_str()));
                self.object(wish.below(&fields, asked), read, way, b)?
            };
            value.of_each(&format!("({rows}) {alias}"))
        } else {
            // Figures of these items take their place, whatever is wanted of them.
            figures(query, many, self.reader, (&alias, &filtered), b)?
        };
        let items = format!("(SELECT coalesce(json_agg(x.j), '[]'::json) FROM ({rows}) x)");
        Ok(self.reader.masked(column.field, source.collection, source.alias, items, b))
    }
}
