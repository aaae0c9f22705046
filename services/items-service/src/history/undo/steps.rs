//! What takes writes back, decided from their events. Pure.

use std::collections::{BTreeMap, HashSet};

use model::{Collection, Event, Field, FieldType, Schema};
use planner::Payload;
use serde_json::{Value, json};

use crate::items::CHUNK;
use crate::system;

/// What is done to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It was made: it goes.
    Delete,
    /// It was changed: it gets the values from before.
    Update,
    /// It was deleted: it comes back with its key.
    Create,
}

impl Act {
    /// Its name in events and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Create => "create",
        }
    }

    fn right(self) -> access::Action {
        match self {
            Self::Delete => access::Action::Delete,
            Self::Update => access::Action::Update,
            Self::Create => access::Action::Create,
        }
    }
}

/// One event taken back.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where the event is that it takes back.
    pub position: i64,
    /// That event's name.
    pub event: String,
    /// Collection of the item.
    pub collection: String,
    /// Its key.
    pub key: String,
    /// What is done.
    pub act: Act,
    /// Values that it gets.
    pub payload: Payload,
    /// Fields whose values from before the log does not hold.
    pub lost: Vec<String>,
}

impl Step {
    /// What is told of it.
    pub fn told(&self) -> Value {
        let mut fields: Vec<&str> = self.payload.iter().map(|(name, _)| name).collect();
        fields.sort_unstable();
        let mut told = about(self.position, &self.event, &self.collection, &self.key);
        told["action"] = json!(self.act.name());
        if self.act == Act::Update {
            told["fields"] = json!(fields);
        }
        told
    }

    /// That it is not done, and why.
    pub fn refused(&self, reason: &str) -> Value {
        let mut told = about(self.position, &self.event, &self.collection, &self.key);
        told["reason"] = json!(reason);
        if !self.lost.is_empty() {
            told["fields"] = json!(self.lost);
        }
        told
    }
}

fn about(position: i64, event: &str, collection: &str, key: &str) -> Value {
    json!({"position": position, "event": event, "collection": collection, "key": key})
}

/// What takes events back, newest first, and what is left out because it is no write of an item.
pub fn steps(events: &[Event], schema: &Schema) -> (Vec<Step>, Vec<Value>) {
    let (mut steps, mut left_out) = (Vec::new(), Vec::new());
    for event in events.iter().rev() {
        match step(event, schema) {
            Ok(step) => steps.push(step),
            Err(reason) => {
                let mut told = about(event.position, event.name.as_str(), &event.collection, &event.key);
                told["reason"] = json!(reason);
                left_out.push(told);
            }
        }
    }
    (steps, left_out)
}

fn step(event: &Event, schema: &Schema) -> Result<Step, &'static str> {
    let act = match event.name.action() {
        "create" => Act::Delete,
        "update" => Act::Update,
        "delete" => Act::Create,
        _ => return Err("not_a_write"),
    };
    let collection = schema.collection(&event.collection).ok_or("collection_gone")?;
    if collection.scope() != event.name.scope() || !system::is_writable(collection, act.right()) {
        return Err("not_a_write");
    }
    if event.version < collection.first_version {
        return Err("collection_gone");
    }
    let (payload, lost) = values(event, collection, act)?;
    Ok(Step {
        position: event.position,
        event: event.name.as_str().to_owned(),
        collection: event.collection.clone(),
        key: event.key.clone(),
        act,
        payload,
        lost,
    })
}

/// The values from before, as a payload, and the fields whose values the log does not hold.
fn values(event: &Event, collection: &Collection, act: Act) -> Result<(Payload, Vec<String>), &'static str> {
    if act == Act::Delete {
        return Ok((Payload::default(), Vec::new()));
    }
    let previous = event.previous.as_ref().map_or("", |previous| previous.get());
    let Ok((mut payloads, true)) = planner::parse_payloads(previous.as_bytes()) else {
        return Err("no_values");
    };
    let Some(mut payload) = payloads.pop() else { return Err("no_values") };
    let mut lost = Vec::new();
    let given: Vec<(String, String)> =
        payload.iter().map(|(name, raw)| (name.to_owned(), raw.get().to_owned())).collect();
    for (name, value) in given {
        match collection.field(&name) {
            Some(field) if field.is_stored() && !field.generated => {
                if !is_held(field, &value) {
                    payload.remove(&name);
                    lost.push(name);
                }
            }
            // Fields that went since, and what the database computes.
            _ => payload.remove(&name),
        }
    }
    if act == Act::Update {
        payload.remove(&collection.primary_key);
    }
    Ok((payload, lost))
}

/// The log holds this value of a field in a form that can be written. A mask may stand there from when a field was a
/// secret that is none any more.
fn is_held(field: &Field, value: &str) -> bool {
    let is_secret = field.is_concealed() || value == "\"**********\"";
    value == "null" || !is_secret && field.kind != FieldType::Binary
}

