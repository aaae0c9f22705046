//! The schema as an OpenAPI 3.1 document. Pure.

mod history;
mod reports;

use model::FieldType;
use serde_json::{Map, Value, json};

use super::{Catalog, CollectionEntry, FieldEntry};

/// What the document is about, beside the schema.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the project.
    pub title: String,
    /// Version of the program.
    pub version: String,
    /// Where the gateway is reached; relative when it is not known.
    pub url: Option<String>,
    /// Collections are part of it: the caller may use them.
    pub everything: bool,
}

/// The whole document.
pub fn document(catalog: &Catalog, about: &About) -> Value {
    let mut paths = fixed_paths();
    let mut schemas = fixed_schemas();
    let mut tags = vec![json!({"name": "Authentication"}), json!({"name": "Server"})];
    if about.everything {
        tags.extend([json!({"name": "Schema"}), json!({"name": "Reports"})]);
        schema_paths(&mut paths);
        reports::paths(&mut paths);
        history::paths(&mut paths);
        let usable =
            catalog.collections.values().filter(|entry| entry.table.is_some() && entry.key().is_some());
        for entry in usable.filter(|entry| !entry.system) {
            let name = format!("Items{}", pascal(&entry.name));
            tags.push(json!({"name": name}));
            items_paths(&mut paths, entry, &name);
            schemas.insert(name, item(entry));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": about.title, "version": about.version},
        "servers": [{"url": about.url.as_deref().unwrap_or("/")}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters(),
            "responses": responses(),
            "securitySchemes": {
                "Auth": {"type": "apiKey", "in": "query", "name": "access_token"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"Bearer": []}, {"Auth": []}],
    })
}

/// `article_comments` -> `ArticleComments`; of other letters than these nothing is left out.
pub(super) fn pascal(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len());
    let mut upper = true;
    for letter in name.chars() {
        if letter == '_' || letter == ' ' || letter == '-' {
            upper = true;
        } else if letter.is_alphanumeric() {
            if upper {
                pascal.extend(letter.to_uppercase())
            } else {
                pascal.push(letter)
            }
            upper = false;
        } else {
            // Kept apart from names that differ in this letter alone.
            pascal.push_str(&format!("x{:x}", u32::from(letter)));
        }
    }
    pascal
}

fn json_body(schema: &Value) -> Value {
    json!({"content": {"application/json": {"schema": schema}}})
}

/// An answer whose `data` has this schema.
fn data(schema: &Value) -> Value {
    let envelope = json!({"type": "object", "properties": {"data": schema}});
    json!({"description": "Successful", "content": {"application/json": {"schema": envelope}}})
}

fn operation(tag: &str, id: &str, summary: &str, answer: Value) -> Value {
    let empty = answer.is_null();
    let mut responses = Map::new();
    let (status, answer) = if empty { ("204", json!({"description": "Done"})) } else { ("200", answer) };
    responses.insert(status.to_owned(), answer);
    for (status, name) in
        [("400", "Invalid"), ("401", "Unauthorized"), ("403", "Forbidden"), ("503", "Unavailable")]
    {
        responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
    }
    json!({"tags": [tag], "operationId": id, "summary": summary, "responses": responses})
}

fn with(mut operation: Value, member: &str, value: Value) -> Value {
    operation[member] = value;
    operation
}

