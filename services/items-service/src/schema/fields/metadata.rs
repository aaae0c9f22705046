//! The row of a field in `directus_fields`: checked, and completed by what its type says.

use model::{Error, FieldType};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::catalog::assemble::ALIASES;
use crate::catalog::{CollectionEntry, FieldEntry};
use crate::failure::Failure;
use crate::schema::definition::{self, FieldDefinition};
use crate::schema::full_text::{self, Marked};

/// Checks the members that change of a field that is there. `type` is its new one, if it gets one.
pub async fn changed(
    conn: &mut PgConnection,
    members: &mut Map<String, Value>,
    owner: &CollectionEntry,
    field: &FieldEntry,
    kind: Option<&str>,
) -> Result<(), Failure> {
    let key = field.column.as_ref().is_some_and(|column| column.primary_key);
    if members.contains_key("special") {
        mark_type(members, kind, field.column.is_none())?;
        if key && hides(members) {
            return Err(Error::invalid_payload("A primary key can't be hidden").into());
        }
    }
    let kind = kind.and_then(FieldType::parse).unwrap_or(field.kind);
    full_text::check(conn, members, Marked { kind, key, system: owner.system }).await
}

/// The row of a field's metadata; none when it has none.
pub async fn row(
    conn: &mut PgConnection,
    field: &FieldDefinition,
    system: bool,
) -> Result<Option<Map<String, Value>>, Failure> {
    let mut members = field.meta.clone().unwrap_or_default();
    mark_type(&mut members, field.kind.as_deref(), field.is_alias())?;
    let key = field.schema.as_ref().is_some_and(|column| column.is_primary_key == Some(true));
    if key && hides(&members) {
        return Err(Error::invalid_payload("A primary key can't be hidden").into());
    }
    let kind = field.kind.as_deref().and_then(FieldType::parse).unwrap_or(FieldType::String);
    full_text::check(conn, &members, Marked { kind, key, system }).await?;
    Ok((field.meta.is_some() || !members.is_empty()).then_some(members))
}

/// The specials as the table keeps them; some types are told apart by their special alone.
fn mark_type(members: &mut Map<String, Value>, kind: Option<&str>, alias: bool) -> Result<(), Error> {
    let given = members.contains_key("special");
    let mut special = definition::special(members)?;
    let wanted: &[&str] = match kind {
        Some("csv") => &["cast-csv"],
        // A hash that is to be seen says only "hash".
        Some("hash") if !special.iter().any(|name| name == "hash") => &["hash", "conceal"],
        _ if alias && !special.iter().any(|name| ALIASES.contains(&name.as_str())) => &["alias", "no-data"],
        _ => &[],
    };
    let encrypted = special.iter().any(|name| name == "encrypt");
    if encrypted && kind.is_some_and(|kind| !matches!(kind, "string" | "text")) {
        return Err(Error::invalid_payload("Only a string or text can be encrypted").with("field", "special"));
    }
    let missing = wanted.iter().filter(|name| !special.iter().any(|present| present == *name));
    special.extend(missing.map(|name| (*name).to_owned()).collect::<Vec<_>>());
    if !special.is_empty() || given {
        let text = if special.is_empty() { Value::Null } else { Value::from(special.join(",")) };
        members.insert("special".to_owned(), text);
    }
    Ok(())
}

/// Values are shown as a mask, and stay out of the log.
pub fn hides(members: &Map<String, Value>) -> bool {
    let special = members.get("special").and_then(Value::as_str).unwrap_or_default();
    special.split(',').any(|name| matches!(name, "hash" | "conceal" | "encrypt"))
}
