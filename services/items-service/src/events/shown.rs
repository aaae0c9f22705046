//! What somebody is told of an event: the members that he may know, as JSON. Pure.

use std::collections::BTreeSet;

use model::{Collection, Event, EventName};
use planner::Payload;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a secret reads as.
const MASK: &str = "\"**********\"";

/// What is done to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Create,
    Update,
    Delete,
}

impl Change {
    /// The change of an item of this collection that an event is; nothing when it is none.
    pub fn of(event: &Event, collection: &Collection) -> Option<Self> {
        let change = match event.name.action() {
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => return None,
        };
        let own = event.name.scope() == collection.scope() && event.version >= collection.first_version;
        own.then_some(change)
    }
}

/// Names of the fields that somebody sees of a state of an item; nothing when he does not see it.
pub type Seen<'a> = Option<&'a BTreeSet<String>>;

/// An event for one who is no administrator: as [`Event`], with null for what tells of others.
#[derive(Serialize)]
struct Shown<'a> {
    schema: i16,
    position: Option<i64>,
    id: Uuid,
    name: &'a EventName,
    collection: &'a str,
    key: Option<&'a str>,
    version: i64,
    payload: Option<Payload>,
    previous: Option<Payload>,
    oversized: bool,
    fields: Option<Vec<&'a str>>,
    user: Option<Uuid>,
    role: Option<Uuid>,
    request_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    causation_id: Option<Uuid>,
    depth: Option<i16>,
    batch_id: Option<Uuid>,
    batch_index: Option<i32>,
    silent: bool,
    erased: Option<Vec<&'a str>>,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
}

/// The event as one sees it who saw these fields of the item before it and after it; nothing when it is not for him: he does
/// not see the item that was made or changed, or none of the fields that changed, or did not see the one that is gone.
pub fn shown(
    event: &Event,
    change: Change,
    collection: &Collection,
    (before, after): (Seen<'_>, Seen<'_>),
) -> Option<Vec<u8>> {
    let seen = match change {
        Change::Create | Change::Update => after?,
        Change::Delete => before?,
    };
    let fields = those(event.fields.as_ref().filter(|_| change == Change::Update), seen);
    let payload = of(event.payload.as_deref(), Some(seen), collection);
    let nothing = match &fields {
        Some(fields) => Vec::is_empty(fields),
        None => payload.as_ref().is_none_or(Payload::is_empty),
    };
    if change == Change::Update && nothing {
        return None;
    }
    let told = Shown {
        schema: event.schema,
        position: None,
        id: event.id,
        name: &event.name,
        collection: &event.collection,
        key: seen.contains(&collection.primary_key).then_some(event.key.as_str()),
        version: event.version,
        payload,
        previous: of(event.previous.as_deref(), before, collection),
        oversized: false,
        fields,
        user: None,
        role: None,
        request_id: None,
        traceparent: None,
        causation_id: None,
        depth: None,
        batch_id: None,
        batch_index: None,
        silent: event.silent,
        erased: those(event.erased.as_ref(), seen),
        time: event.time,
    };
    serde_json::to_vec(&told).ok()
}

/// Those of these names that are seen.
fn those<'a>(names: Option<&'a Vec<String>>, seen: &BTreeSet<String>) -> Option<Vec<&'a str>> {
    Some(names?.iter().filter(|name| seen.contains(*name)).map(String::as_str).collect())
}

