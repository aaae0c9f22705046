//! How a column looks on the wire and how text becomes its value.

use std::fmt;

use model::{Field, FieldType, quote_identifier};

use crate::geometry;

/// What a concealed value reads as.
pub(crate) const MASK: &str = "'**********'";

/// The SQL expression of a field's value as clients see it; `source` is the quoted table or alias it is read from.
///
/// Wherever a field is shown, this expression stands, never the bare column.
pub fn answer_value(field: &Field, source: &str) -> String {
    answer_of(field, &format!("{source}.{}", quote_identifier(&field.name)))
}

/// The same of an expression that has the column's type.
pub(crate) fn answer_of(field: &Field, column: &str) -> String {
    if field.is_concealed() {
        // Of secrets that are texts, an empty one is none.
        return format!("CASE WHEN {column}::text <> '' THEN {MASK} END");
    }
    match field.kind {
        FieldType::BigInteger | FieldType::Decimal | FieldType::Unknown => format!("{column}::text"),
        // Instants that stand in a column of texts, and flags in one of digits (specials `cast-*`).
        FieldType::Timestamp | FieldType::DateTime if !is_temporal(field) => format!("{column}::text"),
        FieldType::Boolean if sql_type(field) != "boolean" => {
            format!(
                "CASE {column}::text WHEN '1' THEN 'true' WHEN '0' THEN 'false' ELSE to_json({column}) END"
            )
        }
        FieldType::Timestamp => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
        FieldType::DateTime => format!("to_char({column}, 'YYYY-MM-DD\"T\"HH24:MI:SS')"),
        FieldType::Date => format!("to_char({column}, 'YYYY-MM-DD')"),
        // There is no form to give to a time with a zone.
        FieldType::Time if field.column_type.ends_with("with time zone") => format!("{column}::text"),
        FieldType::Time => format!("to_char({column}, 'HH24:MI:SS')"),
        // JSON has no number for what is none, or without end.
        FieldType::Float => format!("CASE WHEN abs({column}) < 'Infinity' THEN {column} END"),
        FieldType::Csv => format!("string_to_array({column}, ',')"),
        // JSON that stands in a text column (special cast-json), as far as it is JSON.
        FieldType::Json if !sql_type(field).starts_with("json") => format!("eventus.json_in_text({column})"),
        FieldType::Geometry(_) => geometry::answer(field, column),
        FieldType::Binary => format!("encode({column}, 'base64')"),
        _ => column.to_owned(),
    }
}

fn is_temporal(field: &Field) -> bool {
    ["timestamp", "date"].iter().any(|kind| sql_type(field).starts_with(kind))
}

/// The bare type that a text is cast to on its way into the column: the type modifier (`(255)`, `(10,2)`) is left
/// out, since an explicit cast to `varchar(5)` would cut silently where an assignment refuses.
pub fn sql_type(field: &Field) -> &str {
    let declared = field.column_type.as_str();
    // Without their length these two hold one letter, one bit.
    match declared.split('(').next() {
        Some("character") => return "bpchar",
        Some("bit") => return "bit varying",
        _ => {}
    }
    match declared.split_once('(') {
        // `timestamp(3) with time zone`, `time(0) without time zone`: the modifier stands in the middle.
        Some((head, rest)) => match rest.split_once(')') {
            Some((_, tail)) if !tail.trim().is_empty() => full_type(head.trim(), tail.trim()),
            _ => head.trim(),
        },
        None => declared,
    }
}

fn full_type(head: &str, tail: &str) -> &'static str {
    match (head, tail) {
        ("timestamp", "with time zone") => "timestamp with time zone",
        ("timestamp", _) => "timestamp without time zone",
        ("time", "with time zone") => "time with time zone",
        ("time", _) => "time without time zone",
        ("interval", _) => "interval",
        _ => "text",
    }
}

/// How the JSON of an item is made. As a text it is an expression over the row that the item is read from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ItemJson {
    /// An object of these columns, `<value> AS <name>, ..`.
    Columns(String),
    /// Whatever else.
    Expression(String),
}

impl ItemJson {
    /// A select of `j` for each row of `from`: a table or a page with its alias, and conditions. Here the columns need
    /// no sub-select for each row, which would cost as much as a third of the whole.
    pub(crate) fn of_each(&self, from: &str) -> String {
        match self {
            // `r.*` and not `r`, which would be the field of that name if there is one.
            Self::Columns(columns) => {
                format!("SELECT row_to_json(r.*) AS j FROM (SELECT {columns} FROM {from}) r")
            }
            Self::Expression(expression) => format!("SELECT {expression} AS j FROM {from}"),
        }
    }
}

impl fmt::Display for ItemJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns(columns) => write!(f, "(SELECT row_to_json(r.*) FROM (SELECT {columns}) r)"),
            Self::Expression(expression) => f.write_str(expression),
        }
    }
}

/// A `row_to_json` of the fields as clients see them, in order, keys as named.
pub(crate) fn json_row<'a>(fields: impl IntoIterator<Item = &'a Field>, source: &str) -> String {
    let columns: Vec<String> = fields
        .into_iter()
        .filter(|field| field.is_stored())
        .map(|field| format!("{} AS {}", answer_value(field, source), quote_identifier(&field.name)))
        .collect();
    match columns.as_slice() {
        [] => "'{}'::json".to_owned(),
        columns => ItemJson::Columns(columns.join(", ")).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::sql_type;
    use crate::shape::tests::field;
    use model::FieldType;

    #[test]
    fn casts_leave_the_modifier_out() {
        for (declared, cast) in [
            ("integer", "integer"),
            ("character varying(255)", "character varying"),
            ("character(5)", "bpchar"),
            ("character", "bpchar"),
            ("bit(3)", "bit varying"),
            ("numeric(10,2)", "numeric"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("time(0) without time zone", "time without time zone"),
        ] {
            assert_eq!(sql_type(&field("x", FieldType::String, declared)), cast);
        }
    }
}