fn refer(parameters: &[&str]) -> Value {
    parameters.iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

const LIST: [&str; 10] =
    ["Fields", "Filter", "Sort", "Limit", "Offset", "Page", "Cursor", "AsOf", "Meta", "Explain"];

fn items_paths(paths: &mut Map<String, Value>, entry: &CollectionEntry, name: &str) {
    let one = json!({"$ref": format!("#/components/schemas/{name}")});
    let many = json!({"type": "array", "items": one});
    let either = json!({"oneOf": [one, many]});
    let collection = &entry.name;
    let path = format!("/items/{}", encoded(collection));
    if entry.meta.as_ref().is_some_and(|meta| meta.singleton) {
        let read = operation(name, &format!("read{name}"), &format!("Read {collection}"), data(&one));
        let update = operation(name, &format!("update{name}"), &format!("Change {collection}"), data(&one));
        paths.insert(
            path,
            json!({
                "get": with(read, "parameters", refer(&["Fields", "AsOf"])),
                "patch": with(with(update, "requestBody", json_body(&one)), "parameters", refer(&["Fields"])),
            }),
        );
        return;
    }
    let list =
        operation(name, &format!("readItems{name}"), &format!("List items of {collection}"), data(&many));
    let create =
        operation(name, &format!("create{name}"), &format!("Create items of {collection}"), data(&either));
    let update =
        operation(name, &format!("updateItems{name}"), &format!("Change items of {collection}"), data(&many));
    let delete =
        operation(name, &format!("deleteItems{name}"), &format!("Delete items of {collection}"), Value::Null);
    let keys = json!({"type": "array", "items": {"type": ["string", "integer"]}});
    let change = json!({"oneOf": [
        many,
        {"type": "object", "required": ["data"], "properties": {"keys": keys, "query": {"type": "object"}, "data": one}},
    ]});
    let doomed = json!({"oneOf": [keys, {"type": "object", "properties": {"keys": keys, "query": {"type": "object"}}}]});
    paths.insert(
        path.clone(),
        json!({
            "get": with(list, "parameters", refer(&LIST)),
            "post": with(with(create, "requestBody", json_body(&either)), "parameters", refer(&["Fields"])),
            "patch": with(with(update, "requestBody", json_body(&change)), "parameters", refer(&["Fields"])),
            "delete": with(delete, "requestBody", json_body(&doomed)),
        }),
    );
    let read =
        operation(name, &format!("readItem{name}"), &format!("Read an item of {collection}"), data(&one));
    let update =
        operation(name, &format!("updateItem{name}"), &format!("Change an item of {collection}"), data(&one));
    let delete = operation(
        name,
        &format!("deleteItem{name}"),
        &format!("Delete an item of {collection}"),
        Value::Null,
    );
    paths.insert(
        format!("{path}/{{id}}"),
        json!({
            "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": ["string", "integer"]}}],
            "get": with(read, "parameters", refer(&["Fields", "AsOf"])),
            "patch": with(with(update, "requestBody", json_body(&one)), "parameters", refer(&["Fields"])),
            "delete": delete,
        }),
    );
}

