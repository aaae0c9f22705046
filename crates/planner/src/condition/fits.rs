//! What can be asked of what.

use model::{Error, Field, FieldType, Function, Operator};

pub(super) fn check_number(function: &Function, operator: Operator) -> Result<(), Error> {
    use Operator as O;
    let allowed = matches!(
        operator,
        O::Eq
            | O::Neq
            | O::Lt
            | O::Lte
            | O::Gt
            | O::Gte
            | O::In
            | O::Nin
            | O::Between
            | O::Nbetween
            | O::Null
            | O::Nnull
    );
    if allowed { Ok(()) } else { Err(unfit(function.as_str(), operator)) }
}

/// Which operators a type takes (directus-surface section 2). Concealed fields can only be asked for presence.
pub(super) fn check_operator(field: &Field, operator: Operator) -> Result<(), Error> {
    use FieldType as T;
    use Operator as O;
    let number = matches!(field.kind, T::Integer | T::BigInteger | T::Float | T::Decimal);
    let time = matches!(field.kind, T::Date | T::Time | T::DateTime | T::Timestamp);
    let text = matches!(field.kind, T::String | T::Text | T::Csv);
    let allowed = match operator {
        O::Null | O::Nnull => true,
        O::Empty | O::Nempty => text || field.kind == T::Hash || field.is_concealed(),
        _ if field.is_concealed() => false,
        O::Eq | O::Neq => number || time || text || matches!(field.kind, T::Boolean | T::Uuid),
        O::Lt | O::Lte | O::Gt | O::Gte | O::Between | O::Nbetween => number || time,
        O::In | O::Nin => number || time || text || field.kind == T::Uuid,
        O::Ieq | O::Nieq | O::Json | O::Submitted | O::Regex => false,
        O::Intersects | O::Nintersects | O::IntersectsBbox | O::NintersectsBbox => {
            matches!(field.kind, T::Geometry(_))
        }
        _ => text,
    };
    if allowed { Ok(()) } else { Err(unfit(field.kind.as_str(), operator)) }
}

pub(super) fn unfit(kind: &str, operator: Operator) -> Error {
    // Of the geometries the original names no kind.
    let (kind, name) = (kind.split('.').next().unwrap_or_default(), operator.as_str());
    Error::invalid_query(format!("\"{kind}\" field type does not contain the \"{name}\" filter operator"))
}
