//! The events on the bus as an AsyncAPI 3.0 document. Pure.

use model::EVENT_SCHEMA;
use serde_json::{Map, Value, json};

use super::openapi::{item, pascal};
use super::{Catalog, CollectionEntry};

/// What the document is about, beside the schema.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// First token of every subject; empty for none.
    pub prefix: &'a str,
    /// Events of system collections and of the system are part of it.
    pub everything: bool,
}

/// What happens to items, with what an event of it carries.
const ACTIONS: [(&str, &str); 3] = [
    ("create", "An item was made: `payload` is the item as it was stored"),
    ("update", "An item was changed: `payload` and `previous` are the changed fields"),
    ("delete", "An item was deleted: `previous` is the item as it was"),
];

/// Events of the system that are no changes of items.
const OTHERS: [(&str, &str); 3] = [
    ("auth.login", "Somebody has logged in"),
    ("auth.logout", "Somebody has logged out"),
    ("activity.erase", "The traces of users were erased"),
];

/// The parts of the document that grow with the schema.
#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// The whole document: events of the collections that the caller may read.
pub fn document(catalog: &Catalog, about: &About<'_>, reads: impl Fn(&str) -> bool) -> Value {
    let mut parts = Parts::default();
    parts.schemas.insert("Event".to_owned(), event());
    parts.schemas.insert("Headers".to_owned(), headers());
    let usable = catalog.collections.values().filter(|entry| entry.table.is_some() && entry.key().is_some());
    for entry in usable {
        if entry.system && about.everything {
            parts.of_system(entry, about);
        } else if !entry.system && reads(&entry.name) {
            parts.of_items(entry, about);
        }
    }
    if about.everything {
        for (name, summary) in OTHERS {
            parts.add(
                about,
                name,
                &pascal(&name.replace('.', "_")),
                summary,
                json!({"name": {"const": name}}),
            );
        }
    }
    parts.custom(about);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Eventus: events",
            "version": about.version,
            "description": "Every committed change, as a CloudEvent in binary mode on NATS JetStream. At-least-once, in order \
                per item. See docs/EVENTS.md.",
        },
        "defaultContentType": "application/json",
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {"messages": parts.messages, "schemas": parts.schemas},
    })
}

impl Parts {
    /// Items of a collection of the user's.
    fn of_items(&mut self, entry: &CollectionEntry, about: &About<'_>) {
        let name = pascal(&entry.name);
        // Of what was changed some fields are there, of what was erased none needs to be.
        let mut shape = item(entry);
        if let Some(shape) = shape.as_object_mut() {
            shape.remove("required");
        }
        let shape_name = format!("Items{name}");
        self.schemas.insert(shape_name.clone(), shape);
        for (action, summary) in ACTIONS {
            let body =
                json!({"oneOf": [{"$ref": format!("#/components/schemas/{shape_name}")}, {"type": "null"}]});
            let mut properties = json!({
                "name": {"const": format!("items.{action}")},
                "collection": {"const": entry.name},
            });
            for (member, without) in [("payload", "delete"), ("previous", "create")] {
                properties[member] = if action == without { json!({"type": "null"}) } else { body.clone() };
            }
            let subject = format!("items.{action}.{}", bus::subject::escape(&entry.name));
            self.add(about, &subject, &format!("Items{}{name}", pascal(action)), summary, properties);
        }
        let subject = format!("items.erase.{}", bus::subject::escape(&entry.name));
        let properties = json!({"name": {"const": "items.erase"}, "collection": {"const": entry.name}});
        self.add(about, &subject, &format!("ItemsErase{name}"), "Values of items were erased", properties);
    }

    /// Items of a system collection: their values are those of `/{scope}`.
    fn of_system(&mut self, entry: &CollectionEntry, about: &About<'_>) {
        let scope = entry.name.strip_prefix("directus_").unwrap_or(&entry.name);
        if !bus::topology::SUBJECTS.iter().any(|pattern| pattern.strip_suffix(".>") == Some(scope)) {
            return;
        }
        for (action, summary) in ACTIONS {
            let name = format!("{scope}.{action}");
            let properties = json!({"name": {"const": name}, "collection": {"const": entry.name}});
            self.add(about, &name, &pascal(&format!("{scope}_{action}")), summary, properties);
        }
    }

    /// Events of one's own, whatever they are called.
    fn custom(&mut self, about: &About<'_>) {
        let properties = json!({"name": {"pattern": "^custom\\."}, "version": {"const": 0}});
        self.add(about, "custom.{event}", "Custom", "An event of your own (`POST /events`)", properties);
        self.channels["Custom"]["parameters"] =
            json!({"event": {"description": "One or more names of a-z, 0-9 and _, with dots between"}});
    }

    /// A channel with its one message, which we send.
    fn add(&mut self, about: &About<'_>, subject: &str, name: &str, summary: &str, properties: Value) {
        let address = bus::subject::prefixed(about.prefix, subject);
        let message = json!({"$ref": format!("#/components/messages/{name}")});
        self.channels.insert(name.to_owned(), json!({"address": address, "messages": {name: message}}));
        self.operations.insert(
            format!("send{name}"),
            json!({
                "action": "send",
                "channel": {"$ref": format!("#/channels/{name}")},
                "messages": [{"$ref": format!("#/channels/{name}/messages/{name}")}],
            }),
        );
        self.messages.insert(
            name.to_owned(),
            json!({
                "name": name,
                "summary": summary,
                "contentType": "application/json",
                "headers": {"$ref": "#/components/schemas/Headers"},
                "payload": {"allOf": [{"$ref": "#/components/schemas/Event"}, {"type": "object", "properties": properties}]},
            }),
        );
    }
}

/// The newest form of events, as a component.
fn event() -> Value {
    let schema = model::event_schema(EVENT_SCHEMA).unwrap_or("{}");
    let mut schema: Value = serde_json::from_str(schema).unwrap_or_default();
    if let Some(schema) = schema.as_object_mut() {
        schema.retain(|name, _| !name.starts_with('$'));
    }
    schema
}

fn headers() -> Value {
    let text = || json!({"type": "string"});
    let mut properties = Map::new();
    for name in [
        "Nats-Msg-Id",
        "ce-specversion",
        "ce-id",
        "ce-type",
        "ce-source",
        "ce-subject",
        "ce-time",
        "ce-sequence",
        "ce-datacontenttype",
        "ce-dataschema",
        "ce-dataref",
        "ce-silent",
        "traceparent",
    ] {
        properties.insert(name.to_owned(), text());
    }
    let required = [
        "Nats-Msg-Id",
        "ce-specversion",
        "ce-id",
        "ce-type",
        "ce-source",
        "ce-time",
        "ce-sequence",
        "ce-datacontenttype",
        "ce-dataschema",
    ];
    json!({"type": "object", "properties": properties, "required": required})
}
