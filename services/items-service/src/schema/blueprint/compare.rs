//! Two documents -> what has to change. Pure.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::difference::{Step, steps};
use super::{Blueprint, Entries, Key, Kind, Members, key, native};

/// What has to change, in the original's form.
#[derive(Debug, Default, Serialize)]
pub struct Diff {
    /// Collections and folders.
    pub collections: Vec<Change>,
    /// Fields.
    pub fields: Vec<Change>,
    /// Indexes of system fields.
    #[serde(rename = "systemFields")]
    pub system_fields: Vec<Change>,
    /// Relations.
    pub relations: Vec<Change>,
}

impl Diff {
    /// Nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.all().all(|(_, change)| change.diff.is_empty())
    }

    /// Every change with its kind.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &Change)> {
        [
            (Kind::Collection, &self.collections),
            (Kind::Field, &self.fields),
            (Kind::SystemField, &self.system_fields),
            (Kind::Relation, &self.relations),
        ]
        .into_iter()
        .flat_map(|(kind, changes)| changes.iter().map(move |change| (kind, change)))
    }
}

/// What has to change of one entry.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Its collection.
    pub collection: String,
    /// Its field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What a relation points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related_collection: Option<Value>,
    /// How it differs.
    pub diff: Vec<Step>,
}

impl Change {
    /// What finds its entry.
    pub fn key(&self) -> Key {
        (self.collection.clone(), self.field.clone().unwrap_or_default())
    }

    fn of(kind: Kind, entry: &Members, diff: Vec<Step>) -> Self {
        let (collection, field) = key(entry);
        Self {
            collection,
            field: (kind != Kind::Collection).then_some(field),
            related_collection: entry.get("related_collection").filter(|_| kind == Kind::Relation).cloned(),
            diff,
        }
    }
}

/// What leads from `present` to `wanted`. `present` has what is untracked too; only what `wanted` names of it counts.
///
/// What an entry of `wanted` does not say stays as it is, so that a document of an older version, or one written by
/// hand, comes to rest.
pub fn compare(present: &Blueprint, wanted: &Blueprint) -> Diff {
    let collections = entries(&present.collections, &wanted.collections);
    let gone = |changes: &[Change]| -> HashSet<String> {
        let gone = changes
            .iter()
            .filter(|change| matches!(change.diff[..], [Step::D { ref path, .. }] if path.is_empty()));
        gone.map(|change| change.collection.clone()).collect()
    };
    let gone = gone(&collections);
    // What hangs on a collection goes with it.
    let stays =
        |change: &Change| !matches!(change.diff[..], [Step::D { .. }]) || !gone.contains(&change.collection);
    let mut fields = entries(&present.fields, &wanted.fields);
    fields.retain(stays);
    let mut relations = entries(&present.relations, &wanted.relations);
    relations.retain(stays);
    Diff {
        collections,
        fields,
        system_fields: indexes(&present.system_fields, &wanted.system_fields),
        relations,
    }
}

fn entries(present: &Entries, wanted: &Entries) -> Vec<Change> {
    let kind = present.kind;
    let (there, target) = (present.by_key(), wanted.by_key());
    let mut changes = Vec::new();
    for entry in &present.list {
        match target.get(&key(entry)) {
            Some(wanted) => {
                let wanted = settled(kind, entry, wanted);
                let steps = steps(&Value::Object(entry.clone()), &Value::Object(wanted));
                if !steps.is_empty() {
                    changes.push(Change::of(kind, entry, steps));
                }
            }
            None if entry.get("meta").is_none_or(Value::is_null) => {}
            None => {
                let gone = Step::D { path: Vec::new(), lhs: Value::Object(entry.clone()) };
                changes.push(Change::of(kind, entry, vec![gone]));
            }
        }
    }
    let mut named: HashSet<Key> = HashSet::new();
    for entry in &wanted.list {
        let key = key(entry);
        if !there.contains_key(&key) && named.insert(key) {
            let new = Step::N { path: Vec::new(), rhs: Value::Object(entry.clone()) };
            changes.push(Change::of(kind, entry, vec![new]));
        }
    }
    changes
}

