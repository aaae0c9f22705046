//! `aggregate` and `groupBy`: figures over the items that fit, one row for each group.

use model::{Collection, Error, Field, FieldType, quote_identifier};
use query::{Aggregate, AggregateFunction, Path, Query, result_name};

use crate::column::{ItemJson, answer_of};
use crate::function::function_value;
use crate::page::Window;
use crate::read::table;
use crate::reader::Reader;
use crate::shape::readable_field;
use crate::statement::Builder;

/// A column of the grouped select.
struct Column {
    /// As answers name it: `status`, `published_at_year`; of a figure as queries do.
    name: String,
    /// As queries name it when they sort: `status`, `year(published_at)`, `count.id`, `count`.
    asked: String,
    /// The expression over the items.
    sql: String,
    /// What the client sees of it, when it is called `g.cN`.
    shown: String,
}

/// The rows of figures: a select of `j`.
pub(crate) fn figures(
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    (source, filtered): (&str, &str),
    b: &mut Builder,
) -> Result<String, Error> {
    let mut columns = Vec::new();
    for name in &query.group {
        columns.push(group(name, collection, reader, source, columns.len(), b)?);
    }
    let groups = columns.len();
    for figure in &query.aggregate {
        columns.push(measure(figure, collection, reader, source, columns.len(), b)?);
    }
    let inner: Vec<String> =
        columns.iter().enumerate().map(|(index, column)| format!("{} AS c{index}", column.sql)).collect();
    let mut rows = format!("SELECT {} FROM {} {source}{filtered}", inner.join(", "), table(collection));
    if groups > 0 {
        let numbers: Vec<String> = (1..=groups).map(|number| number.to_string()).collect();
        let order = order(query, collection, &columns, groups)?;
        let window = Window::of(query, reader.limits)?.sql();
        rows.push_str(&format!(" GROUP BY {}{order}{window}", numbers.join(", ")));
    } else {
        // The one row is a page like any other.
        let limit = query.limit.or(query.page.is_none().then_some(-1));
        rows.push_str(&Window::of(&Query { limit, ..query.clone() }, reader.limits)?.sql());
    }
    let shown = shown(&query.aggregate, &columns, groups);
    Ok(ItemJson::Columns(shown).of_each(&format!("({rows}) g")))
}

fn group(
    name: &str,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    index: usize,
    b: &mut Builder,
) -> Result<Column, Error> {
    let path = Path::parse(name)?;
    if !path.steps.is_empty() {
        // It is of another collection.
        return Err(Error::forbidden_field(&collection.name, name));
    }
    let field = readable_field(&path.last.name, collection, reader.access)?;
    if let Some(function) = &path.function {
        let sql = function_value(function, field, collection, source, &reader, b)?;
        return Ok(Column {
            name: result_name(&field.name, function),
            asked: format!("{}({})", function.as_str(), field.name),
            sql,
            shown: format!("g.c{index}::text"),
        });
    }
    if field.is_concealed() || !field.is_stored() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    if matches!(field.kind, FieldType::Json | FieldType::Unknown | FieldType::Geometry(_)) {
        let kind = field.kind.as_str();
        return Err(Error::invalid_query(format!("\"{}\" can't be grouped by: it is {kind}", field.name)));
    }
    let sql = reader.column(field, collection, source, b);
    let (name, asked) = (field.name.clone(), field.name.clone());
    Ok(Column { name, asked, sql, shown: answer_of(field, &format!("g.c{index}")) })
}

