//! Rules, and where they are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Filter;

use crate::Action;

/// Who has it may do `action` to items of `collection` that fit, with these fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name of the collection.
    pub collection: String,
    /// What is done.
    pub action: Action,
    /// Which items; nothing means all of them. Read with every right: it may look at what its owner may not see.
    pub items: Option<Filter>,
    /// Which fields.
    pub fields: Fields,
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
}

/// Rules by collection and action.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<BTreeMap<String, BTreeMap<Action, Vec<Rule>>>>);

impl Rules {
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