/// The members of a body that are seen; what is a secret by now is a mask, whatever the log has of it.
fn of(body: Option<&RawValue>, seen: Seen<'_>, collection: &Collection) -> Option<Payload> {
    let (body, seen) = (body?, seen?);
    // What is no object was erased.
    let mut told: Payload = serde_json::from_str(body.get()).ok()?;
    let names: Vec<String> = told.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        if !seen.contains(&name) {
            told.remove(&name);
            continue;
        }
        let secret = collection.field(&name).is_some_and(model::Field::is_concealed);
        let empty = told.get(&name).is_none_or(|value| matches!(value.get(), "null" | "\"\""));
        if let Ok(mask) = serde_json::from_str::<&RawValue>(MASK)
            && secret
            && !empty
        {
            told.put(&name, mask);
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::{Collection, Event};
    use serde_json::{Value, json};

    use super::{Change, shown};

    fn collection() -> Collection {
        let field = |name: &str, special: &[&str]| {
            json!({"name": name, "kind": "string", "column_type": "text", "nullable": true, "default": null,
                "unique": false, "generated": false, "special": special, "searchable": true})
        };
        let fields = [field("id", &[]), field("title", &[]), field("notes", &[]), field("pin", &["Conceal"])];
        serde_json::from_value(
            json!({"name": "articles", "view": null, "primary_key": "id", "key_source": "Uuid",
            "first_version": 2, "fields": fields, "singleton": false, "sort_field": null, "system": false}),
        )
        .unwrap()
    }

    fn event(name: &str, bodies: [Value; 2]) -> Event {
        let [payload, previous] = bodies;
        let names: Vec<&String> = payload.as_object().map(|body| body.keys().collect()).unwrap_or_default();
        let fields = if name.ends_with("update") { json!(names) } else { Value::Null };
        serde_json::from_value(
            json!({"position": 71, "id": "00000000-0000-7000-8000-000000000001", "name": name,
            "collection": "articles", "key": "k", "version": 3, "payload": payload, "previous": previous,
            "fields": fields, "user": "00000000-0000-4000-8000-000000000002", "role": null, "request_id": "r",
            "traceparent": null, "causation_id": null, "depth": 1, "batch_id": null, "batch_index": 4,
            "time": "2026-01-01T00:00:00Z", "erased": ["notes", "title"]}),
        )
        .unwrap()
    }

    fn told(event: &Event, before: Option<&[&str]>, after: Option<&[&str]>) -> Option<Value> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let (before, after) = (before.map(set), after.map(set));
        let change = Change::of(event, &collection()).unwrap();
        let shown = shown(event, change, &collection(), (before.as_ref(), after.as_ref()))?;
        Some(serde_json::from_slice(&shown).unwrap())
    }

    #[test]
    fn members_are_those_of_fields_that_are_seen() {
        let update = event(
            "items.update",
            [
                json!({"title": 12.50, "notes": "n", "pin": "1234"}),
                json!({"title": "o", "notes": "m", "pin": ""}),
            ],
        );
        let seen = told(&update, Some(&["id", "pin"]), Some(&["id", "title", "pin"])).unwrap();
        assert_eq!(seen["payload"], json!({"title": 12.5, "pin": "**********"}));
        assert_eq!(seen["previous"], json!({"pin": ""}));
        assert_eq!((&seen["fields"], &seen["erased"]), (&json!(["pin", "title"]), &json!(["title"])));
        assert_eq!((&seen["key"], &seen["version"]), (&json!("k"), &json!(3)));
        for hidden in ["position", "user", "request_id", "depth", "batch_index"] {
            assert!(seen[hidden].is_null(), "{hidden}");
        }
        // Who did not see it before is not told what it was; who does not see what changed is told nothing.
        assert!(told(&update, None, Some(&["title"])).unwrap()["previous"].is_null());
        assert!(told(&update, None, Some(&["title"])).unwrap()["key"].is_null());
        assert_eq!(told(&update, Some(&["id", "title"]), Some(&["id"])), None);
        assert_eq!(told(&update, Some(&["id", "title"]), None), None);
    }

    #[test]
    fn what_is_gone_is_told_to_who_saw_it() {
        let delete = event("items.delete", [Value::Null, json!({"id": "k", "title": "t", "notes": "n"})]);
        assert_eq!(told(&delete, None, Some(&["id"])), None);
        let seen = told(&delete, Some(&["id", "title"]), None).unwrap();
        assert_eq!((&seen["previous"], &seen["payload"]), (&json!({"id": "k", "title": "t"}), &Value::Null));
        let create = event("items.create", [json!({"id": "k", "title": "t"}), Value::Null]);
        assert_eq!(told(&create, Some(&["id"]), None), None);
        assert_eq!(told(&create, None, Some(&["notes"])).unwrap()["payload"], json!({}));
    }

    #[test]
    fn changes_are_of_items_of_this_collection() {
        for (name, version, change) in [
            ("items.create", 2, Some(Change::Create)),
            ("items.delete", 9, Some(Change::Delete)),
            ("items.create", 1, None),
            ("users.create", 2, None),
            ("items.erase", 2, None),
            ("custom.items.create", 2, None),
        ] {
            let mut event = event(name, [Value::Null, Value::Null]);
            event.version = version;
            assert_eq!(Change::of(&event, &collection()), change, "{name} {version}");
        }
    }
}
