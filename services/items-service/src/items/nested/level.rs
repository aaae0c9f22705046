//! One level: the items of one collection that are written together, with all that is nested in them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use access::Action;
use futures_util::future::BoxFuture;
use model::{Collection, Error, Filter};
use planner::{KeyText, NestedMany, NestedOne, Payload, own_key};
use sqlx::Row as _;

use super::super::create::writable;
use super::super::version::VERSIONS;
use super::super::write::CHUNK;
use super::{Wanted, Whose, Work};
use crate::execute;
use crate::failure::Failure;
use crate::system::rules::Rules;

/// An item of the level, or several that are changed in the same way.
#[derive(Debug)]
pub(super) struct Entry {
    /// Values of its own.
    pub own: Payload,
    /// Present items; none for a new one.
    pub keys: Vec<KeyText>,
    pub new: bool,
    /// It is only referred to.
    pub untouched: bool,
    /// Places in the log, one per item.
    pub slots: Range<usize>,
    pub ones: Vec<NestedOne>,
    pub manys: Vec<NestedMany>,
}

/// The items of one collection that a field of others is to refer to, and whose it is.
#[derive(Debug, Default)]
struct Ones {
    places: Vec<usize>,
    wanted: Vec<Wanted>,
}

impl<'a> Work<'a> {
    /// Writes a level and gives the keys of each entry. With the filter that items must still fit, and how deep it lies.
    pub(super) fn level<'w>(
        &'w mut self,
        collection: &'a Collection,
        wanted: Vec<Wanted>,
        (filter, depth): (Option<&'w Filter>, usize),
    ) -> BoxFuture<'w, Result<Vec<Vec<KeyText>>, Failure>>
    where
        'a: 'w,
    {
        Box::pin(async move {
            self.check_depth(depth)?;
            let mut entries = self.decided(collection, wanted, depth).await?;
            self.permit(collection, &entries)?;
            if depth > 0 || !self.ready {
                self.make_ready(collection, &mut entries).await?;
            }
            self.follow_rules(collection, &entries).await?;
            self.take_apart(collection, &mut entries)?;
            self.ones(&mut entries, depth).await?;
            self.create(collection, &mut entries).await?;
            self.update(collection, &mut entries, filter).await?;
            self.lists(&mut entries, depth).await?;
            Ok(entries.into_iter().map(|entry| entry.keys).collect())
        })
    }

    fn check_depth(&self, depth: usize) -> Result<(), Error> {
        let most = self.place.state.limits.depth;
        if depth > most {
            return Err(Error::invalid_payload(format!("Items are nested deeper than {most} levels")));
        }
        Ok(())
    }

    /// Which items are new, and which are there.
    async fn decided(
        &mut self,
        collection: &'a Collection,
        wanted: Vec<Wanted>,
        depth: usize,
    ) -> Result<Vec<Entry>, Failure> {
        let mut asked: Vec<KeyText> = Vec::new();
        for one in &wanted {
            match &one.whose {
                Whose::Named(key) | Whose::IfThere(key) => asked.push(key.clone()),
                Whose::Either => asked.extend(own_key(&one.payload, collection)?),
                Whose::New | Whose::These(_) => {}
            }
        }
        asked.sort_unstable();
        asked.dedup();
        let mut present = self.present(collection, &asked).await?;
        let mut entries = Vec::with_capacity(wanted.len());
        for Wanted { mut payload, whose, cause } in wanted {
            let (keys, new) = match whose {
                Whose::New => (Vec::new(), true),
                Whose::These(keys) => (keys, false),
                Whose::Named(key) if present.contains(&key) => (vec![key], false),
                Whose::Named(_) => return Err(Error::forbidden_collection(&collection.name).into()),
                Whose::IfThere(key) if present.contains(&key) => (vec![key], false),
                Whose::IfThere(_) if self.place.reader.access.skips_missing() => (Vec::new(), false),
                Whose::IfThere(_) => return Err(Error::forbidden_collection(&collection.name).into()),
                Whose::Either => match own_key(&payload, collection)? {
                    // The second of two that name a new key changes what the first made.
                    Some(key) if !present.insert(key.clone()) => {
                        self.spare(collection, &key);
                        (vec![key], false)
                    }
                    _ => (Vec::new(), true),
                },
            };
            if !new {
                payload.remove(&collection.primary_key);
            }
            // What a request itself names is changed, and be it by stamps.
            let untouched = !new && payload.is_empty() && depth > 0;
            let slots = self.reserve(cause, if new { 1 } else { keys.len() * usize::from(!untouched) })?;
            let (ones, manys) = (Vec::new(), Vec::new());
            entries.push(Entry { own: payload, keys, new, untouched, slots, ones, manys });
        }
        Ok(entries)
    }

