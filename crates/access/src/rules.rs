//! Rules, and where they are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Filter;
use serde_json::{Map, Value};

use crate::Action;
use crate::shared::Shared;

/// Who has it may do `action` to items of `collection` that fit, with these fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name of the collection.
    pub collection: String,
    /// What is done.
    pub action: Action,
    /// Which items; nothing means all of them. Read with every right: it may look at what its owner may not see.
    pub items: Option<Which>,
    /// Which fields.
    pub fields: Fields,
    /// Values of fields that are not sent, whether he may send them or not; texts may be dynamic variables.
    pub presets: Map<String, Value>,
    /// What an item must be like once it is written, whatever other rules there are.
    pub validation: Option<Filter>,
}

impl Rule {
    /// One without presets and validation.
    pub fn new(collection: &str, action: Action, items: Option<Filter>, fields: Fields) -> Self {
        let (collection, items) = (collection.to_owned(), items.map(Which::Fitting));
        Self { collection, action, items, fields, presets: Map::new(), validation: None }
    }

    /// The same about these items.
    #[must_use]
    pub fn of(self, items: Which) -> Self {
        Self { items: Some(items), ..self }
    }
}

/// The items that a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Which {
    /// Those that fit.
    Fitting(Filter),
    /// Those at the end of a way from an item that is shared.
    Shared(Box<Shared>),
}

/// The fields of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// Every one, also those that come later.
    All,
    /// These.
    Named(BTreeSet<String>),
}

impl Fields {
    /// Is the field one of them?
    pub fn hold(&self, field: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(field),
        }
    }

    /// Those that are in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, both) | (both, Self::All) => both.clone(),
            (Self::Named(one), Self::Named(other)) => Self::Named(one & other),
        }
    }

    /// Those that are in one of them.
    pub(crate) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Named(one), Self::Named(other)) => Self::Named(one | other),
        }
    }

    /// There may be any.
    pub(crate) fn some(&self) -> bool {
        !matches!(self, Self::Named(names) if names.is_empty())
    }
}

/// Rules by collection and action.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<BTreeMap<String, BTreeMap<Action, Vec<Rule>>>>);

impl Rules {
    /// Where they stand.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Those of an action, by collection.
    pub(crate) fn all(&self, action: Action) -> impl Iterator<Item = (&str, &[Rule])> {
        let of = move |rules: &'_ BTreeMap<Action, Vec<Rule>>| rules.contains_key(&action);
        let named = self.0.iter().filter(move |(_, actions)| of(actions));
        named.map(move |(name, actions)| {
            (name.as_str(), actions.get(&action).map(Vec::as_slice).unwrap_or_default())
        })
    }

    /// Those of an action.
    pub(crate) fn of(&self, collection: &str, action: Action) -> &[Rule] {
        let found = self.0.get(collection).and_then(|actions| actions.get(&action));
        found.map(Vec::as_slice).unwrap_or_default()
    }
}

impl PartialEq for Rules {
    /// Kept plans are found by it: the same rules need not be looked through.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<T: IntoIterator<Item = Rule>>(rules: T) -> Self {
        let mut all: BTreeMap<String, BTreeMap<Action, Vec<Rule>>> = BTreeMap::new();
        for rule in rules {
            all.entry(rule.collection.clone()).or_default().entry(rule.action).or_default().push(rule);
        }
        Self(Arc::new(all))
    }
}
