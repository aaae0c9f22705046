//! A filter -> SQL over one collection.

use access::Access;
use model::{Collection, Error, Field, FieldType, Filter, Operator, quote_identifier};
use serde_json::Value;

use crate::column::sql_type;
use crate::geometry;
use crate::shape::readable_field;
use crate::statement::{Binding, Builder, join};
use crate::value::filter_text;

/// Writes filters over one collection whose items are read from `source`.
pub(crate) struct Conditions<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) access: &'a Access,
    pub(crate) source: &'a str,
}

/// ` AND <filter>` over items read as `t`, or nothing.
pub(crate) fn still_fits(
    filter: Option<&Filter>,
    collection: &Collection,
    access: &Access,
    builder: &mut Builder,
) -> Result<String, Error> {
    let conditions = Conditions { collection, access, source: "t" };
    match filter {
        Some(filter) => Ok(format!(" AND {}", conditions.write(filter, builder)?)),
        None => Ok(String::new()),
    }
}

impl Conditions<'_> {
    /// The SQL condition of a filter.
    pub(crate) fn write(&self, filter: &Filter, builder: &mut Builder) -> Result<String, Error> {
        match filter {
            Filter::And(parts) => self.combine(parts, " AND ", builder),
            Filter::Or(parts) => self.combine(parts, " OR ", builder),
            Filter::Compare { field, operator, value } => {
                let field = readable_field(field, self.collection, self.access)?;
                check_operator(field, *operator)?;
                self.compare(field, *operator, value, builder)
            }
        }
    }

    fn combine(&self, parts: &[Filter], glue: &str, builder: &mut Builder) -> Result<String, Error> {
        if parts.is_empty() {
            return Ok("true".to_owned());
        }
        let parts: Result<Vec<String>, Error> = parts.iter().map(|part| self.write(part, builder)).collect();
        Ok(format!("({})", parts?.join(glue)))
    }

    fn compare(
        &self,
        field: &Field,
        operator: Operator,
        value: &Value,
        builder: &mut Builder,
    ) -> Result<String, Error> {
        let column = format!("{}.{}", self.source, quote_identifier(&field.name));
        let cast = sql_type(field);
        let sign = match operator {
            Operator::Null | Operator::Nnull => {
                let wanted = (operator == Operator::Null) == truth(value);
                return Ok(format!("{column} IS {}NULL", if wanted { "" } else { "NOT " }));
            }
            Operator::In | Operator::Nin => return one_of(&column, field, operator, value, builder),
            Operator::Contains => {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => {
                        let reason = format!("\"{}\" needs a text for _contains", field.name);
                        return Err(Error::invalid_query(reason));
                    }
                };
                if text.contains('\0') {
                    return Err(Error::invalid_query(format!("\"{}\" must not hold NUL", field.name)));
                }
                let pattern = format!("%{}%", escape_like(&text));
                let bound = builder.bind(Binding::Text(Some(pattern)));
                return Ok(format!("{column}::text LIKE {bound}"));
            }
            Operator::Intersects
            | Operator::Nintersects
            | Operator::IntersectsBox
            | Operator::NintersectsBox => return geometry::compare(&column, field, operator, value, builder),
            // null compared is a question about null, as in the original.
            Operator::Eq if value.is_null() => return Ok(format!("{column} IS NULL")),
            Operator::Neq if value.is_null() => return Ok(format!("{column} IS NOT NULL")),
            Operator::Eq => "=",
            Operator::Neq => "<>",
            Operator::Lt => "<",
            Operator::Lte => "<=",
            Operator::Gt => ">",
            Operator::Gte => ">=",
        };
        let bound = builder.bind(Binding::Text(Some(filter_text(value, field)?)));
        Ok(format!("{column} {sign} {bound}::text::{cast}"))
    }
}

fn one_of(
    column: &str,
    field: &Field,
    operator: Operator,
    value: &Value,
    builder: &mut Builder,
) -> Result<String, Error> {
    let Value::Array(values) = value else {
        return Err(Error::invalid_query(format!(
            "\"{}\" needs a list for {}",
            field.name,
            operator.as_str()
        )));
    };
    let texts: Result<Vec<Option<String>>, Error> =
        values.iter().filter(|v| !v.is_null()).map(|v| filter_text(v, field).map(Some)).collect();
    let has_null = values.iter().any(Value::is_null);
    let bound = builder.bind(Binding::Texts(texts?));
    let list = format!("{bound}::text[]::{}[]", sql_type(field));
    let mut parts = vec![];
    if operator == Operator::In {
        parts.push(format!("{column} = ANY({list})"));
        if has_null {
            parts.push(format!("{column} IS NULL"));
        }
        return Ok(format!("({})", join(parts, " OR ")));
    }
    parts.push(format!("{column} <> ALL({list})"));
    if has_null {
        parts.push(format!("{column} IS NOT NULL"));
    }
    Ok(format!("({})", join(parts, " AND ")))
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Bool(false)) && value.as_str() != Some("false")
}

/// `%`, `_` and `\` are letters like all others in what a client searches.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Which operators a type takes (directus-surface section 2). Concealed fields can only be asked for null.
fn check_operator(field: &Field, operator: Operator) -> Result<(), Error> {
    use FieldType as T;
    use Operator as O;
    let allowed = match operator {
        O::Null | O::Nnull => true,
        _ if field.is_concealed() => false,
        O::Eq | O::Neq => !matches!(field.kind, T::Hash | T::Json | T::Unknown | T::Binary | T::Geometry(_)),
        O::Lt | O::Lte | O::Gt | O::Gte => matches!(
            field.kind,
            T::Integer
                | T::BigInteger
                | T::Float
                | T::Decimal
                | T::Date
                | T::Time
                | T::DateTime
                | T::Timestamp
        ),
        O::In | O::Nin => {
            !matches!(field.kind, T::Boolean | T::Hash | T::Json | T::Unknown | T::Binary | T::Geometry(_))
        }
        O::Contains => matches!(field.kind, T::String | T::Text | T::Csv),
        O::Intersects | O::Nintersects | O::IntersectsBox | O::NintersectsBox => {
            matches!(field.kind, T::Geometry(_))
        }
    };
    if allowed {
        return Ok(());
    }
    // Of the geometries the original names no kind.
    let kind = field.kind.as_str().split('.').next().unwrap_or_default();
    let name = operator.as_str();
    Err(Error::invalid_query(format!(
        "\"{kind}\" field type does not contain the \"{name}\" filter operator"
    )))
}
