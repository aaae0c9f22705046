//! What takes writes back, decided from their events. Pure.

use std::collections::{BTreeMap, HashSet};

use model::{Collection, Event, Field, FieldType, Schema, Special};
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
    let given: Vec<(String, bool)> =
        payload.iter().map(|(name, raw)| (name.to_owned(), raw.get() == "null")).collect();
    for (name, null) in given {
        match collection.field(&name) {
            Some(field) if field.is_stored() && !field.generated => {
                if !null && !is_held(field) {
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

/// The log holds its values in a form that can be written.
fn is_held(field: &Field) -> bool {
    !field.is_concealed() && field.kind != FieldType::Binary
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

/// The collection as it is written here: nobody edits these items, so who and when was the last is what it was before,
/// and what was allowed once may come back.
pub fn quiet(collection: &Collection) -> Collection {
    let stamps = |special: &Special| {
        use Special::{DateCreated, DateUpdated, RoleCreated, RoleUpdated, UserCreated, UserUpdated};
        matches!(special, DateCreated | DateUpdated | UserCreated | UserUpdated | RoleCreated | RoleUpdated)
    };
    let mut quiet = collection.clone();
    for field in &mut quiet.fields {
        field.special.retain(|special| !stamps(special));
        field.required = false;
    }
    quiet
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