fn measure(
    figure: &Aggregate,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    index: usize,
    b: &mut Builder,
) -> Result<Column, Error> {
    use AggregateFunction as F;
    let function = figure.function;
    let text = format!("g.c{index}::text");
    let Some(name) = figure.field.as_deref().filter(|_| function != F::CountAll) else {
        if !matches!(function, F::Count | F::CountAll) {
            let name = function.as_str();
            return Err(Error::invalid_query(format!("\"{name}\" needs a field, it can't be made of *")));
        }
        let (name, asked) = (function.as_str().to_owned(), function.as_str().to_owned());
        return Ok(Column { name, asked, sql: "count(*)".to_owned(), shown: text });
    };
    let field = readable_field(name, collection, reader.access)?;
    if field.is_concealed() || !field.is_stored() {
        return Err(Error::forbidden_field(&collection.name, name));
    }
    check(function, field)?;
    let column = reader.column(field, collection, source, b);
    let (sql, shown) = match function {
        F::Count | F::CountAll => (format!("count({column})"), text),
        F::CountDistinct => (format!("count(DISTINCT {column})"), text),
        F::Sum | F::SumDistinct | F::Avg | F::AvgDistinct => {
            let call = if matches!(function, F::Sum | F::SumDistinct) { "sum" } else { "avg" };
            let distinct = if matches!(function, F::SumDistinct | F::AvgDistinct) { "DISTINCT " } else { "" };
            // Exact figures are texts on the wire, those of floats are numbers.
            let float = field.kind == FieldType::Float;
            let shown = if float { answer_of(field, &format!("g.c{index}")) } else { text };
            (format!("{call}({distinct}{column})"), shown)
        }
        F::Min | F::Max => {
            (format!("{}({column})", function.as_str()), answer_of(field, &format!("g.c{index}")))
        }
    };
    let name = format!("{}.{name}", function.as_str());
    Ok(Column { asked: name.clone(), name, sql, shown })
}

/// Which figures a type has.
fn check(function: AggregateFunction, field: &Field) -> Result<(), Error> {
    use AggregateFunction as F;
    use FieldType as T;
    let number = matches!(field.kind, T::Integer | T::BigInteger | T::Float | T::Decimal);
    let time = matches!(field.kind, T::Date | T::Time | T::DateTime | T::Timestamp);
    let allowed = match function {
        F::Count | F::CountAll => true,
        F::CountDistinct => !matches!(field.kind, T::Json | T::Unknown | T::Geometry(_)),
        F::Sum | F::SumDistinct | F::Avg | F::AvgDistinct => number,
        F::Min | F::Max => number || time || matches!(field.kind, T::String | T::Text | T::Csv),
    };
    if allowed {
        return Ok(());
    }
    let (kind, name) = (field.kind.as_str(), function.as_str());
    Err(Error::invalid_query(format!("\"{kind}\" field type does not have the \"{name}\" aggregate")))
}

/// The order of groups: as asked, then by what makes them.
fn order(query: &Query, collection: &Collection, columns: &[Column], groups: usize) -> Result<String, Error> {
    let mut parts = Vec::new();
    for sort in &query.sort {
        // What is neither grouped by nor a figure is not there to be sorted by.
        let at = columns.iter().position(|column| column.asked == sort.field);
        let at = at.ok_or_else(|| Error::forbidden_field(&collection.name, &sort.field))?;
        parts.push(format!("{}{}", at + 1, if sort.descending { " DESC" } else { "" }));
    }
    parts.extend((1..=groups).map(|number| number.to_string()));
    Ok(format!(" ORDER BY {}", parts.join(", ")))
}

/// The members of a row: groups, then an object for each function.
fn shown(figures: &[Aggregate], columns: &[Column], groups: usize) -> String {
    let (grouped, measured) = columns.split_at(groups);
    let mut members: Vec<String> = grouped
        .iter()
        .map(|column| format!("{} AS {}", column.shown, quote_identifier(&column.name)))
        .collect();
    let mut done: Vec<AggregateFunction> = Vec::new();
    for figure in figures.iter().map(|figure| figure.function) {
        if done.contains(&figure) {
            continue;
        }
        done.push(figure);
        let own = figures.iter().zip(measured).filter(|(other, _)| other.function == figure);
        let (whole, parts): (Vec<_>, Vec<_>) = own.partition(|(_, column)| !column.name.contains('.'));
        let name = quote_identifier(figure.as_str());
        if let Some((_, column)) = whole.first() {
            members.push(format!("{} AS {name}", column.shown));
            continue;
        }
        let fields: Vec<String> = parts
            .iter()
            .filter_map(|(other, column)| {
                Some(format!("{} AS {}", column.shown, quote_identifier(other.field.as_deref()?)))
            })
            .collect();
        members.push(format!("(SELECT row_to_json(f.*) FROM (SELECT {}) f) AS {name}", fields.join(", ")));
    }
    members.join(", ")
}
