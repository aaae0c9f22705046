//! The columns that relations are joined by.

use model::{Collection, Field, FieldType, quote_identifier};

use crate::column::sql_type;

/// The key that is referred to.
pub(crate) fn target_key(one: &Collection, alias: &str) -> String {
    format!("{alias}.{}", quote_identifier(&one.primary_key))
}

/// A key that is held as text, in the type of the key that it refers to; what can't be such a key is null.
pub(crate) fn to_any(key: &Field, held: &str) -> String {
    let fits = match key.kind {
        FieldType::Integer => "^-?[0-9]{1,9}$",
        FieldType::BigInteger => "^-?[0-9]{1,18}$",
        FieldType::Uuid => "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        _ => return format!("{held}::{}", sql_type(key)),
    };
    format!("CASE WHEN {held} ~ '{fits}' THEN {held}::{} END", sql_type(key))
}
