//! PostgreSQL's type of a column as a document names it, as DDL. Pure.

use model::FieldType;
use serde_json::Value;

use super::Members;
use crate::catalog::assemble::typed;

/// Types that are what they are called.
const PLAIN: [&str; 17] = [
    "text",
    "citext",
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "date",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "json",
    "jsonb",
    "uuid",
    "bytea",
];

/// The whole type with its modifier, as PostgreSQL prints it; none when the entry names none that we make, or one that
/// does not go with its `type`.
pub fn column_type(entry: &Members) -> Option<String> {
    let schema = entry.get("schema")?.as_object()?;
    let name = schema.get("data_type")?.as_str()?;
    let number = |member: &str| schema.get(member).and_then(Value::as_u64);
    if !fits(entry) {
        return None;
    }
    match name {
        "character varying" | "character" => {
            Some(number("max_length").map_or(name.to_owned(), |length| format!("{name}({length})")))
        }
        "numeric" => Some(match (number("numeric_precision"), number("numeric_scale")) {
            (Some(precision), scale) => format!("numeric({precision},{})", scale.unwrap_or(0)),
            (None, _) => "numeric".to_owned(),
        }),
        plain => PLAIN.contains(&plain).then(|| plain.to_owned()),
    }
}

/// The entry's `type` is what clients see of its `data_type`.
pub fn fits(entry: &Members) -> bool {
    let data_type = entry.get("schema").and_then(|schema| schema["data_type"].as_str());
    data_type
        .is_none_or(|name| entry.get("type").and_then(Value::as_str) == Some(wire_type(entry, name).as_str()))
}

/// What clients see of a column of this type, given the entry's specials.
pub fn wire_type(entry: &Members, data_type: &str) -> FieldType {
    let special = entry.get("meta").and_then(|meta| meta["special"].as_array());
    let special: Vec<String> =
        special.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    typed(data_type, &special)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::column_type;

    fn of(entry: Value) -> Option<String> {
        column_type(entry.as_object().unwrap())
    }

    #[test]
    fn only_known_types_reach_the_statement() {
        let string = |schema: Value| of(json!({"type": "string", "schema": schema}));
        assert_eq!(
            string(json!({"data_type": "character varying", "max_length": 40})).unwrap(),
            "character varying(40)"
        );
        assert_eq!(
            string(json!({"data_type": "character varying", "max_length": null})).unwrap(),
            "character varying"
        );
        assert_eq!(string(json!({"data_type": "varchar); DROP TABLE x; --"})), None);
        assert_eq!(string(json!({"data_type": "text"})), None, "does not go with the type");
        let json =
            json!({"type": "json", "meta": {"special": ["cast-json"]}, "schema": {"data_type": "text"}});
        assert_eq!(of(json).unwrap(), "text");
        let price = json!({"type": "decimal", "schema": {"data_type": "numeric", "numeric_precision": 10, "numeric_scale": 2}});
        assert_eq!(of(price).unwrap(), "numeric(10,2)");
    }
}
