//! Marks for full-text search in definitions: checked against the field, PostgreSQL's languages and its extensions.

use model::{Error, FieldType};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::catalog::marks::{MEMBER, Mark, mark};
use crate::failure::Failure;
use crate::snapshot::introspect;

/// What the field will be.
#[derive(Debug, Clone, Copy)]
pub struct Marked {
    /// Its type.
    pub kind: FieldType,
    /// The primary key, whose mark stands for the collection.
    pub key: bool,
    /// Of a collection that is shipped.
    pub system: bool,
}

/// Checks the mark in a field's metadata, if there is one.
pub async fn check(
    conn: &mut PgConnection,
    members: &Map<String, Value>,
    field: Marked,
) -> Result<(), Failure> {
    let wrong = |reason: String| Failure::from(Error::invalid_payload(reason));
    let Some(options) = members.get("options") else { return Ok(()) };
    let Some(mark) = mark(options).map_err(wrong)? else { return Ok(()) };
    if field.system && mark != Mark::Never {
        return Err(wrong(format!("\"{MEMBER}\" can't be used in collections of the system")));
    }
    if !field.key && mark != Mark::Never && !matches!(field.kind, FieldType::String | FieldType::Text) {
        let kind = field.kind.as_str();
        return Err(wrong(format!(
            "\"{MEMBER}\" is of texts: a field of the type \"{kind}\" can't be marked"
        )));
    }
    match mark {
        Mark::Words(languages) => {
            let unknown = "SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS l (name, place) WHERE NOT EXISTS \
                           (SELECT FROM pg_ts_config c WHERE c.cfgname = l.name AND pg_ts_config_is_visible(c.oid)) \
                           ORDER BY place LIMIT 1";
            let unknown: Option<String> =
                sqlx::query_scalar(unknown).bind(languages).fetch_optional(conn).await?;
            if let Some(name) = unknown {
                let reason =
                    format!("\"{MEMBER}\": \"{name}\" is no text search configuration of the database");
                return Err(wrong(reason));
            }
        }
        Mark::Trigrams => {
            if introspect::trigrams(conn).await?.is_none() {
                return Err(wrong(format!(
                    "\"{MEMBER}\" by trigrams needs pg_trgm: CREATE EXTENSION pg_trgm"
                )));
            }
        }
        Mark::Never => {}
    }
    Ok(())
}
