//! Reports over a collection: trees of items, and figures over windows of them.

mod tree;
mod window;

use model::{Collection, Error, FieldType};
use query::Path;

use crate::function::function_value;
use crate::reader::Reader;
use crate::shape::readable_field;
use crate::statement::Builder;

pub use tree::plan_tree;
pub use window::plan_window;

/// An own field, or a function of one, that equal values can be found by.
fn comparable(
    name: &str,
    collection: &Collection,
    reader: Reader<'_>,
    source: &str,
    b: &mut Builder,
) -> Result<String, Error> {
    let path = Path::parse(name)?;
    if !path.steps.is_empty() {
        return Err(Error::invalid_query(format!(
            "\"{name}\" can't be used here: it is of another collection"
        )));
    }
    let field = readable_field(&path.last.name, collection, reader.access)?;
    if let Some(function) = &path.function {
        return function_value(function, field, collection, source, &reader, b);
    }
    if field.is_concealed() || !field.is_stored() {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    if matches!(field.kind, FieldType::Json | FieldType::Unknown | FieldType::Geometry(_)) {
        let kind = field.kind.as_str();
        return Err(Error::invalid_query(format!("\"{}\" can't be used here: it is {kind}", field.name)));
    }
    Ok(reader.column(field, collection, source, b))
}

#[cfg(test)]
mod tests;
