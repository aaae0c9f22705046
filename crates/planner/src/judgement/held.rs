//! What stands in the fields that are not sent: values of present items, defaults of new ones.

use access::Action;
use model::{Collection, Errors, Field, FieldType, Filter, Special, quote_identifier};
use serde_json::{Map, Value};

use crate::column::json_row;
use crate::condition::still_fits;
use crate::keys::Keys;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::stamp::Stamp;
use crate::statement::{Builder, Statement};

/// Plans the lock of items that are to be changed, and what they hold in these fields: rows of `key text` and `held text`
/// (JSON), of those that are there and may be changed, sorted.
///
/// # Errors
/// 403: he may change nothing here.
pub fn plan_held(
    keys: &[String],
    fields: &[&Field],
    filter: Option<&Filter>,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Update)?;
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let fits = still_fits(filter, (collection, Action::Update), reader, &mut b)?;
    let keys = Keys::bind(keys, key, &mut b);
    let column = quote_identifier(&key.name);
    b.push(&format!(
        "SELECT {} AS key, {}::text AS held FROM (SELECT t.* FROM {} t WHERE {}{fits} \
         ORDER BY t.{column} FOR UPDATE) o",
        answer_key(key, "o"),
        json_row(fields.iter().copied(), "o"),
        table(collection),
        keys.hold(&format!("t.{column}")),
    ));
    Ok(b.finish("items.held"))
}

/// What a new item holds where nothing is sent: stamps, defaults that are plain values, null where there is none. Of
/// what PostgreSQL computes nothing is known.
pub(super) fn defaults(collection: &Collection, stamp: &Stamp) -> Map<String, Value> {
    let known = |field: &&Field| field.is_stored() && !field.generated && !field.has(Special::Uuid);
    let plain = |field: &Field| match &field.default {
        Some(text) => literal(text, field).map(|value| (field.name.clone(), value)),
        None if field.name == collection.primary_key => None,
        None => Some((field.name.clone(), Value::Null)),
    };
    let mut held = collection.fields.iter().filter(known).filter_map(plain).collect();
    stamped(collection, Action::Create, stamp, &mut held);
    held
}

/// The stamps that the action puts.
pub(super) fn stamped(collection: &Collection, action: Action, stamp: &Stamp, held: &mut Map<String, Value>) {
    use Special as S;
    let [date, user, role] = match action {
        Action::Create => [S::DateCreated, S::UserCreated, S::RoleCreated],
        _ => [S::DateUpdated, S::UserUpdated, S::RoleUpdated],
    };
    let id = |id: Option<uuid::Uuid>| id.map_or(Value::Null, |id| Value::from(id.to_string()));
    for field in &collection.fields {
        let value = match field {
            field if field.has(date) => Value::from(stamp.now_text()),
            field if field.has(user) => id(stamp.user),
            field if field.has(role) => id(stamp.role),
            _ => continue,
        };
        held.insert(field.name.clone(), value);
    }
}

/// A default that is a plain value, as PostgreSQL prints it: `'draft'::character varying`, `5`, `true`, `NULL::text`.
fn literal(text: &str, field: &Field) -> Option<Value> {
    let quoted = text.strip_prefix('\'').and_then(|rest| {
        let end = rest.rfind('\'')?;
        let (inner, cast) = (&rest[..end], &rest[end + 1..]);
        // One quoted text and its type: anything more is computed.
        let one = !inner.replace("''", "").contains('\'');
        (one && (cast.is_empty() || is_cast(cast))).then(|| inner.replace("''", "'"))
    });
    let bare = text.trim_matches(['(', ')']);
    let text = match quoted {
        Some(text) => text,
        None if bare == "NULL" || bare.strip_prefix("NULL").is_some_and(is_cast) => return Some(Value::Null),
        None if bare.parse::<f64>().is_ok() || matches!(bare, "true" | "false") => bare.to_owned(),
        None => return None,
    };
    match field.kind {
        FieldType::Json => query::parse_json(&text),
        FieldType::Boolean => text.parse().ok().map(Value::Bool),
        FieldType::Integer | FieldType::Float => query::parse_json(&text).filter(Value::is_number),
        FieldType::Csv => Some(text.split(',').map(Value::from).collect()),
        _ => Some(Value::from(text)),
    }
}

/// `::character varying(20)` and nothing that computes.
fn is_cast(text: &str) -> bool {
    let name = text.strip_prefix("::");
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || " _(),.\"[]".contains(c)))
}

#[cfg(test)]
mod tests {
    use model::FieldType;
    use serde_json::{Value, json};

    use super::literal;
    use crate::shape::tests::field;

    #[test]
    fn plain_defaults_are_known() {
        let of = |text: &str, kind: FieldType| literal(text, &field("f", kind, "x"));
        assert_eq!(of("'draft'::character varying", FieldType::String), Some(json!("draft")));
        assert_eq!(of("'it''s'::text", FieldType::Text), Some(json!("it's")));
        assert_eq!(of("5", FieldType::Integer), Some(json!(5)));
        assert_eq!(of("'-1'::integer", FieldType::Integer), Some(json!(-1)));
        assert_eq!(of("(-1)", FieldType::Integer), Some(json!(-1)));
        assert_eq!(of("true", FieldType::Boolean), Some(json!(true)));
        assert_eq!(of("1.50", FieldType::Decimal), Some(json!("1.50")));
        assert_eq!(of("'{\"a\": 1}'::json", FieldType::Json), Some(json!({"a": 1})));
        assert_eq!(of("NULL::character varying", FieldType::String), Some(Value::Null));
        for computed in [
            "now()",
            "CURRENT_TIMESTAMP",
            "nextval('a_seq'::regclass)",
            "('a'::text || 'b'::text)",
            "'a'::text || 'b'::text",
        ] {
            assert_eq!(of(computed, FieldType::String), None, "{computed}");
        }
    }
}
