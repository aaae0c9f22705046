//! The paths of history and undo.

use serde_json::{Map, Value, json};

use super::{data, json_body, operation, with};

/// `/items/{collection}/{key}/history` and `/utils/undo`.
pub(super) fn paths(paths: &mut Map<String, Value>) {
    let text = json!({"type": "string"});
    let place = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": text});
    let count = |name: &str, least: u32, description: &str| {
        json!({"name": name, "in": "query", "required": false, "schema": {"type": "integer", "minimum": least},
            "description": description})
    };
    let event = json!({"type": "object", "properties": {
        "position": {"type": "integer"}, "version": {"type": "integer"},
        "action": {"enum": ["create", "update", "delete"]},
        "fields": {"type": "array", "items": text}, "payload": {"type": ["object", "null"]},
        "previous": {"type": ["object", "null"]}, "user": {"type": ["string", "null"]}, "time": text,
        "request_id": {"type": ["string", "null"]}, "causation_id": {"type": ["string", "null"]},
    }});
    let events = data(&json!({"type": "array", "items": event}));
    let read = operation("History", "readHistory", "What happened to an item, newest first", events);
    let page = json!([
        count("limit", 1, "Events at most, up to 1000; 100 when absent"),
        count("offset", 0, "So many of the newest are left out"),
    ]);
    paths.insert(
        "/items/{collection}/{key}/history".to_owned(),
        json!({"parameters": [place("collection"), place("key")], "get": with(read, "parameters", page)}),
    );
    let flag = json!({"type": "boolean"});
    let wish = json!({"type": "object", "properties": {
        "request_id": text, "from": {"type": "integer"}, "to": {"type": "integer"}, "dry_run": flag, "force": flag,
    }});
    let steps = json!({"type": "array", "items": {"type": "object"}});
    let done =
        data(&json!({"type": "object", "properties": {"dry_run": flag, "undone": steps, "skipped": steps}}));
    let mut undo = operation("History", "undo", "Take the writes of a request or of positions back", done);
    undo["responses"]["409"] = json!({"description": "Items stand in the way; `items` says which and why",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    paths.insert("/utils/undo".to_owned(), json!({"post": with(undo, "requestBody", json_body(&wish))}));
}
