//! One line of `directus_permissions`, read as a rule.

use access::{Action, Fields, Rule};
use db::Db;
use model::{Filter, Operator};
use query::{Query, read_rule};
use serde_json::{Map, Value, json};
use sqlx::Row as _;
use uuid::Uuid;

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Whose it is; nil where it stands in no table.
    pub policy: Uuid,
    /// Its collection.
    pub collection: String,
    /// What it allows.
    pub action: Action,
    /// Names of fields as they stand there.
    pub fields: Vec<String>,
    /// The line is about some of the items only.
    pub partial: bool,
    /// Values that are given where none are sent.
    pub presets: Option<Map<String, Value>>,
    /// What it comes to; nothing when its condition can't be read, so that it allows nothing.
    pub rule: Option<Rule>,
}

/// The parts of a line that are JSON.
pub struct Parts {
    /// `fields`.
    pub fields: Vec<String>,
    /// `permissions`.
    pub items: Value,
    /// `validation`.
    pub validation: Value,
    /// `presets`.
    pub presets: Value,
}

impl Line {
    /// Of what stands in the table under this id; 0 where it stands in none.
    pub fn new((id, policy): (i64, Uuid), (collection, action): (String, Action), parts: Parts) -> Self {
        let Parts { fields, items, validation, presets: presets_given } = parts;
        let presets = presets_given.as_object().filter(|presets| !presets.is_empty()).cloned();
        let partial = items.as_object().is_some_and(|items| !items.is_empty());
        let items = condition(&items).unwrap_or_else(|error| {
            tracing::warn!(permission = id, collection, %error, "a permission can't be read: it reaches no item");
            Some(never())
        });
        // What is too deep to be read is no object.
        let is_read = |part: &Value| matches!(part, Value::Object(_) | Value::Null);
        let rule = (is_read(&validation) && is_read(&presets_given)).then(|| Rule {
            presets: presets.clone().unwrap_or_default(),
            validation: read_rule(&validation),
            ..Rule::new(&collection, action, items, named(&fields))
        });
        if rule.is_none() {
            tracing::warn!(permission = id, collection, "a permission can't be read: it allows nothing");
        }
        Self { policy, collection, action, fields, partial, presets, rule }
    }
}

fn condition(items: &Value) -> Result<Option<Filter>, model::Error> {
    match items {
        Value::Null => Ok(None),
        Value::Object(empty) if empty.is_empty() => Ok(None),
        _ => {
            let read = Query::from_json(&json!({ "filter": items }))?.filter;
            read.map(Some).ok_or_else(|| model::Error::invalid_query("the condition says nothing"))
        }
    }
}

/// No item is one of none.
fn never() -> Filter {
    Filter::Compare {
        field: String::new(),
        function: None,
        operator: Operator::In,
        value: Value::Array(Vec::new()),
    }
}

fn named(fields: &[String]) -> Fields {
    if fields.iter().any(|field| field == "*") {
        return Fields::All;
    }
    Fields::Named(fields.iter().cloned().collect())
}

/// Every line that says anything, in the order of their ids.
pub async fn all(db: &Db) -> Result<Vec<Line>, db::Error> {
    const LINES: &str = "SELECT id::bigint, policy, collection, action, coalesce(fields, '') AS fields,
            coalesce(permissions::text, 'null') AS permissions, coalesce(validation::text, 'null') AS validation,
            coalesce(presets::text, 'null') AS presets
        FROM directus_permissions ORDER BY id";
    let rows = sqlx::query(LINES).fetch_all(db).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(action) = Action::parse(row.try_get("action")?) else { continue };
        // What is too deep to be read allows nothing.
        let json = |name: &str| -> Result<Value, sqlx::Error> {
            let text: &str = row.try_get(name)?;
            Ok(query::parse_json(text).unwrap_or(Value::Bool(false)))
        };
        let fields: &str = row.try_get("fields")?;
        let parts = Parts {
            fields: fields
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            items: json("permissions")?,
            validation: json("validation")?,
            presets: json("presets")?,
        };
        lines.push(Line::new(
            (row.try_get("id")?, row.try_get("policy")?),
            (row.try_get("collection")?, action),
            parts,
        ));
    }
    Ok(lines)
}
