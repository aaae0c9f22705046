//! Lists of items that refer to the items of a level: who comes, who changes, who is taken out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use model::{Collection, Error};
use planner::{Entry as Listed, KeyText, ManyChange, NestedMany, Payload};
use sqlx::Row as _;

use super::super::write::CHUNK;
use super::level::Entry;
use super::{Doomed, Wanted, Whose, Work};
use crate::execute;
use crate::failure::Failure;

/// An item whose list changes.
#[derive(Debug, Clone)]
struct Parent {
    key: KeyText,
    slot: Option<usize>,
    /// It was made just now: nobody refers to it yet.
    new: bool,
}

/// One list: what the item's list is to become.
struct List {
    parent: Parent,
    /// Those that are there and stay as they are.
    kept: HashSet<KeyText>,
    /// Places in the next level of those that come or change.
    written: std::ops::Range<usize>,
    /// Of these, places of those that say themselves whose they are.
    astray: Vec<usize>,
    /// Those that are taken out; nothing when all others are.
    out: Option<HashSet<KeyText>>,
}

impl<'a> Work<'a> {
    /// Writes the lists of a level, field by field.
    pub(super) async fn lists(&mut self, entries: &mut [Entry], depth: usize) -> Result<(), Failure> {
        let mut fields: BTreeMap<String, Vec<(NestedMany, Vec<Parent>)>> = BTreeMap::new();
        for entry in entries {
            let causes = Self::causes(entry);
            let parent = |key: &KeyText| Parent {
                key: key.clone(),
                slot: causes.get(key.as_str()).copied(),
                new: entry.new,
            };
            let parents: Vec<Parent> = entry.keys.iter().map(parent).collect();
            drop(causes);
            for many in entry.manys.drain(..) {
                fields.entry(many.field.clone()).or_default().push((many, parents.clone()));
            }
        }
        let mut seen = HashSet::new();
        for mut changes in fields.into_values() {
            if let Some((first, _)) = changes.first()
                && !seen.insert((first.collection.clone(), first.by.clone()))
            {
                // Another field has shown the same items: what was new has some by now.
                changes.iter_mut().flat_map(|(_, parents)| parents).for_each(|parent| parent.new = false);
            }
            self.list(changes, depth).await?;
        }
        Ok(())
    }

    /// Writes the lists that one field shows.
    async fn list(&mut self, changes: Vec<(NestedMany, Vec<Parent>)>, depth: usize) -> Result<(), Failure> {
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let (field, by, deletes) = (first.field.clone(), first.by.clone(), first.deletes);
        let sort_field = first.sort_field.clone();
        let many = self.place.snapshot.collection(&first.collection)?;
        let old: Vec<KeyText> = changes
            .iter()
            .flat_map(|(_, parents)| {
                parents.iter().filter(|parent| !parent.new).map(|parent| parent.key.clone())
            })
            .collect();
        let mut children = self.children(many, (&by, sort_field.as_deref()), &old).await?;
        let (mut wanted, mut lists) = (Vec::new(), Vec::new());
        for (change, parents) in changes {
            for parent in parents {
                lists.push(listed((&change, many), parent, &mut children, &mut wanted)?);
            }
        }
        let deeper = wanted.iter().any(|one| planner::is_nested(&one.payload, many));
        let written = self.level(many, wanted, (None, depth + 1)).await;
        let written = written.map_err(|failure| failure.nested_in(&field))?;
        if deeper && !old.is_empty() {
            // What is nested in these items may have come to the list, or left it, by a way of its own.
            children = self.children(many, (&by, None), &old).await?;
        }
        let mut released = Vec::new();
        let owners = owners(&lists, &written);
        for (place, list) in lists.iter().enumerate() {
            // What another list has taken is no longer this one's.
            let owned = |key: &&KeyText| owners.get(key).is_none_or(|owner| *owner == Some(place));
            let present = children.of(&list.parent.key).iter();
            let written = written[list.written.clone()].iter().flatten();
            let out: BTreeSet<&KeyText> = match &list.out {
                // What was linked by this very change goes, too.
                Some(out) => present.chain(written).filter(|key| out.contains(*key)).filter(owned).collect(),
                None => {
                    let named: HashSet<&KeyText> = written.chain(&list.kept).collect();
                    present.filter(|key| !named.contains(key)).filter(owned).collect()
                }
            };
            let (keys, cause): (Vec<KeyText>, _) = (out.into_iter().cloned().collect(), list.parent.slot);
            if keys.is_empty() {
                continue;
            }
            if deletes {
                self.doomed.push(Doomed { collection: many, keys, cause });
            } else {
                let mut payload = Payload::default();
                payload.set_null(&by);
                released.push(Wanted { payload, whose: Whose::These(keys), cause });
            }
        }
        if released.is_empty() {
            return Ok(());
        }
        let released = self.level(many, released, (None, depth + 1)).await;
        released.map(drop).map_err(|failure| failure.nested_in(&field))
    }

