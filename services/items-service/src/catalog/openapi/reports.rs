//! The paths of reports.

use serde_json::{Map, Value, json};

use super::{operation, refer, with};

/// A parameter of a report's own.
fn parameter(name: &str, required: bool, schema: &Value, description: &str) -> Value {
    json!({"name": name, "in": "query", "required": required, "schema": schema, "description": description})
}

/// The parameters of the language that count, then a report's own.
fn parameters(shared: &[&str], own: Vec<Value>) -> Value {
    let Value::Array(mut all) = refer(shared) else { return Value::Null };
    all.extend(own);
    Value::Array(all)
}

fn answer(items: &Value, meta: &Value) -> Value {
    let list = json!({"type": "array", "items": items});
    let envelope = json!({"type": "object", "properties": {"meta": meta, "data": list}});
    json!({"description": "Successful", "content": {"application/json": {"schema": envelope}}})
}

/// `/reports/{collection}/tree` and `/reports/{collection}/window`.
pub(super) fn paths(paths: &mut Map<String, Value>) {
    let text = json!({"type": "string"});
    let within = |most: u32| json!({"type": "integer", "minimum": 1, "maximum": most});
    let collection = json!([{"name": "collection", "in": "path", "required": true, "schema": text}]);
    let object = json!({"type": "object"});
    let node = json!({"type": "object", "properties": {
        "depth": {"type": "integer"}, "item": object, "children": {"type": "array", "items": object},
        "key": {}, "parent": {},
    }});
    let cuts = json!({"type": "object", "properties": {
        "nodes": {"type": "integer"}, "depth_cut": {"type": "boolean"}, "nodes_cut": {"type": "boolean"},
        "cycle": {"type": "boolean"},
    }});
    let tree = parameters(
        &["Fields", "Filter", "Sort"],
        vec![
            parameter("parent", true, &text, "Many-to-one field that leads to the same collection"),
            parameter("root", false, &text, "Key of the item to begin with; else all that refer to none"),
            parameter("depth", false, &within(50), "Levels at most; 10 when absent"),
            parameter("limit", false, &within(10_000), "Items at most; 1000 when absent"),
            parameter("shape", false, &json!({"enum": ["nested", "flat"]}), "How items are laid out"),
        ],
    );
    let counted = json!({"type": "object", "properties": {"item": object, "figures": object}});
    let window = parameters(
        &["Fields", "Filter", "Sort", "Limit", "Offset", "Page", "Meta"],
        vec![
            parameter("compute", true, &text, "Figures: running_sum(f), moving_avg(f,n), rank, lag(f) ..."),
            parameter("order", true, &text, "Fields that order a window; `-` before a name turns it around"),
            parameter("partition", false, &text, "Fields whose equal values make a window"),
        ],
    );
    for (name, summary, own, answer) in [
        ("tree", "Items below those that they refer to", tree, answer(&node, &cuts)),
        ("window", "Items with figures over those around them", window, answer(&counted, &object)),
    ] {
        let read = operation("Reports", &format!("{name}Report"), summary, answer);
        paths.insert(
            format!("/reports/{{collection}}/{name}"),
            json!({"parameters": collection, "get": with(read, "parameters", own)}),
        );
    }
}
