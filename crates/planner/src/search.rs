//! `search`: a text looked for in every field that can be searched, or in the indexes that are kept for it.

mod indexed;
#[cfg(test)]
mod tests;

use access::Action;
use model::{Collection, Error, Field, FieldType, quote_identifier};

use crate::column::sql_type;
use crate::condition::escape_like;
use crate::reader::Reader;
use crate::statement::{Binding, Builder};

pub use indexed::search_index_parts;
pub(crate) use indexed::{Sought, is_excerpt, is_relevance};

/// Whether any field of the item holds the text; false where there is no field to look at.
///
/// # Errors
/// `INVALID_QUERY`: a text that an index can't be asked for.
pub(crate) fn condition(
    text: &str,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> Result<String, Error> {
    let text = text.replace('\0', "");
    let parts = if collection.has_search_indexes() {
        Sought::of(Some(&text), collection, reader, source)?.conditions(b)
    } else {
        let looked_at = |field: &&Field| is_searched(field, collection, reader);
        let mut pattern = None;
        let all = collection.fields.iter().filter(looked_at);
        all.filter_map(|field| in_field(&text, field, source, &mut pattern, b)).collect()
    };
    Ok(if parts.is_empty() { "false".to_owned() } else { format!("({})", parts.join(" OR ")) })
}

/// `search` may look at the field.
fn is_searched(field: &Field, collection: &Collection, reader: Reader<'_>) -> bool {
    field.is_stored()
        && !field.is_concealed()
        && field.searchable
        && reader.access.allows_field(&collection.name, &field.name, Action::Read)
}

/// A field holds the text, or is it; nothing for a field that can't.
fn in_field(
    text: &str,
    field: &Field,
    source: &str,
    pattern: &mut Option<String>,
    b: &mut Builder,
) -> Option<String> {
    if !matches!(field.kind, FieldType::String | FieldType::Text) {
        return is_value(text, field, source, b);
    }
    let bound = pattern.get_or_insert_with(|| contains(text, b));
    Some(format!("lower({}::text) LIKE {bound}", column(field, source)))
}

/// A field that is no text is this number or id.
fn is_value(text: &str, field: &Field, source: &str, b: &mut Builder) -> Option<String> {
    let padded = text.trim_start_matches(['-', '+']);
    let padded = padded.len() > 1 && padded.starts_with('0') && !padded.starts_with("0.");
    let is_number = || text.trim().parse::<f64>().is_ok_and(|number| number.is_finite() && !padded);
    let value = match field.kind {
        FieldType::Uuid => uuid::Uuid::parse_str(text).ok()?.to_string(),
        FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal
            if is_number() && in_range(text, field.kind) =>
        {
            text.trim().to_owned()
        }
        _ => return None,
    };
    let bound = b.bind(Binding::Text(Some(value)));
    Some(format!("{} = {bound}::text::{}", column(field, source), sql_type(field)))
}

/// The pattern of a text within a text, lower case.
fn contains(text: &str, b: &mut Builder) -> String {
    b.bind(Binding::Text(Some(format!("%{}%", escape_like(&text.to_lowercase())))))
}

/// The field as `search` sees it, of a caller that may read it.
fn column(field: &Field, source: &str) -> String {
    format!("{source}.{}", quote_identifier(&field.name))
}

fn in_range(text: &str, kind: FieldType) -> bool {
    let text = text.trim();
    match kind {
        FieldType::Integer => text.parse::<i32>().is_ok(),
        FieldType::BigInteger => text.parse::<i64>().is_ok(),
        FieldType::Decimal => text.len() < 100 && !text.contains(['e', 'E']),
        _ => true,
    }
}
