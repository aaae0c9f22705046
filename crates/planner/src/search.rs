//! `search`: a text looked for in every field that can be searched.

use access::Action;
use model::{Collection, Field, FieldType};

use crate::column::sql_type;
use crate::condition::escape_like;
use crate::reader::Reader;
use crate::statement::{Binding, Builder};

/// Whether any field of the item holds the text; false where there is no field to look at.
pub(crate) fn condition(
    text: &str,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> String {
    let text = text.replace('\0', "");
    let looked_at = |field: &&Field| {
        field.is_stored()
            && !field.is_concealed()
            && field.searchable
            && reader.access.allows_field(&collection.name, &field.name, Action::Read)
    };
    let padded = text.trim_start_matches(['-', '+']);
    let padded = padded.len() > 1 && padded.starts_with('0') && !padded.starts_with("0.");
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && !padded);
    let mut pattern = None;
    let mut parts = Vec::new();
    for field in collection.fields.iter().filter(looked_at) {
        let column = reader.column(field, collection, source, b);
        match field.kind {
            FieldType::String | FieldType::Text => {
                let bound = pattern.get_or_insert_with(|| {
                    b.bind(Binding::Text(Some(format!("%{}%", escape_like(&text.to_lowercase())))))
                });
                parts.push(format!("lower({column}::text) LIKE {bound}"));
            }
            FieldType::Uuid => {
                if let Ok(id) = uuid::Uuid::parse_str(&text) {
                    let bound = b.bind(Binding::Text(Some(id.to_string())));
                    parts.push(format!("{column} = {bound}::text::uuid"));
                }
            }
            FieldType::Integer | FieldType::BigInteger | FieldType::Float | FieldType::Decimal
                if number.is_some() && in_range(&text, field.kind) =>
            {
                let bound = b.bind(Binding::Text(Some(text.trim().to_owned())));
                parts.push(format!("{column} = {bound}::text::{}", sql_type(field)));
            }
            _ => {}
        }
    }
    if parts.is_empty() { "false".to_owned() } else { format!("({})", parts.join(" OR ")) }
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