/// Steps that one statement can do.
#[derive(Debug)]
pub struct Group {
    /// Of the same collection, with the same action and fields; no key comes twice.
    pub steps: Vec<Step>,
}

/// Steps in their order, neighbours together where one statement can do them.
pub fn groups(steps: Vec<Step>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut kind = None;
    let mut keys: HashSet<String> = HashSet::new();
    for step in steps {
        let mut names: Vec<String> = match step.act {
            Act::Update => step.payload.iter().map(|(name, _)| name.to_owned()).collect(),
            _ => Vec::new(),
        };
        names.sort_unstable();
        let own = (step.collection.clone(), step.act, names);
        let fits = kind.as_ref() == Some(&own) && !keys.contains(&step.key) && keys.len() < CHUNK;
        match groups.last_mut().filter(|_| fits) {
            Some(group) => {
                keys.insert(step.key.clone());
                group.steps.push(step);
            }
            None => {
                keys = HashSet::from([step.key.clone()]);
                kind = Some(own);
                groups.push(Group { steps: vec![step] });
            }
        }
    }
    groups
}

/// Keys of the items, by collection, each with the first position that is taken back of it.
pub fn items(steps: &[Step]) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut items: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for step in steps {
        let first = items.entry(step.collection.clone()).or_default().entry(step.key.clone());
        let first = first.or_insert(step.position);
        *first = step.position.min(*first);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Event, Schema};
    use serde_json::{Value, json};

    use super::{Act, groups, items, steps};

    fn schema() -> Schema {
        let field = |name: &str, kind: &str, column: &str, special: &[&str]| {
            json!({"name": name, "kind": kind, "column_type": column, "nullable": true, "default": null, "unique": false,
                "required": false, "generated": false, "special": special, "searchable": true})
        };
        let notes = json!({"name": "notes", "view": null, "primary_key": "id", "key_source": "Client", "first_version": 5,
            "fields": [field("id", "integer", "integer", &[]), field("body", "text", "text", &[]),
                field("pin", "text", "text", &["Conceal"])],
            "singleton": false, "sort_field": null, "system": false});
        let notes: model::Collection = serde_json::from_value(notes).unwrap();
        Schema { version: 1, collections: [("notes".to_owned(), Arc::new(notes))].into(), past: None }
    }

    fn event(position: i64, name: &str, collection: &str, key: &str, previous: Value) -> Event {
        serde_json::from_value(json!({"position": position, "id": uuid::Uuid::from_u128(1), "name": name,
            "collection": collection, "key": key, "version": 4 + position, "payload": null, "previous": previous,
            "fields": null, "user": null, "role": null, "request_id": null, "traceparent": null, "causation_id": null,
            "depth": 0, "batch_id": null, "batch_index": 0, "time": "2026-01-01T00:00:00Z"}))
        .unwrap()
    }

    #[test]
    fn events_are_turned_around_newest_first() {
        let log = [
            event(0, "items.create", "notes", "1", Value::Null),
            event(1, "items.create", "notes", "1", Value::Null),
            event(2, "items.update", "notes", "1", json!({"body": "a", "gone": 1})),
            event(3, "items.update", "notes", "2", json!({"body": "**********"})),
            event(4, "items.update", "notes", "1", json!({"body": "b"})),
            event(5, "items.delete", "notes", "3", json!({"id": 3, "body": null, "pin": "**********"})),
            event(6, "auth.login", "directus_users", "7", Value::Null),
            event(7, "items.update", "away", "1", json!({"body": "a"})),
            event(8, "items.update", "notes", "1", Value::Null),
        ];
        let (steps, left_out) = steps(&log, &schema());
        let told: Vec<_> = steps.iter().map(|step| (step.position, step.act, step.lost.clone())).collect();
        let (none, pin, body) = (Vec::new(), vec!["pin".to_owned()], vec!["body".to_owned()]);
        let expected = [
            (5, Act::Create, pin),
            (4, Act::Update, none.clone()),
            (3, Act::Update, body),
            (2, Act::Update, none.clone()),
            (1, Act::Delete, none),
        ];
        assert_eq!(told, expected);
        let reasons: Vec<_> = left_out.iter().map(|told| told["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["no_values", "collection_gone", "not_a_write", "collection_gone"]);
        let names: Vec<_> = steps[3].payload.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["body"]);
        assert_eq!(
            items(&steps)["notes"],
            [("1".to_owned(), 1), ("2".to_owned(), 3), ("3".to_owned(), 5)].into()
        );
        let sizes: Vec<usize> = groups(steps).iter().map(|group| group.steps.len()).collect();
        // Each differs from its neighbour in what is done, or in the fields.
        assert_eq!(sizes, [1, 1, 1, 1, 1]);
    }
}
