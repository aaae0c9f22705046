//! Which fields and items an accountability may touch.
//!
//! An [`Access`] is a value that the planner compiles into its plans: an administrator's, who may do everything, or a
//! list of [`Rule`]s, of which one that fits is enough: those of the policies that he holds.

mod rules;
mod shared;

use model::Filter;
use serde_json::{Map, Value};

use rules::Rules;
pub use rules::{Fields, Rule, Which};
pub use shared::{Shared, Side, Step, shared};

/// What is done to a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Make items.
    Create,
    /// See items.
    Read,
    /// Change items.
    Update,
    /// Remove items.
    Delete,
    /// Let others see items.
    Share,
}

impl Action {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Share];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Share => "share",
        }
    }

    /// The action of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// What one accountability may do. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Nothing stands for an administrator, who needs no rule.
    rules: Option<Rules>,
}

/// Which items of a collection an action reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Reach<'a> {
    /// Every one.
    All,
    /// Those that one of these is about, in their order; of none, no item.
    Fitting(Vec<&'a Which>),
}

impl Access {
    /// Everything.
    pub const fn admin() -> Self {
        Self { rules: None }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::by(Vec::new())
    }

    /// What these rules give together.
    pub fn by(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: Some(rules.into_iter().collect()) }
    }

    /// Everything.
    pub fn is_admin(&self) -> bool {
        self.rules.is_none()
    }

    /// Says which rules they are, as long as they are held; 0 for everything. Equal rules that were put together at
    /// different times have different ones.
    pub fn identity(&self) -> usize {
        self.rules.as_ref().map_or(0, Rules::identity)
    }

    /// May he do this to any item of the collection at all?
    pub fn allows(&self, collection: &str, action: Action) -> bool {
        self.rules.as_ref().is_none_or(|rules| !rules.of(collection, action).is_empty())
    }

    /// May he do this with the field, of any item at all?
    pub fn allows_field(&self, collection: &str, field: &str, action: Action) -> bool {
        let named = |rules: &Rules| rules.of(collection, action).iter().any(|rule| rule.fields.hold(field));
        self.rules.as_ref().is_none_or(named)
    }

    /// The items that the action reaches.
    pub fn items(&self, collection: &str, action: Action) -> Reach<'_> {
        let Some(rules) = &self.rules else { return Reach::All };
        reach(rules.of(collection, action).iter())
    }

    /// Of the items that the action reaches, those whose field it reaches.
    pub fn items_with(&self, collection: &str, field: &str, action: Action) -> Reach<'_> {
        let Some(rules) = &self.rules else { return Reach::All };
        let all = rules.of(collection, action);
        if !all.is_empty() && all.iter().all(|rule| rule.fields.hold(field)) {
            return Reach::All;
        }
        reach(all.iter().filter(|rule| rule.fields.hold(field)))
    }

    /// The items that the action reaches by rules that hold any of these fields.
    pub fn items_with_any(&self, collection: &str, fields: &[String], action: Action) -> Reach<'_> {
        let Some(rules) = &self.rules else { return Reach::All };
        let any = |rule: &&Rule| fields.iter().any(|field| rule.fields.hold(field));
        reach(rules.of(collection, action).iter().filter(any))
    }

    /// What each rule of an action says: which items, with which fields. Of rules that are not made of filters, nothing.
    pub(crate) fn filters(&self, collection: &str, action: Action) -> Vec<(Option<Filter>, Fields)> {
        let Some(rules) = &self.rules else { return vec![(None, Fields::All)] };
        let said = |rule: &Rule| match &rule.items {
            None => Some((None, rule.fields.clone())),
            Some(Which::Fitting(filter)) => Some((Some(filter.clone()), rule.fields.clone())),
            Some(Which::Shared(_)) => None,
        };
        rules.of(collection, action).iter().filter_map(said).collect()
    }

    /// The collections that the action reaches at all, with the fields that it reaches; nothing for everything.
    pub fn reached(&self, action: Action) -> Option<Vec<(&str, Fields)>> {
        let rules = self.rules.as_ref()?;
        let fields =
            |rules: &[Rule]| rules.iter().map(|rule| rule.fields.clone()).reduce(|all, next| all.or(&next));
        Some(rules.all(action).filter_map(|(name, rules)| Some((name, fields(rules)?))).collect())
    }

    /// Values of fields that are not sent: of two rules that give one, the later one's.
    pub fn presets(&self, collection: &str, action: Action) -> Map<String, Value> {
        let rules = self.rules.as_ref().map_or(&[][..], |rules| rules.of(collection, action));
        rules.iter().flat_map(|rule| rule.presets.clone()).collect()
    }

    /// What an item must be like once the action is done: every one of these holds, as in the original, whichever rule
    /// lets the action happen.
    pub fn validations(&self, collection: &str, action: Action) -> Vec<&Filter> {
        let rules = self.rules.as_ref().map_or(&[][..], |rules| rules.of(collection, action));
        rules.iter().filter_map(|rule| rule.validation.as_ref()).collect()
    }

    /// Are keys of missing items skipped in writes (as the original does for admins), or refused?
    pub fn skips_missing(&self) -> bool {
        self.rules.is_none()
    }
}

/// The items that one of these rules fits.
fn reach<'a>(rules: impl Iterator<Item = &'a Rule>) -> Reach<'a> {
    let filters: Option<Vec<&Which>> = rules.map(|rule| rule.items.as_ref()).collect();
    filters.map_or(Reach::All, Reach::Fitting)
}

#[cfg(test)]
mod tests;
