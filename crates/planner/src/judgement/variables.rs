//! Dynamic variables in presets and rules of values: what they stand for, and what must be looked up for them.

use std::collections::{BTreeMap, BTreeSet};

use access::{Access, Action};
use model::{Collection, Field, Filter, Link, Operator};
use query::Query;
use serde_json::Value;

use crate::limits::Limits;
use crate::read::plan_read;
use crate::reader::{Reader, Variable, Variables};
use crate::statement::{Statement, Uses};

/// Rules are read with every right.
static EVERYTHING: Access = Access::admin();

/// What was looked up, by the variable's text.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<String, Vec<Value>>);

/// A variable that stands for a field of an item (`$CURRENT_USER.first_name`).
#[derive(Debug)]
pub struct LookUp {
    text: String,
    path: Vec<String>,
    /// One row with `items text`, a JSON array.
    pub statement: Statement,
}

impl Known {
    /// Takes in what a look-up found.
    pub fn learn(&mut self, look_up: &LookUp, items: &str) {
        let items = query::parse_json(items);
        let items = items.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let at =
            |item: &Value| look_up.path.iter().try_fold(item.clone(), |item, name| item.get(name).cloned());
        let values = items.iter().filter_map(at).filter(|value| !value.is_null()).collect();
        self.0.insert(look_up.text.clone(), values);
    }
}

/// What the presets and rules of an action must have looked up. Hardly any do.
pub fn look_ups(collection: &Collection, reader: Reader<'_>, action: Action) -> Vec<LookUp> {
    let mut texts = BTreeSet::new();
    for value in reader.access.presets(&collection.name, action).values() {
        named(value, &mut texts);
    }
    let rules = reader.access.validations(&collection.name, action).into_iter();
    for rule in rules.chain(collection.fields.iter().filter_map(|field| field.validation.as_deref())) {
        named_in(rule, &mut texts);
    }
    texts.into_iter().filter_map(|text| look_up(text, reader)).collect()
}

fn look_up(text: String, reader: Reader<'_>) -> Option<LookUp> {
    let variable = reader.variables.stands_for(&text, &mut Uses::default()).ok()??;
    let Variable::Of { collection, ids, path } = variable else { return None };
    let collection = reader.schema.collection(collection)?;
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    if ids.is_empty() || !is_shown(&names, collection, reader) {
        return None;
    }
    let field = collection.primary_key.clone();
    let value = ids.iter().map(|id| Value::from(id.to_string())).collect();
    let filter = Some(Filter::Compare { field, function: None, operator: Operator::In, value });
    let query = Query { fields: Some(vec![path]), filter, limit: Some(-1), ..Query::default() };
    let reader = Reader { access: &EVERYTHING, limits: Limits::default(), ..reader };
    let statement = plan_read(&query, collection, reader).ok()?.statement;
    Some(LookUp { text, path: names, statement })
}

/// The path leads over single items to a field with a value that is no secret.
fn is_shown(path: &[String], collection: &Collection, reader: Reader<'_>) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    match collection.field(name) {
        Some(Field { link: Some(Link::One { collection }), .. }) if !rest.is_empty() => {
            reader.schema.collection(collection).is_some_and(|related| is_shown(rest, related, reader))
        }
        Some(field) => rest.is_empty() && field.is_stored() && !field.is_concealed(),
        None => false,
    }
}

fn named(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with('$') && text.contains('.') => {
            texts.insert(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|value| named(value, texts)),
        Value::Object(map) => map.values().for_each(|value| named(value, texts)),
        _ => {}
    }
}

fn named_in(rule: &Filter, texts: &mut BTreeSet<String>) {
    match rule {
        Filter::And(all) | Filter::Or(all) => all.iter().for_each(|one| named_in(one, texts)),
        Filter::Compare { value, .. } => named(value, texts),
        Filter::Related { filter, .. } => named_in(filter, texts),
    }
}

/// What a text stands for: itself, or what a variable gives: one value, several, or none.
enum Meaning {
    Plain,
    One(Value),
    Several(Vec<Value>),
    Nothing,
}

fn meaning(text: &str, variables: &Variables, known: &Known) -> Meaning {
    let several = matches!(text.split('.').next(), Some("$CURRENT_ROLES" | "$CURRENT_POLICIES"));
    let values = match variables.stands_for(text, &mut Uses::default()) {
        Ok(None) => return Meaning::Plain,
        Ok(Some(Variable::Instant(text))) => return Meaning::One(Value::from(text)),
        Ok(Some(Variable::Ids(ids))) => ids.iter().map(|id| Value::from(id.to_string())).collect(),
        Ok(Some(Variable::Of { .. })) => known.0.get(text).cloned().unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    match values.as_slice() {
        _ if several => Meaning::Several(values),
        [one] => Meaning::One(one.clone()),
        _ => Meaning::Nothing,
    }
}

/// A preset with what its variables stand for; null for what stands for nothing.
pub(super) fn preset(value: &Value, variables: &Variables, known: &Known) -> Value {
    match value {
        Value::String(text) => match meaning(text, variables, known) {
            Meaning::Plain => value.clone(),
            Meaning::One(value) => value,
            Meaning::Several(values) => Value::from(values),
            Meaning::Nothing => Value::Null,
        },
        Value::Array(list) => list.iter().map(|value| preset(value, variables, known)).collect(),
        Value::Object(map) => Value::Object(
            map.iter().map(|(name, value)| (name.clone(), preset(value, variables, known))).collect(),
        ),
        _ => value.clone(),
    }
}

/// A rule with what its variables stand for. What speaks of nothing holds for nothing, whichever way it is turned.
pub(super) fn resolved(rule: &Filter, variables: &Variables, known: &Known) -> Filter {
    let all = |rules: &[Filter]| rules.iter().map(|rule| resolved(rule, variables, known)).collect();
    match rule {
        Filter::And(rules) => Filter::And(all(rules)),
        Filter::Or(rules) => Filter::Or(all(rules)),
        Filter::Related { field, scope, quantifier, filter } => Filter::Related {
            field: field.clone(),
            scope: scope.clone(),
            quantifier: *quantifier,
            filter: Box::new(resolved(filter, variables, known)),
        },
        Filter::Compare { field, function, operator, value } => {
            let given = match value {
                Value::Array(list) => flattened(list, variables, known),
                Value::String(text) if *operator != Operator::Regex => {
                    match meaning(text, variables, known) {
                        Meaning::Plain => Some(value.clone()),
                        Meaning::One(value) => Some(value),
                        Meaning::Several(values) => (!values.is_empty()).then(|| Value::from(values)),
                        Meaning::Nothing => None,
                    }
                }
                _ => Some(value.clone()),
            };
            let never = (Operator::In, Value::Array(Vec::new()));
            let (operator, value) = given.map_or(never, |value| (*operator, value));
            Filter::Compare { field: field.clone(), function: function.clone(), operator, value }
        }
    }
}

/// A list whose variables give their values; nothing, when none of its entries stands for anything.
fn flattened(list: &[Value], variables: &Variables, known: &Known) -> Option<Value> {
    let mut values = Vec::with_capacity(list.len());
    for entry in list {
        match entry.as_str().map(|text| meaning(text, variables, known)) {
            Some(Meaning::One(value)) => values.push(value),
            Some(Meaning::Several(several)) => values.extend(several),
            Some(Meaning::Nothing) => {}
            Some(Meaning::Plain) | None => values.push(entry.clone()),
        }
    }
    (list.is_empty() || !values.is_empty()).then(|| Value::from(values))
}
