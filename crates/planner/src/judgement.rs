//! What is decided of payloads before anything is planned: who may send which fields, what presets add, and what values
//! are judged by: fields that must not be null, `meta.validation`, the validations of permissions.
//!
//! Rules of fields judge what is written. Validations of permissions judge the item as it will be: where they look at
//! fields that are not sent, at what stands there ([`Judgement::looks_at`], [`plan_held`]) or at the column's default.

mod held;
mod variables;

use std::collections::BTreeSet;

use access::Action;
pub use held::plan_held;
use model::{Collection, Error, Errors, Field, Filter, KeySource, Special};
use query::{Failure, Item, Judge, fields_of};
use serde_json::{Map, Value};
pub use variables::{Known, LookUp, look_ups};

use crate::payload::Payload;
use crate::reader::Reader;
use crate::stamp::Stamp;

/// Decides on the payloads of one collection.
#[derive(Debug)]
pub struct Judgement<'a> {
    collection: &'a Collection,
    reader: Reader<'a>,
    action: Action,
    /// Fields that are judged, in the collection's order, each with its rule.
    fields: Vec<(&'a Field, Option<Filter>)>,
    /// Validations of permissions, with the fields that they look at.
    rules: Vec<(Filter, Vec<String>)>,
    presets: Map<String, Value>,
    judge: Judge,
}

impl<'a> Judgement<'a> {
    /// For one who acts; `known` is what his rules ask the database for.
    pub fn new(collection: &'a Collection, reader: Reader<'a>, action: Action, known: &Known) -> Self {
        let resolve = |rule: &Filter| variables::resolved(rule, reader.variables, known);
        let judged = |field: &&Field| {
            field.validation.is_some()
                || (is_written(field) && !field.nullable && !fills_itself(field, collection))
        };
        let fields = collection.fields.iter().filter(judged);
        let rules = reader.access.validations(&collection.name, action).into_iter().map(resolve);
        let presets = reader.access.presets(&collection.name, action).into_iter();
        let presets = presets.map(|(name, value)| (name, variables::preset(&value, reader.variables, known)));
        Self {
            collection,
            reader,
            action,
            fields: fields.map(|field| (field, field.validation.as_deref().map(resolve))).collect(),
            rules: rules.map(named).collect(),
            presets: presets.collect(),
            judge: Judge::default(),
        }
    }

    /// Refuses what may not be sent, adds presets, and judges what is sent, one payload after the other.
    ///
    /// # Errors
    /// 403 for a field that he may not write; else every failure of the first payload that has one.
    pub fn admit(&mut self, payloads: &mut [Payload], stamp: &Stamp) -> Result<(), Errors> {
        for payload in &mut *payloads {
            self.check_names(payload)?;
            for (name, value) in &self.presets {
                if self.collection.field(name).is_some() {
                    payload.preset(name, value)?;
                }
            }
        }
        if self.fields.is_empty() && self.rules.is_empty() {
            return Ok(());
        }
        for payload in &*payloads {
            let mut errors = self.field_errors(payload);
            let held = match self.action {
                Action::Create => held::defaults(self.collection, stamp),
                _ => Map::new(),
            };
            errors.extend(self.rule_errors(payload, &held));
            if !errors.is_empty() {
                return Err(Errors(errors));
            }
        }
        Ok(())
    }