    /// What was taken out of a list and comes into another stays.
    fn spare(&mut self, collection: &Collection, key: &str) {
        let doomed = self.doomed.iter_mut().filter(|doomed| doomed.collection.name == collection.name);
        doomed.for_each(|doomed| doomed.keys.retain(|one| one != key));
    }

    /// Those of some keys whose items are there; they are locked.
    async fn present(
        &mut self,
        collection: &Collection,
        keys: &[KeyText],
    ) -> Result<HashSet<KeyText>, Failure> {
        let mut present = HashSet::new();
        for keys in keys.chunks(CHUNK) {
            for row in execute::rows(self.conn, &planner::plan_present(keys, collection)?).await? {
                present.insert(row.try_get("key")?);
            }
        }
        Ok(present)
    }

    /// The collection is written so at all, by this caller.
    fn permit(&self, collection: &Collection, entries: &[Entry]) -> Result<(), Failure> {
        if collection.name == VERSIONS {
            // They are made for an item that is there, by a call of their own.
            return Err(Error::forbidden_collection(&collection.name).into());
        }
        for entry in entries.iter().filter(|entry| !entry.untouched) {
            let action = if entry.new { Action::Create } else { Action::Update };
            writable(self.place.snapshot, &collection.name, action)?;
            if !self.place.reader.access.allows(&collection.name, action) {
                return Err(Error::forbidden_collection(&collection.name).into());
            }
        }
        Ok(())
    }

    async fn make_ready(&mut self, collection: &Collection, entries: &mut [Entry]) -> Result<(), Failure> {
        for (new, action) in [(true, Action::Create), (false, Action::Update)] {
            let mut those: Vec<&mut Entry> =
                entries.iter_mut().filter(|entry| entry.new == new && !entry.untouched).collect();
            let keys: Vec<KeyText> = those.iter().flat_map(|entry| entry.keys.iter().cloned()).collect();
            let payloads = those.iter_mut().map(|entry| std::mem::take(&mut entry.own)).collect();
            let ready = self.prepare(payloads, &keys, collection, action).await?;
            those.iter_mut().zip(ready).for_each(|(entry, payload)| entry.own = payload);
        }
        Ok(())
    }

    /// The system's rules for these items: what comes before the statements is done, the rest is remembered.
    async fn follow_rules(&mut self, collection: &Collection, entries: &[Entry]) -> Result<(), Failure> {
        if !collection.system {
            return Ok(());
        }
        let by = &self.place.caller.accountability;
        let (mut new, mut keys, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { own, keys: those, .. } in entries.iter().filter(|entry| !entry.untouched && !entry.new) {
            keys.extend_from_slice(those);
            changes.extend(those.iter().map(|_| own.clone()));
        }
        new.extend(entries.iter().filter(|entry| entry.new).map(|entry| entry.own.clone()));
        let created = (!new.is_empty()).then(|| Rules::create(collection, &new));
        let changed = (!keys.is_empty()).then(|| Rules::update(collection, &keys, &changes, by));
        for mut rules in created.into_iter().chain(changed) {
            rules.before(self.conn).await?;
            self.rules.push(rules);
        }
        Ok(())
    }

    fn take_apart(&self, collection: &Collection, entries: &mut [Entry]) -> Result<(), Failure> {
        let access = self.place.reader.access;
        for entry in entries {
            let action = if entry.new { Action::Create } else { Action::Update };
            let payload = std::mem::take(&mut entry.own);
            let split = planner::split(payload, collection, &self.place.snapshot.schema, (access, action))?;
            (entry.own, entry.ones, entry.manys) = (split.own, split.ones, split.manys);
        }
        Ok(())
    }

    /// Writes what the items are to refer to, and puts its keys where it stood.
    async fn ones(&mut self, entries: &mut [Entry], depth: usize) -> Result<(), Failure> {
        let mut levels: BTreeMap<(String, String), Ones> = BTreeMap::new();
        for (index, entry) in entries.iter_mut().enumerate() {
            for NestedOne { field, collection, item } in entry.ones.drain(..) {
                let ones = levels.entry((field, collection)).or_default();
                ones.places.push(index);
                let cause = (!entry.slots.is_empty()).then_some(entry.slots.start);
                ones.wanted.push(Wanted { payload: item, whose: Whose::Either, cause });
            }
        }
        for ((field, name), Ones { places, wanted }) in levels {
            let collection = self.place.snapshot.collection(&name)?;
            let keys = self.level(collection, wanted, (None, depth + 1)).await;
            let keys = keys.map_err(|failure| failure.nested_in(&field))?;
            for (index, keys) in places.into_iter().zip(keys) {
                let key = keys.into_iter().next().ok_or_else(Error::internal)?;
                entries[index].own.set_text(&field, &key)?;
            }
        }
        Ok(())
    }

    /// The slots of the items of each key, for whoever is nested in them.
    pub(super) fn causes(entry: &Entry) -> HashMap<&str, usize> {
        entry.keys.iter().map(String::as_str).zip(entry.slots.clone()).collect()
    }
}
