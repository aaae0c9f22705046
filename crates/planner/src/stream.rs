//! Reading many: the same items as a list, but as rows of their own, so that nobody has to hold them all.

use access::{Access, Action};
use model::{Collection, Error, Field, FieldType, Function, Link};
use query::{LARGEST_DOCUMENT, Query, Selected};

use crate::answer::answer;
use crate::figures::figures;
use crate::limits::Limits;
use crate::page::{Page, filtered, fitting, page};
use crate::read::{SOURCE, plan_estimate, singleton, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::shown::shown;
use crate::statement::{Builder, Statement};

/// How to stream a list: statements for one and the same snapshot of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPlan {
    /// One row of `total_count bigint`, `filter_count bigint`, as far as the query asks for them; none when it doesn't.
    pub counts: Option<Statement>,
    /// That of [`plan_estimate`], if the query asks for it.
    pub estimate: Option<Statement>,
    /// Rows of `item text`, in their order.
    pub items: Statement,
    /// It is a singleton: one row, an object.
    pub single: bool,
    /// All items have the same members outside of lists: what the first one shows is true of all.
    pub uniform: bool,
}

/// The list may be longer than a document.
///
/// # Errors
/// `INVALID_QUERY`: it is longer than it may be.
pub fn is_large(query: &Query, collection: &Collection, limits: Limits) -> Result<bool, Error> {
    let one = collection.singleton || !query.aggregate.is_empty() && query.group.is_empty();
    Ok(!one && limits.items(query)?.is_none_or(|limit| limit > LARGEST_DOCUMENT))
}

/// Plans a list, or the figures over it, item by item.
///
/// # Errors
/// As [`crate::plan_read`].
pub fn plan_stream(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<StreamPlan, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(query)?;
    if query.cursor.is_some() {
        return Err(Error::invalid_query("\"cursor\" is for pages, a file is whole"));
    }
    let counts = counts(query, collection, reader)?;
    let wanted = query.meta.filter_count_estimate;
    let estimate = wanted.then(|| plan_estimate(query, collection, reader)).transpose()?;
    let mut b = Builder::of(reader);
    let filtered = filtered(&fitting(query, &shown(query)?, collection, reader, SOURCE, &mut b)?);
    if !query.aggregate.is_empty() || !query.group.is_empty() {
        let rows = figures(query, collection, reader, (SOURCE, &filtered), &mut b)?;
        b.push(&format!("SELECT j::text AS item FROM ({rows}) p"));
        let items = b.finish("items.stream");
        return Ok(StreamPlan { counts, estimate, items, single: false, uniform: true });
    }
    let item = answer(query, collection, reader, SOURCE, &mut b)?;
    let columns = format!("{SOURCE}.*");
    let wanted = Page { filtered: &filtered, sort_field: None, alias: SOURCE, columns: &columns };
    if collection.singleton {
        let item = singleton(query, collection, reader, (&item, &wanted), &mut b)?;
        b.push(&format!("SELECT {item} AS item"));
    } else {
        let page = page(query, collection, reader, &wanted, &mut b)?;
        let rows = item.of_each(&format!("({page}) {SOURCE}"));
        b.push(&format!("SELECT j::text AS item FROM ({rows}) p"));
    }
    let uniform = is_uniform(query, collection, reader.access)?;
    let items = b.finish("items.stream");
    Ok(StreamPlan { counts, estimate, items, single: collection.singleton, uniform })
}

/// The counts that the query asks for.
fn counts(query: &Query, collection: &Collection, reader: Reader<'_>) -> Result<Option<Statement>, Error> {
    let (mut b, mut parts) = (Builder::of(reader), Vec::new());
    let table = table(collection);
    let mut count = |conditions: &[String], name: &str| {
        parts.push(format!("(SELECT count(*) FROM {table} {SOURCE}{}) AS {name}", filtered(conditions)));
    };
    if query.meta.total_count {
        let seen: Vec<String> = reader.reach(collection, Action::Read, SOURCE, &mut b).into_iter().collect();
        count(&seen, "total_count");
    }
    if query.meta.filter_count {
        count(&fitting(query, &None, collection, reader, SOURCE, &mut b)?, "filter_count");
    }
    if parts.is_empty() {
        return Ok(None);
    }
    b.push(&format!("SELECT {}", parts.join(", ")));
    Ok(Some(b.finish("items.counts")))
}

