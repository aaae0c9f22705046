//! A diff as text for people: what comes (`+`), changes (`~`) and goes (`-`). Pure.

use std::fmt;

use serde_json::{Map, Value};

use super::Kind;
use super::compare::{Change, Diff};
use super::difference::Step;

/// Text of a value, at most this long.
const LENGTH: usize = 60;

/// What would change.
#[derive(Debug)]
pub struct Plan(pub(super) Diff);

impl Plan {
    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut made, mut changed, mut deleted) = (0, 0, 0);
        for (kind, change) in self.0.all().filter(|(_, change)| !change.diff.is_empty()) {
            let name = name(kind, change);
            match whole(change) {
                Some(Step::N { rhs, .. }) => {
                    made += 1;
                    writeln!(f, "+ {name}{}", made_of(kind, rhs))?;
                }
                Some(Step::D { .. }) => {
                    deleted += 1;
                    let with =
                        if kind == Kind::Collection { " with its fields, relations and items" } else { "" };
                    writeln!(f, "- {name}{with}")?;
                }
                _ => {
                    changed += 1;
                    let steps: Vec<String> = change.diff.iter().filter_map(said).collect();
                    writeln!(f, "~ {name}: {}", steps.join(", "))?;
                }
            }
        }
        if made + changed + deleted == 0 {
            return write!(f, "nothing to change");
        }
        write!(f, "{made} to make, {changed} to change, {deleted} to delete")
    }
}

/// The step that concerns the whole entry.
fn whole(change: &Change) -> Option<&Step> {
    change.diff.first().filter(|step| match step {
        Step::N { path, .. } | Step::D { path, .. } => path.is_empty(),
        Step::E { .. } | Step::A { .. } => false,
    })
}

fn name(kind: Kind, change: &Change) -> String {
    let field = change.field.as_deref().unwrap_or_default();
    match kind {
        Kind::Collection => format!("collection {}", change.collection),
        Kind::Field | Kind::SystemField => format!("field {}.{field}", change.collection),
        Kind::Relation => {
            let related = change.related_collection.as_ref().and_then(Value::as_str);
            let related = related.map_or(String::new(), |related| format!(" -> {related}"));
            format!("relation {}.{field}{related}", change.collection)
        }
    }
}

/// What is worth knowing of something new.
fn made_of(kind: Kind, entry: &Value) -> String {
    let none = Map::new();
    let schema = entry.get("schema").and_then(Value::as_object).unwrap_or(&none);
    let is = |member: &str| schema.get(member) == Some(&Value::Bool(true));
    let mut words = Vec::new();
    match kind {
        Kind::Collection if schema.is_empty() => words.push("folder".to_owned()),
        Kind::Collection | Kind::SystemField => {}
        Kind::Field => {
            words.push(entry["type"].as_str().unwrap_or("string").to_owned());
            let marks =
                [("is_primary_key", "primary key"), ("is_unique", "unique"), ("is_indexed", "indexed")];
            words.extend(marks.into_iter().find(|(member, _)| is(member)).map(|(_, word)| word.to_owned()));
            if schema.get("is_nullable") == Some(&Value::Bool(false)) && !is("is_primary_key") {
                words.push("not null".to_owned());
            }
        }
        Kind::Relation => match schema.get("on_delete").and_then(Value::as_str) {
            Some(rule) => words.push(format!("on delete {}", rule.to_lowercase())),
            None => words.push("no foreign key".to_owned()),
        },
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn said(step: &Step) -> Option<String> {
    Some(match step {
        Step::N { path, rhs } => format!("{} {}", place(path), text(rhs)),
        Step::D { path, lhs } => format!("{} {} -> none", place(path), text(lhs)),
        Step::E { path, .. } if place(path) == "data_type" => return None,
        Step::E { path, lhs, rhs } => format!("{} {} -> {}", place(path), text(lhs), text(rhs)),
        Step::A { path, index, item } => match &**item {
            Step::N { rhs, .. } => format!("{}[{index}] + {}", place(path), text(rhs)),
            Step::D { lhs, .. } => format!("{}[{index}] - {}", place(path), text(lhs)),
            Step::E { .. } | Step::A { .. } => return None,
        },
    })
}

fn place(path: &[Value]) -> String {
    let parts: Vec<String> =
        path.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
    match parts.first().map(String::as_str) {
        Some("schema" | "meta") if parts.len() > 1 => parts[1..].join("."),
        _ => parts.join("."),
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if !text.is_empty() && !text.contains(|c: char| c.is_control()) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Plan;
    use crate::schema::blueprint::body;

    #[test]
    fn a_plan_reads_well() {
        let diff = json!({
            "collections": [
                {"collection": "posts", "diff": [{"kind": "N", "rhs": {"collection": "posts", "schema": {"name": "posts"}}}]},
                {"collection": "group", "diff": [{"kind": "N", "rhs": {"collection": "group", "meta": {}}}]},
                {"collection": "old", "diff": [{"kind": "D", "lhs": {}}]},
            ],
            "fields": [
                {"collection": "posts", "field": "id", "diff": [{"kind": "N", "rhs":
                    {"type": "uuid", "schema": {"is_primary_key": true, "is_unique": true, "is_nullable": false}}}]},
                {"collection": "a", "field": "b", "diff": [
                    {"kind": "E", "path": ["type"], "lhs": "string", "rhs": "text"},
                    {"kind": "E", "path": ["schema", "data_type"], "lhs": "character varying", "rhs": "text"},
                    {"kind": "E", "path": ["schema", "max_length"], "lhs": 255, "rhs": null},
                    {"kind": "A", "path": ["meta", "special"], "index": 1, "item": {"kind": "N", "rhs": "x"}}]},
            ],
            "systemFields": [],
            "relations": [
                {"collection": "a", "field": "c", "related_collection": "posts",
                 "diff": [{"kind": "N", "rhs": {"schema": {"on_delete": "SET NULL"}}}]},
                {"collection": "a", "field": "d", "related_collection": null, "diff": [{"kind": "D", "lhs": {}}]},
            ],
        });
        let plan = Plan(body::wanted(&json!({"hash": "", "diff": diff})).unwrap().diff);
        assert_eq!(
            plan.to_string(),
            "+ collection posts\n\
             + collection group (folder)\n\
             - collection old with its fields, relations and items\n\
             + field posts.id (uuid, primary key)\n\
             ~ field a.b: type string -> text, max_length 255 -> none, special[1] + x\n\
             + relation a.c -> posts (on delete set null)\n\
             - relation a.d\n\
             4 to make, 1 to change, 2 to delete"
        );
    }
}
