//! What a share shows its guests: one item, and what it leads to, as far as the share's role and its creator may both
//! read it.
//!
//! Every rule is about the items at the end of one way from the shared item. No way comes to a collection twice, so
//! that nobody gets to siblings by going up and down again, but for a last step down to an item's own children; and none
//! leads on from a system collection.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Accountability, Collection, Filter, Link, Schema};

use crate::rules::{Fields, Rule, Which};
use crate::{Access, Action};

/// Steps of the longest way.
const LONGEST: usize = 6;

/// Rules of one share; the nearest items come first.
const MOST: usize = 400;

/// One of the two who must both be allowed to read: whoever has the share's role, and who made the share.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// What he may do.
    pub access: Access,
    /// What the dynamic variables of his rules stand for.
    pub who: Accountability,
}

/// The items at the end of a way from the shared one.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Collection of the shared item.
    pub collection: String,
    /// Its key.
    pub key: String,
    /// The way; empty: the shared item itself.
    pub way: Vec<Step>,
    /// Who must both be allowed to read each item on it.
    pub sides: Arc<[Side; 2]>,
    /// What the items at its end must be like, by a rule of each side.
    pub items: [Option<Filter>; 2],
}

/// A step along a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The relational field.
    pub field: String,
    /// The collection that it leads to.
    pub collection: String,
}

/// What guests may read of the item with this key and of what it leads to.
pub fn shared(collection: &str, key: &str, sides: [Side; 2], schema: &Schema) -> Access {
    let sides = Arc::new(sides);
    let mut rules = Vec::new();
    let mut ways: VecDeque<Vec<Step>> = VecDeque::from([Vec::new()]);
    while let Some(way) = ways.pop_front() {
        let end = way.last().map_or(collection, |step: &Step| &step.collection);
        let Some(place) = schema.collection(end) else { continue };
        for (items, fields) in both(&sides, end) {
            let (collection, key) = (collection.to_owned(), key.to_owned());
            let shared = Shared { collection, key, way: way.clone(), sides: Arc::clone(&sides), items };
            rules.push(Rule::new(end, Action::Read, None, fields).of(Which::Shared(Box::new(shared))));
        }
        if rules.len() >= MOST {
            break;
        }
        let goes_on = way.is_empty() || !(place.system || is_to_children(&way, collection));
        if way.len() < LONGEST && goes_on {
            ways.extend(further(&way, collection, place, &sides));
        }
    }
    rules.truncate(MOST);
    Access::by(rules)
}

/// The last step stays in its collection.
fn is_to_children(way: &[Step], begin: &str) -> bool {
    let before = way.len().checked_sub(2).and_then(|index| way.get(index));
    way.last().is_some_and(|last| last.collection == before.map_or(begin, |step| &step.collection))
}

/// The ways that go on from the end of one.
fn further(way: &[Step], begin: &str, place: &Collection, sides: &[Side; 2]) -> Vec<Vec<Step>> {
    let may =
        |field: &str| sides.iter().all(|side| side.access.allows_field(&place.name, field, Action::Read));
    let new = |name: &str| name != begin && way.iter().all(|step| step.collection != name);
    let mut ways = Vec::new();
    for field in place.fields.iter().filter(|field| may(&field.name)) {
        let leads_to: &[String] = match &field.link {
            Some(Link::One { collection } | Link::Many { collection, .. }) => {
                std::slice::from_ref(collection)
            }
            Some(Link::Any { allowed, .. }) => allowed,
            None => &[],
        };
        let down = |name: &str| name == place.name && matches!(field.link, Some(Link::Many { .. }));
        for collection in leads_to.iter().filter(|name| new(name) || down(name)) {
            let step = Step { field: field.name.clone(), collection: collection.clone() };
            ways.push(way.iter().cloned().chain([step]).collect());
        }
    }
    ways
}

/// What both sides may read of a collection: which items by a rule of each, with which fields.
fn both(sides: &[Side; 2], collection: &str) -> Vec<([Option<Filter>; 2], Fields)> {
    let [role, creator] = [&sides[0], &sides[1]].map(|side| side.access.filters(collection, Action::Read));
    let pairs = role.iter().flat_map(|one| creator.iter().map(move |other| (one, other)));
    pairs
        .filter_map(|((ours, fields), (theirs, others))| {
            let fields = fields.and(others);
            fields.some().then(|| ([ours.clone(), theirs.clone()], fields))
        })
        .collect()
}
