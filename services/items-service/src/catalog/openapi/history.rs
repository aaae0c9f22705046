//! The paths of history, undo and erasure.

use serde_json::{Map, Value, json};

use super::{data, json_body, operation, with};

/// `/items/{collection}/{key}/history`, `/utils/undo` and `/utils/erase`.
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
        "erased": {"type": ["array", "null"], "items": text},
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
    erasure(paths);
}

fn erasure(paths: &mut Map<String, Value>) {
    let (text, flag, count) =
        (json!({"type": "string"}), json!({"type": "boolean"}), json!({"type": "integer"}));
    let texts = json!({"type": "array", "items": text});
    let keys = json!({"type": "array", "items": {"type": ["string", "integer"]}});
    let wish = json!({"type": "object", "properties": {"collection": text, "keys": keys, "fields": texts, "users": texts,
        "delete": flag, "dry_run": flag}});
    let places = json!({"type": "object", "properties": {"events": count, "revisions": count, "versions": count,
        "answers": count, "dead_letters": count, "sessions": count}});
    let done = data(&json!({"type": "object", "properties": {"id": {"type": ["string", "null"]},
        "position": {"type": ["integer", "null"]}, "state": {"enum": ["running", "done"]}, "dry_run": flag,
        "deleted": count, "erased": places, "messages_left": count, "error": {"type": ["string", "null"]}}}));
    let erase = operation(
        "History",
        "erase",
        "Take values of items, or traces of users, out of the log",
        done.clone(),
    );
    paths.insert("/utils/erase".to_owned(), json!({"post": with(erase, "requestBody", json_body(&wish))}));
    let id = json!({"name": "id", "in": "path", "required": true, "schema": text});
    let read = operation("History", "readErasure", "How an erasure stands", done);
    paths.insert("/utils/erase/{id}".to_owned(), json!({"parameters": [id], "get": read}));
}