    /// Fields that must be known of present items before these changes are judged whole; none, when all that the rules
    /// look at is sent.
    pub fn looks_at(&self, payloads: &[Payload]) -> Vec<&'a Field> {
        let unsent = |name: &String| payloads.iter().any(|payload| payload.get(name).is_none());
        let names: BTreeSet<&String> =
            self.rules.iter().flat_map(|(_, names)| names).filter(|name| unsent(name)).collect();
        // What a concealed field holds can't be judged: it was when it was written.
        let known =
            |field: &&Field| names.contains(&field.name) && field.is_stored() && !field.is_concealed();
        self.collection.fields.iter().filter(known).collect()
    }

    /// Judges a change of an item that holds these values.
    ///
    /// # Errors
    /// Every failure.
    pub fn admit_change(
        &mut self,
        payload: &Payload,
        mut held: Map<String, Value>,
        stamp: &Stamp,
    ) -> Result<(), Errors> {
        held::stamped(self.collection, Action::Update, stamp, &mut held);
        let errors = self.rule_errors(payload, &held);
        if errors.is_empty() { Ok(()) } else { Err(Errors(errors)) }
    }

    fn check_names(&self, payload: &Payload) -> Result<(), Error> {
        let Collection { name: collection, primary_key, .. } = self.collection;
        if self.reader.access.is_admin() {
            return Ok(());
        }
        let access = self.reader.access;
        for (name, _) in
            payload.iter().filter(|(name, _)| self.action == Action::Create || name != primary_key)
        {
            let known = self.collection.field(name).is_some();
            if !known || !access.allows_field(collection, name, self.action) {
                return Err(Error::forbidden_field(collection, name));
            }
        }
        Ok(())
    }

    fn field_errors(&mut self, payload: &Payload) -> Vec<Error> {
        let mut errors = Vec::new();
        let nothing = Map::new();
        for (field, rule) in &self.fields {
            if is_written(field) && !field.nullable && !fills_itself(field, self.collection) {
                let missing = self.action == Action::Create && !has_default(field, self.collection);
                match payload.get(&field.name).map(serde_json::value::RawValue::get) {
                    Some("null") => errors.push(Error::failed_validation(&field.name, "nnull")),
                    None if missing => errors.push(Error::failed_validation(&field.name, "required")),
                    _ => {}
                }
            }
            if let Some(rule) = rule {
                let sent = sent(payload, fields_of(rule));
                let failures = self.judge.failures(rule, Item { sent: &sent, held: &nothing, whole: false });
                errors.extend(failures.iter().map(|failure| told(failure, self.collection)));
            }
        }
        errors
    }

    fn rule_errors(&mut self, payload: &Payload, held: &Map<String, Value>) -> Vec<Error> {
        let mut errors = Vec::new();
        for (rule, names) in &self.rules {
            let sent = sent(payload, names.iter().map(String::as_str));
            let failures = self.judge.failures(rule, Item { sent: &sent, held, whole: true });
            errors.extend(failures.iter().map(|failure| told(failure, self.collection)));
        }
        errors
    }
}

fn named(rule: Filter) -> (Filter, Vec<String>) {
    let names = fields_of(&rule).into_iter().map(str::to_owned).collect();
    (rule, names)
}

fn told(failure: &Failure, collection: &Collection) -> Error {
    failure.error(collection.field(&failure.field).is_some_and(Field::is_concealed))
}

/// The values of these names that are sent.
fn sent<'n>(payload: &Payload, names: impl IntoIterator<Item = &'n str>) -> Map<String, Value> {
    let values = names.into_iter().filter_map(|name| {
        let raw = payload.get(name)?;
        // A value too deep to be read is none that fits.
        let value = query::parse_json(raw.get()).unwrap_or(Value::Array(Vec::new()));
        Some((name.to_owned(), value))
    });
    values.collect()
}

/// Clients write it.
fn is_written(field: &Field) -> bool {
    field.is_stored() && !field.generated
}

/// Its value is made when none is sent, so that null is as good as nothing.
fn fills_itself(field: &Field, collection: &Collection) -> bool {
    use Special as S;
    let specials = [
        S::Uuid,
        S::DateCreated,
        S::DateUpdated,
        S::UserCreated,
        S::UserUpdated,
        S::RoleCreated,
        S::RoleUpdated,
    ];
    let key = field.name == collection.primary_key && collection.key_source == KeySource::Uuid;
    key || specials.iter().any(|special| field.has(*special))
}

fn has_default(field: &Field, collection: &Collection) -> bool {
    let key = field.name == collection.primary_key && collection.key_source != KeySource::Client;
    key || field.default.is_some()
}

#[cfg(test)]
mod tests;