fn indexes(present: &Entries, wanted: &Entries) -> Vec<Change> {
    let indexed = |entries: &Entries| -> HashMap<Key, bool> {
        let all = entries.list.iter();
        all.map(|entry| {
            (key(entry), entry.get("schema").is_some_and(|schema| schema["is_indexed"] == json!(true)))
        })
        .collect()
    };
    let (now, then) = (indexed(present), indexed(wanted));
    let mut changes = Vec::new();
    for entry in present.list.iter().chain(&wanted.list) {
        let key = key(entry);
        let lhs = now.get(&key).copied().unwrap_or(false);
        let rhs = then.get(&key).copied().unwrap_or(false);
        let known = changes.iter().any(|change: &Change| change.key() == key);
        if lhs != rhs && !known {
            let path = vec![json!("schema"), json!("is_indexed")];
            let step = Step::E { path, lhs: json!(lhs), rhs: json!(rhs) };
            changes.push(Change::of(Kind::SystemField, entry, vec![step]));
        }
    }
    changes
}

/// What is wanted of an entry that is there, with what it doesn't say, or can't say, filled in from what is there.
fn settled(kind: Kind, present: &Members, wanted: &Members) -> Members {
    let mut settled = wanted.clone();
    let is_alias = |entry: &Members| entry.get("type").is_some_and(|kind| kind == "alias");
    for name in kind.members() {
        // A relation without a `schema` has no foreign key, a collection without one is a folder, an alias has no
        // column.
        let says = *name == "schema" && (kind != Kind::Field || is_alias(wanted));
        if let Some(value) = present.get(*name).filter(|_| !says) {
            settled.entry(*name).or_insert_with(|| value.clone());
        }
    }
    for name in ["meta", "schema"] {
        if let (Some(Value::Object(now)), Some(Value::Object(then))) =
            (present.get(name), settled.get_mut(name))
        {
            if name == "meta" {
                // What is no column of ours can't be kept.
                then.retain(|member, _| now.contains_key(member));
            }
            for (member, value) in now {
                then.entry(member).or_insert_with(|| value.clone());
            }
        }
    }
    if kind == Kind::Field {
        column(present, &mut settled);
    }
    settled
}

/// Members of a column that say the same in other words, or that follow from something else.
fn column(present: &Members, settled: &mut Members) {
    original_type(settled);
    let inconsistent = !native::fits(settled);
    let Some(Value::Object(now)) = present.get("schema") else { return };
    let Some(Value::Object(then)) = settled.get_mut("schema") else { return };
    let counts = now.get("is_primary_key") == Some(&json!(true))
        && now.get("has_auto_increment") == Some(&json!(true));
    if counts {
        then.clone_from(now);
        return;
    }
    let mut follow = vec!["name", "table", "foreign_key_table", "foreign_key_column"];
    if inconsistent {
        follow.extend(["data_type", "max_length", "numeric_precision", "numeric_scale"]);
    }
    if then.get("default_value").zip(now.get("default_value")).is_some_and(|(a, b)| same_default(a, b)) {
        follow.push("default_value");
    }
    for name in follow {
        if let Some(value) = now.get(name) {
            then.insert(name.to_owned(), value.clone());
        }
    }
}

/// The original calls some types otherwise than we do.
pub fn original_type(entry: &mut Members) {
    let Some(data_type) = entry.get("schema").and_then(|schema| schema["data_type"].as_str()) else { return };
    let ours = native::wire_type(entry, data_type);
    let theirs = entry.get("type").and_then(Value::as_str).unwrap_or_default();
    if theirs == "unknown" || (theirs == "integer" && data_type == "numeric") {
        entry.insert("type".to_owned(), Value::from(ours.as_str()));
    }
}

/// A number may come as text, rounded to a double, and now has several names.
fn same_default(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_now = |value: &Value| value.as_str().is_some_and(crate::schema::ddl::is_now);
    let double = |value: &Value| value.as_f64();
    a == b
        || (!a.is_null() && !b.is_null() && text(a) == text(b))
        || (is_now(a) && is_now(b))
        || double(a).zip(double(b)).is_some_and(|(a, b)| a.to_bits() == b.to_bits())
}