/// See [`StreamPlan::uniform`]: said only where it is certain.
fn is_uniform(query: &Query, collection: &Collection, access: &Access) -> Result<bool, Error> {
    let everything = ["*".to_owned()];
    let selected = query::select(query.fields.as_deref().unwrap_or(&everything))?;
    let flat = |field: &Field, wanted: &Selected| match (&field.link, &wanted.function) {
        (_, Some(function)) => !matches!(function, Function::Json(_)),
        (Some(Link::Many { .. }), None) => true,
        (Some(_), None) => wanted.below.is_empty(),
        (None, None) => !matches!(field.kind, FieldType::Json | FieldType::Geometry(_) | FieldType::Unknown),
    };
    Ok(selected.iter().all(|wanted| {
        if wanted.name == "*" {
            let readable = |field: &&Field| access.allows_field(&collection.name, &field.name, Action::Read);
            return collection.fields.iter().filter(readable).all(|field| flat(field, wanted));
        }
        let name = query.alias.get(&wanted.name).unwrap_or(&wanted.name);
        collection.field(name).is_some_and(|field| flat(field, wanted))
    }))
}

#[cfg(test)]
mod tests {
    use access::Access;
    use query::Query;
    use time::OffsetDateTime;

    use super::{StreamPlan, is_large, plan_stream};
    use crate::shape::tests::shop;
    use crate::{Limits, Reader, Statement, Variables};

    fn plan(collection: &str, text: &str) -> StreamPlan {
        let (schema, access) = (shop(), Access::admin());
        let now = OffsetDateTime::UNIX_EPOCH;
        let (roles, policies) = (Vec::new(), Vec::new());
        let variables = Variables { now, user: None, role: None, roles, policies };
        let reader =
            Reader { schema: &schema, access: &access, variables: &variables, limits: Limits::default() };
        let query = Query::from_query_string(text).unwrap();
        plan_stream(&query, schema.collection(collection).unwrap(), reader).unwrap()
    }

    fn shown(statement: &Statement) -> String {
        format!("{}\n{:?}", statement.sql, statement.bindings)
    }

    #[test]
    fn items_are_rows_and_counts_come_first() {
        let all = plan("posts", "fields=id,title&limit=-1&filter[title][_eq]=a&meta=*");
        insta::assert_snapshot!(shown(&all.items));
        insta::assert_snapshot!(shown(&all.counts.unwrap()));
        let total = plan("posts", "fields=id&limit=-1&filter[title][_eq]=a&meta=total_count").counts.unwrap();
        insta::assert_snapshot!(shown(&total));
        insta::assert_snapshot!(shown(&plan("posts", "aggregate[count]=id&groupBy=title&limit=-1").items));
    }

    #[test]
    fn members_are_known_where_nothing_is_nested() {
        for (collection, query, uniform) in [
            ("posts", "", true),
            ("posts", "fields=*,tags.tags_id.name", true),
            ("posts", "fields=id,author,year(at)", true),
            ("posts", "fields=id,author.name", false),
            ("posts", "fields=*.*", false),
            ("posts", "fields=written&alias[written]=author", true),
            ("posts_blocks", "fields=item", true),
            ("posts_blocks", "fields=item:headings.text", false),
            ("articles", "fields=id,title,tags,token", true),
            ("articles", "", false),
            ("articles", "fields=id,meta", false),
            ("posts", "aggregate[count]=id&groupBy=title", true),
        ] {
            assert_eq!(plan(collection, query).uniform, uniform, "{collection} {query}");
        }
    }

    #[test]
    fn what_a_document_does_not_hold_is_large() {
        let schema = shop();
        let posts = schema.collection("posts").unwrap();
        let large = |text: &str| {
            is_large(&Query::from_query_string(text).unwrap(), posts, Limits::default()).unwrap()
        };
        assert!(!large("") && !large("limit=1000") && !large("limit=-1&aggregate[count]=*"));
        assert!(
            large("limit=-1") && large("limit=1001") && large("limit=-1&aggregate[count]=*&groupBy=title")
        );
        let bound = Limits { max: Some(1_000), ..Limits::default() };
        assert!(!is_large(&Query::from_query_string("limit=-1").unwrap(), posts, bound).unwrap());
    }
}
