//! A tree: items below those that they refer to, found level by level.

use access::Action;
use model::{Collection, Error, Field, Link};
use query::{Query, TreeReport};

use crate::answer::answer;
use crate::column::{answer_of, sql_type};
use crate::keyset::visible_key;
use crate::link::target_key;
use crate::order::order_by;
use crate::page::{filtered, fitting};
use crate::read::{SOURCE, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::shape::readable_field;
use crate::shown::shown;
use crate::statement::{Binding, Builder, Statement};
use crate::value::parse_key;

/// Plans a tree: one statement with a row for each item, level by level, those of a level in the query's order.
///
/// Columns: `key text` and `parent text` (null at the beginning), both JSON; `depth integer`, from 1; `item text`; and the
/// same in every row: `deeper` (items below the last level were left out), `more` (there are more
/// items than asked for), `cycle` (an item stands above itself: it comes once).
///
/// # Errors
/// `FORBIDDEN`: fields, collection or root out of reach. `INVALID_QUERY`: a parent that leads elsewhere.
pub fn plan_tree(
    report: &TreeReport,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(&Query { limit: None, ..report.query.clone() })?;
    // What is left out is said, so the server's own bound needs no refusal.
    let nodes = reader.limits.max.map_or(report.nodes, |max| report.nodes.min(max));
    let mut b = Builder::default();
    let key = visible_key(collection, reader, &mut b)?;
    let parent = parent(&report.parent, collection, reader)?;
    let above = reader.column(parent, collection, SOURCE, &mut b);
    let first = beginning(report, collection, &above, reader, &mut b)?;
    let mut next = vec![format!("p.depth <= {}", report.depth)];
    next.extend(fitting(&report.query, &shown(&report.query)?, collection, reader, SOURCE, &mut b)?);
    let order = order_by(&report.query, collection, reader, (SOURCE, None), &mut b)?;
    let item = answer(&report.query, collection, reader, SOURCE, &mut b)?;
    let (table, own) = (table(collection), target_key(collection, SOURCE));
    let depth = report.depth;
    // A null that has the key's type, its collation too.
    b.push(&format!(
        "WITH RECURSIVE tree AS (SELECT {own} AS key, CASE WHEN false THEN {own} END AS parent, "
    ));
    b.push(&format!("1 AS depth FROM {table} {SOURCE}{}", filtered(&first)));
    b.push(&format!(" UNION ALL SELECT {own}, p.key, p.depth + 1 FROM tree p JOIN {table} {SOURCE} ON "));
    b.push(&format!("{above} = p.key{}) CYCLE key SET again USING path, ", filtered(&next)));
    // Levels are made one after the other and no further than they are read: the limit bounds the work.
    b.push("nodes AS MATERIALIZED (SELECT key, parent, depth, again FROM tree LIMIT ");
    b.push(&format!("{}) SELECT ", u64::from(nodes) + 1));
    for (name, held) in [("key", "n.key"), ("parent", "n.parent")] {
        b.push(&format!("to_json({})::text AS {name}, ", answer_of(key, held)));
    }
    b.push(&format!("n.depth, {item}::text AS item, m.deeper, m.more, m.cycle FROM nodes n JOIN {table} "));
    b.push(&format!("{SOURCE} ON {own} = n.key{} CROSS JOIN (SELECT ", order.joins));
    b.push(&format!("bool_or(depth > {depth} AND NOT again) AS deeper, bool_or(again) AS cycle, "));
    b.push(&format!("count(*) FILTER (WHERE depth <= {depth}) > {nodes} AS more FROM nodes) m"));
    let by = order.by().replacen(" ORDER BY ", "", 1);
    b.push(&format!(" WHERE n.depth <= {depth} AND NOT n.again ORDER BY n.depth, {by} LIMIT {nodes}"));
    Ok(b.finish("reports.tree"))
}

/// The field that leads to the item above.
fn parent<'a>(name: &str, collection: &'a Collection, reader: Reader<'_>) -> Result<&'a Field, Error> {
    let field = readable_field(name, collection, reader.access)?;
    match &field.link {
        Some(Link::One { collection: above }) if *above == collection.name => Ok(field),
        _ => Err(Error::invalid_query(format!(
            "\"{name}\" is no reference to another item of \"{}\"",
            collection.name
        ))),
    }
}

/// Which items stand at the beginning.
fn beginning(
    report: &TreeReport,
    collection: &Collection,
    above: &str,
    reader: Reader<'_>,
    b: &mut Builder,
) -> Result<Vec<String>, Error> {
    let own = match &report.root {
        None => format!("{above} IS NULL"),
        Some(root) => {
            let field = key_field(collection)?;
            let bound = b.bind(Binding::Text(Some(parse_key(root, field)?)));
            format!("{} = {bound}::text::{}", target_key(collection, SOURCE), sql_type(field))
        }
    };
    let fits = fitting(&report.query, &shown(&report.query)?, collection, reader, SOURCE, b)?;
    Ok([own].into_iter().chain(fits).collect())
}