/// A segment of a path.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~');
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(super) fn item(entry: &CollectionEntry) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in &entry.fields {
        let Some(schema) = property(entry, field) else { continue };
        if field.meta.as_ref().is_some_and(|meta| meta.required) {
            required.push(field.name.clone());
        }
        properties.insert(field.name.clone(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn property(entry: &CollectionEntry, field: &FieldEntry) -> Option<Value> {
    let Some(column) = &field.column else {
        // Relations seen from the other side give keys; groups and dividers nothing.
        let relational =
            ["o2m", "m2m", "m2a", "files", "translations"].iter().any(|special| field.is(special));
        return relational
            .then(|| json!({"type": "array", "items": {"type": ["string", "integer", "object"]}}));
    };
    let (kind, format) = match field.kind {
        FieldType::Boolean => ("boolean", None),
        FieldType::Integer => ("integer", None),
        FieldType::Float => ("number", None),
        FieldType::Date => ("string", Some("date")),
        FieldType::Time => ("string", Some("time")),
        FieldType::Timestamp => ("string", Some("date-time")),
        FieldType::Uuid => ("string", Some("uuid")),
        FieldType::Csv => ("array", None),
        FieldType::Geometry(_) => ("object", None),
        FieldType::Json => return Some(json!({})),
        _ => ("string", None),
    };
    let mut kinds = vec![json!(kind)];
    let related = entry.relations.iter().find(|relation| relation.field == field.name);
    if related.is_some() && kind != "object" {
        kinds.push(json!("object"));
    }
    if column.nullable {
        kinds.push(json!("null"));
    }
    let mut schema = Map::from_iter([(
        "type".to_owned(),
        if kinds.len() == 1 { json!(kind) } else { Value::Array(kinds) },
    )]);
    if let Some(format) = format {
        schema.insert("format".to_owned(), json!(format));
    }
    if field.kind == FieldType::Csv {
        schema.insert("items".to_owned(), json!({"type": "string"}));
    }
    if let Some(length) = column.max_length.filter(|_| kind == "string" && field.kind != FieldType::Hash) {
        schema.insert("maxLength".to_owned(), json!(length));
    }
    if let Some(comment) = &column.comment {
        schema.insert("description".to_owned(), json!(comment));
    }
    Some(Value::Object(schema))
}

fn fixed_paths() -> Map<String, Value> {
    let tokens = json!({"type": "object", "properties": {
        "access_token": {"type": "string"}, "refresh_token": {"type": "string"}, "expires": {"type": "integer"},
    }});
    let credentials = json!({"type": "object", "required": ["email", "password"], "properties": {
        "email": {"type": "string"}, "password": {"type": "string"}, "mode": {"enum": ["json", "cookie", "session"]},
    }});
    let refresh = json!({"type": "object", "properties": {
        "refresh_token": {"type": "string"}, "mode": {"enum": ["json", "cookie", "session"]},
    }});
    let auth = |id: &str, summary: &str, answer| operation("Authentication", id, summary, answer);
    let server = |id: &str, summary: &str| operation("Server", id, summary, data(&json!({"type": "object"})));
    let public = |operation| with(operation, "security", json!([]));
    let ping = json!({"tags": ["Server"], "operationId": "ping", "summary": "Is anybody there?", "security": [],
        "responses": {"200": {"description": "pong", "content": {"text/html": {"schema": {"type": "string"}}}}}});
    let login = with(auth("login", "Log in", data(&tokens)), "requestBody", json_body(&credentials));
    let renew = with(auth("refresh", "Renew tokens", data(&tokens)), "requestBody", json_body(&refresh));
    let leave = with(auth("logout", "Log out", Value::Null), "requestBody", json_body(&refresh));
    let paths = json!({
        "/auth/login": {"post": public(login)},
        "/auth/refresh": {"post": public(renew)},
        "/auth/logout": {"post": public(leave)},
        "/users/me": {"get": with(auth("readMe", "The caller himself", data(&json!({"type": "object"}))), "parameters", refer(&["Fields"]))},
        "/server/ping": {"get": ping},
        "/server/info": {"get": public(server("serverInfo", "About the project"))},
        "/server/health": {"get": public(server("serverHealth", "Whether everything works"))},
    });
    paths.as_object().cloned().unwrap_or_default()
}

fn schema_paths(paths: &mut Map<String, Value>) {
    let object = json!({"type": "object"});
    let list = json!({"type": "array", "items": object});
    for (path, one, noun) in [
        ("/collections", "/collections/{collection}", "Collection"),
        ("/fields/{collection}", "/fields/{collection}/{field}", "Field"),
        ("/relations", "/relations/{collection}/{field}", "Relation"),
    ] {
        let parameters = |path: &str| -> Value {
            let names =
                ["collection", "field"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
            names
                .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
                .collect()
        };
        let at = |verb: &str, answer: Value| {
            operation("Schema", &format!("{verb}{noun}"), &format!("{verb} {}", noun.to_lowercase()), answer)
        };
        paths.insert(
            path.to_owned(),
            json!({
                "parameters": parameters(path),
                "get": at("list", data(&list)),
                "post": with(at("create", data(&object)), "requestBody", json_body(&object)),
            }),
        );
        paths.insert(
            one.to_owned(),
            json!({
                "parameters": parameters(one),
                "get": at("read", data(&object)),
                "patch": with(at("update", data(&object)), "requestBody", json_body(&object)),
                "delete": at("delete", Value::Null),
            }),
        );
    }
}

fn fixed_schemas() -> Map<String, Value> {
    let error = json!({"type": "object", "properties": {"errors": {"type": "array", "items": {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "extensions": {"type": "object", "properties": {"code": {"type": "string"}}},
        },
    }}}});
    Map::from_iter([("Error".to_owned(), error)])
}

fn parameters() -> Value {
    let query = |name: &str, schema: Value, description: &str| json!({"name": name, "in": "query", "required": false, "schema": schema, "description": description});
    let names = json!({"type": "array", "items": {"type": "string"}});
    let mut fields = query("fields", names.clone(), "Fields of the answer");
    let mut sort = query("sort", names.clone(), "Order; `-` before a name turns it around");
    let mut meta =
        query("meta", names, "Counts beside the items: total_count, filter_count, filter_count_estimate");
    for list in [&mut fields, &mut sort, &mut meta] {
        list["style"] = json!("form");
        list["explode"] = json!(false);
    }
    json!({
        "Fields": fields,
        "Filter": query("filter", json!({"type": "string"}), "Which items, as JSON: {\"title\":{\"_eq\":\"x\"}}"),
        "Sort": sort,
        "Limit": query("limit", json!({"type": "integer", "minimum": -1}), "How many at most; -1 = all"),
        "Offset": query("offset", json!({"type": "integer", "minimum": 0}), "How many to skip"),
        "Page": query("page", json!({"type": "integer", "minimum": 1}), "Page of `limit` items, from 1"),
        "Cursor": query("cursor", json!({"type": "string"}), "Empty for the first page, then meta.next_cursor of the page before"),
        "AsOf": query("as_of", json!({"type": ["integer", "string"]}), "As it stood: a position of the log, or a date (ISO 8601)"),
        "Meta": meta,
        "Explain": query("explain", json!({"enum": ["true", "analyze"]}), "For administrators: how the list would be answered, instead of the list; with `analyze` it is run for that"),
    })
}

fn responses() -> Value {
    let error = |description: &str| json!({"description": description, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    json!({
        "Invalid": error("The request can't be understood or does not fit"),
        "Unauthorized": error("Bad or expired credentials"),
        "Forbidden": error("No permission, or it does not exist"),
        "Unavailable": error("A part of the platform is away; Retry-After says when to come again"),
    })
}

#[cfg(test)]
mod tests {
    use super::{encoded, pascal};

    #[test]
    fn names_stay_apart() {
        assert_eq!(pascal("article_comments"), "ArticleComments");
        assert_ne!(pascal("a.b"), pascal("a:b"));
        assert_eq!(encoded("with space/ä"), "with%20space%2F%C3%A4");
    }
}
