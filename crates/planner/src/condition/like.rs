//! Comparisons with a part of a text.

use model::{Error, Operator};
use serde_json::Value;

use super::compare::Subject;
use crate::statement::{Binding, Builder};

/// The operators that compare with a part of a text.
pub(super) fn like(
    subject: &Subject<'_>,
    operator: Operator,
    value: &Value,
    b: &mut Builder,
) -> Result<String, Error> {
    use Operator as O;
    let (before, after) = match operator {
        O::StartsWith | O::NstartsWith | O::IstartsWith | O::NistartsWith => ("", "%"),
        O::EndsWith | O::NendsWith | O::IendsWith | O::NiendsWith => ("%", ""),
        O::Contains | O::Ncontains | O::Icontains | O::Nicontains => ("%", "%"),
        _ => {
            let reason = format!("Filter operator \"{}\" is not supported yet", operator.as_str());
            return Err(Error::invalid_query(reason));
        }
    };
    let not = matches!(
        operator,
        O::NstartsWith | O::NistartsWith | O::NendsWith | O::NiendsWith | O::Ncontains | O::Nicontains
    );
    let fold = matches!(
        operator,
        O::IstartsWith | O::NistartsWith | O::IendsWith | O::NiendsWith | O::Icontains | O::Nicontains
    );
    let name = &subject.field.name;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => {
            return Err(Error::invalid_query(format!("\"{name}\" needs a text for {}", operator.as_str())));
        }
    };
    if text.contains('\0') {
        return Err(Error::invalid_query(format!("\"{name}\" must not hold NUL")));
    }
    let text = if fold { text.to_lowercase() } else { text };
    let bound = b.bind(Binding::Text(Some(format!("{before}{}{after}", escape_like(&text)))));
    let column =
        if fold { format!("lower({}::text)", subject.sql) } else { format!("{}::text", subject.sql) };
    Ok(format!("{column} {}LIKE {bound}", if not { "NOT " } else { "" }))
}

/// `%`, `_` and `\` are letters like all others in what a client searches.
pub(crate) fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
