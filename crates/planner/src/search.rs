//! `search`: a text looked for in every field that can be searched, or in the indexes that are kept for it.

mod indexed;
#[cfg(test)]
mod tests;

use access::Action;
use model::{Collection, Error, Field, FieldType};

use crate::column::sql_type;
use crate::condition::escape_like;
use crate::reader::Reader;
use crate::statement::{Binding, Builder};

pub use indexed::search_index_parts;
pub(crate) use indexed::{EXCERPT, Sought, is_excerpt, is_relevance};

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
        let looked = Looked { text: &text, collection, reader, source };
        all.filter_map(|field| looked.in_field(field, &mut pattern, b)).collect()
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

/// A text that is looked for in the fields of items.
#[derive(Clone, Copy)]
struct Looked<'a> {
    text: &'a str,
    collection: &'a Collection,
    reader: Reader<'a>,
    source: &'a str,
}

impl Looked<'_> {
    /// A field holds the text, or is it; nothing for a field that can't.
    fn in_field(&self, field: &Field, pattern: &mut Option<String>, b: &mut Builder) -> Option<String> {
        if !matches!(field.kind, FieldType::String | FieldType::Text) {
            return self.is_value(field, b);
        }
        let column = self.reader.column(field, self.collection, self.source, b);
        let bound = pattern.get_or_insert_with(|| contains(self.text, b));
        Some(format!("lower({column}::text) LIKE {bound}"))
    }

    /// A field that is no text is this number or id.
    fn is_value(&self, field: &Field, b: &mut Builder) -> Option<String> {
        let text = self.text.trim();
        let padded = text.trim_start_matches(['-', '+']);
        let padded = padded.len() > 1 && padded.starts_with('0') && !padded.starts_with("0.");
        let is_number = || text.parse::<f64>().is_ok_and(|number| number.is_finite() && !padded);
        let value = match field.kind {
            FieldType::Uuid => uuid::Uuid::parse_str(self.text).ok()?.to_string(),
            FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal
                if is_number() && in_range(text, field.kind) =>
            {
                text.to_owned()
            }
            _ => return None,
        };
        let column = self.reader.column(field, self.collection, self.source, b);
        let bound = b.bind(Binding::Text(Some(value)));
        Some(format!("{column} = {bound}::text::{}", sql_type(field)))
    }
}

/// The pattern of a text within a text, lower case.
fn contains(text: &str, b: &mut Builder) -> String {
    b.bind(Binding::Text(Some(format!("%{}%", escape_like(&text.to_lowercase())))))
}

fn in_range(text: &str, kind: FieldType) -> bool {
    match kind {
        FieldType::Integer => text.parse::<i32>().is_ok(),
        FieldType::BigInteger => text.parse::<i64>().is_ok(),
        FieldType::Decimal => text.len() < 100 && !text.contains(['e', 'E']),
        _ => true,
    }
}