    /// The items that refer to these.
    async fn children(
        &mut self,
        many: &Collection,
        by: (&str, Option<&str>),
        parents: &[KeyText],
    ) -> Result<Children, Failure> {
        let mut children = Children::default();
        for parents in parents.chunks(CHUNK) {
            let plan = planner::plan_children(many, by, parents, self.place.reader)?;
            for row in execute::rows(self.conn, &plan).await? {
                let (key, parent): (KeyText, KeyText) = (row.try_get("key")?, row.try_get("parent")?);
                let place =
                    row.try_get::<Option<String>, _>("place")?.and_then(|text| text.parse::<i64>().ok());
                let last = children.last.entry(parent.clone()).or_default();
                *last = place.unwrap_or(0).max(*last);
                children.lists.entry(parent.clone()).or_default().push(key.clone());
                children.parents.insert(key, parent);
            }
        }
        Ok(children)
    }
}

/// The list by its place that each written item is of in the end: the last one that took it; nothing for one that says
/// itself whose it is.
fn owners<'w>(lists: &[List], written: &'w [Vec<KeyText>]) -> HashMap<&'w KeyText, Option<usize>> {
    let mut owners = HashMap::new();
    for (place, list) in lists.iter().enumerate() {
        for one in list.written.clone() {
            let owner = (!list.astray.contains(&one)).then_some(place);
            owners.extend(written[one].iter().map(|key| (key, owner)));
        }
    }
    owners
}

/// Items that refer to others, as they were.
#[derive(Debug, Default)]
struct Children {
    lists: HashMap<KeyText, Vec<KeyText>>,
    /// Whose each is; where lists of one level take it in turn, that of the last one so far.
    parents: HashMap<KeyText, KeyText>,
    /// The last place in each list.
    last: HashMap<KeyText, i64>,
}

impl Children {
    fn of(&self, parent: &str) -> &[KeyText] {
        self.lists.get(parent).map_or(&[], Vec::as_slice)
    }

    fn is_of(&self, key: &str, parent: &str) -> bool {
        self.parents.get(key).is_some_and(|own| own == parent)
    }
}

/// What one item's list is to become; what has to be written for it goes to `wanted`.
fn listed(
    (change, many): (&NestedMany, &Collection),
    parent: Parent,
    children: &mut Children,
    wanted: &mut Vec<Wanted>,
) -> Result<List, Error> {
    let first = wanted.len();
    let mut kept = HashSet::new();
    let mut want = |item: &Payload, whose: Whose| -> Result<(), Error> {
        let mut payload = item.clone();
        // A change of a part may say itself whose the item is to be.
        if !(matches!(whose, Whose::IfThere(_)) && payload.get(&change.by).is_some()) {
            payload.set_text(&change.by, &parent.key)?;
        }
        wanted.push(Wanted { payload, whose, cause: parent.slot });
        Ok(())
    };
    let (mut out, mut astray) = (None, Vec::new());
    match &change.change {
        ManyChange::All(entries) => {
            let mut linked = HashSet::new();
            for entry in entries {
                match entry {
                    Listed::Key(key) if children.is_of(key, &parent.key) => drop(kept.insert(key.clone())),
                    Listed::Key(key) if !linked.insert(key) => {}
                    Listed::Key(key) => {
                        children.parents.insert(key.clone(), parent.key.clone());
                        want(&Payload::default(), Whose::Named(key.clone()))?;
                    }
                    Listed::Item(item) => {
                        let key = planner::own_key(item, many)?;
                        children.parents.extend(key.map(|key| (key, parent.key.clone())));
                        want(item, Whose::Either)?;
                    }
                }
            }
        }
        ManyChange::Some { create, update, delete } => {
            let last = children.last.entry(parent.key.clone()).or_default();
            let (before, mut most) = (*last, *last);
            for (item, place) in create.iter().zip(1..) {
                let mut item = item.clone();
                if let Some(sort_field) = &change.sort_field {
                    let given = item.get(sort_field).map(|raw| raw.get().trim_matches('"').parse());
                    if given.is_none() {
                        item.set_text(sort_field, &(before + place).to_string())?;
                    }
                    most = most.max(given.map_or(before + place, |given| given.unwrap_or(0)));
                }
                want(&item, Whose::New)?;
            }
            // Where the same item's list grows once more in this level, it goes on from there.
            *last = most;
            update.iter().try_for_each(|(key, item)| want(item, Whose::IfThere(key.clone())))?;
            let goes = |(_, (_, item)): &(usize, &(KeyText, Payload))| item.get(&change.by).is_some();
            astray.extend(
                update.iter().enumerate().filter(goes).map(|(place, _)| first + create.len() + place),
            );
            out = Some(delete.iter().cloned().collect());
        }
    }
    Ok(List { written: first..wanted.len(), parent, kept, astray, out })
}
