//! Figures over the items around each item: running and moving ones, ranks, what came before.

use access::Action;
use model::{Collection, Error, Field, FieldType};
use query::{Compute, Figure, WindowReport};

use super::comparable;
use crate::answer::answer;
use crate::link::target_key;
use crate::order::order_by;
use crate::page::{Window, filtered, fitting};
use crate::read::{ReadPlan, SOURCE, counts, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::shape::readable_field;
use crate::shown::shown;
use crate::statement::{Binding, Builder};

/// Plans figures over windows: one statement with the columns of [`crate::plan_read`]; `items` are objects with `item` and
/// `figures`. All items that fit make the windows, whichever page of them is answered.
///
/// # Errors
/// `FORBIDDEN`: fields or collection out of reach. `INVALID_QUERY`: a field that can't be computed with.
pub fn plan_window(
    report: &WindowReport,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<ReadPlan, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    reader.limits.check(&report.query)?;
    let mut b = Builder::default();
    let query = &report.query;
    let filtered = filtered(&fitting(query, &shown(query)?, collection, reader, SOURCE, &mut b)?);
    let counts = counts(query, collection, reader, &filtered, &mut b)?;
    let windows = Windows::of(report, collection, reader, &mut b)?;
    let mut columns = format!("{SOURCE}.*");
    let mut figures = Vec::new();
    for (index, compute) in report.compute.iter().enumerate() {
        let (made, shown) = figure(compute, collection, reader, &mut b)?;
        // Names of ours beside those of the fields begin with a blank, which no field's name does.
        columns.push_str(&format!(", {made} AS \" {index}\""));
        let name = b.bind(Binding::Text(Some(compute.name())));
        figures.push(format!("{name}::text, {SOURCE}.\" {index}\"{shown}"));
    }
    let (joins, by) = match query.sort.is_empty() {
        true => (String::new(), windows.by.clone()),
        false => {
            let order = order_by(query, collection, reader, (SOURCE, None), &mut b)?;
            let by = order.by();
            (order.joins, by)
        }
    };
    let item = answer(query, collection, reader, SOURCE, &mut b)?;
    b.push("SELECT '[' || coalesce(string_agg(j::text, ','), '') || ']' AS items");
    b.push(&format!("{counts} FROM (SELECT (SELECT row_to_json(r.*) FROM (SELECT {item} AS item, "));
    b.push(&format!("json_build_object({}) AS figures) r) AS j FROM (SELECT {columns} ", figures.join(", ")));
    b.push(&format!("FROM {} {SOURCE}{joins}{filtered} {}{by}", table(collection), windows.definitions));
    b.push(&format!("{}) {SOURCE}) p", Window::of(query, reader.limits)?.sql()));
    Ok(ReadPlan { statement: b.finish("reports.window") })
}

/// The windows of a report.
struct Windows {
    /// `WINDOW ..`: `o`, in which no two items are equal, and `r`, in which those with equal values are.
    definitions: String,
    /// ` ORDER BY ..`, window by window.
    by: String,
}

impl Windows {
    fn of(
        report: &WindowReport,
        collection: &Collection,
        reader: Reader<'_>,
        b: &mut Builder,
    ) -> Result<Self, Error> {
        let mut parts = Vec::new();
        for name in &report.partition {
            parts.push(comparable(name, collection, reader, SOURCE, b)?);
        }
        let mut order = Vec::new();
        for sort in &report.order {
            let value = comparable(&sort.field, collection, reader, SOURCE, b)?;
            order.push(format!("{value}{}", if sort.descending { " DESC" } else { "" }));
        }
        let split = match parts.as_slice() {
            [] => String::new(),
            parts => format!("PARTITION BY {} ", parts.join(", ")),
        };
        let (order, key) = (order.join(", "), target_key(collection, SOURCE));
        let definitions =
            format!("WINDOW o AS ({split}ORDER BY {order}, {key}), r AS ({split}ORDER BY {order})");
        parts.extend([order, key]);
        Ok(Self { definitions, by: format!(" ORDER BY {}", parts.join(", ")) })
    }
}

/// A figure's expression over the items, and what is put behind its column for the wire.
fn figure(
    compute: &Compute,
    collection: &Collection,
    reader: Reader<'_>,
    b: &mut Builder,
) -> Result<(String, &'static str), Error> {
    use Figure as F;
    let Some(name) = &compute.field else { return Ok((rank(compute), "")) };
    let field = number(name, collection, reader)?;
    let value = reader.column(field, collection, SOURCE, b);
    let exact = matches!(field.kind, FieldType::BigInteger | FieldType::Decimal);
    // Sums and averages of integers are wider than they.
    let (own, wider) = match field.kind {
        FieldType::Integer => ("", "::text"),
        _ if exact => ("::text", "::text"),
        _ => ("", ""),
    };
    let count = compute.count.unwrap_or(1);
    let running = "OVER (o ROWS UNBOUNDED PRECEDING)".to_owned();
    let moving = format!("OVER (o ROWS BETWEEN {} PRECEDING AND CURRENT ROW)", count.saturating_sub(1));
    Ok(match compute.figure {
        F::RunningSum => (format!("sum({value}) {running}"), wider),
        F::RunningAvg => (format!("avg({value}) {running}"), wider),
        F::RunningMin => (format!("min({value}) {running}"), own),
        F::RunningMax => (format!("max({value}) {running}"), own),
        F::MovingSum => (format!("sum({value}) {moving}"), wider),
        F::MovingAvg => (format!("avg({value}) {moving}"), wider),
        F::MovingMin => (format!("min({value}) {moving}"), own),
        F::MovingMax => (format!("max({value}) {moving}"), own),
        F::Lag => (format!("lag({value}, {count}) OVER o"), own),
        F::Lead => (format!("lead({value}, {count}) OVER o"), own),
        F::Difference => {
            // A difference may not fit the type that it is of.
            let wide = match field.kind {
                FieldType::Integer => "::bigint",
                FieldType::BigInteger => "::numeric",
                _ => "",
            };
            (format!("{value}{wide} - lag({value}, {count}) OVER o"), own)
        }
        _ => return Err(Error::internal()),
    })
}

/// The figures that are of no field.
fn rank(compute: &Compute) -> String {
    match compute.figure {
        Figure::RunningCount => "count(*) OVER (o ROWS UNBOUNDED PRECEDING)".to_owned(),
        Figure::Ntile => format!("ntile({}) OVER o", compute.count.unwrap_or(1)),
        Figure::Rank => "rank() OVER r".to_owned(),
        Figure::DenseRank => "dense_rank() OVER r".to_owned(),
        Figure::PercentRank => "percent_rank() OVER r".to_owned(),
        Figure::CumeDist => "cume_dist() OVER r".to_owned(),
        _ => "row_number() OVER o".to_owned(),
    }
}

/// A field that can be computed with.
fn number<'a>(name: &str, collection: &'a Collection, reader: Reader<'_>) -> Result<&'a Field, Error> {
    let field = readable_field(name, collection, reader.access)?;
    if field.is_concealed() || !field.is_stored() {
        return Err(Error::forbidden_field(&collection.name, name));
    }
    match field.kind {
        FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal => Ok(field),
        kind => {
            let kind = kind.as_str();
            Err(Error::invalid_query(format!("\"{name}\" can't be computed with: it is {kind}")))
        }
    }
}
