//! The statements of one level: all new items in one, all changes that name the same fields in one.

use std::collections::HashMap;

use model::{Collection, Error, Filter, KeySource};
use planner::{Appended, CreateNeeds, KeyText, Payload, UpdateChange};
use sqlx::Row as _;

use super::super::write::CHUNK;
use super::level::Entry;
use super::{Place, Work};
use crate::execute;
use crate::failure::Failure;

/// Items whose changes are one statement: those that name the same fields, none of them twice.
type Kind = (usize, Vec<String>, bool);

/// An item of an entry, by the entry's place, its key and its slot.
struct Change {
    entry: usize,
    key: KeyText,
    slot: usize,
}

impl<'a> Work<'a> {
    /// Creates the new items of a level.
    pub(super) async fn create(
        &mut self,
        collection: &Collection,
        entries: &mut [Entry],
    ) -> Result<(), Failure> {
        let Place { state, reader, stamp, .. } = self.place;
        let mut new: Vec<&mut Entry> = entries.iter_mut().filter(|entry| entry.new).collect();
        let event = format!("{}.create", collection.scope());
        for chunk in new.chunks_mut(CHUNK) {
            let payloads: Vec<Payload> =
                chunk.iter_mut().map(|entry| std::mem::take(&mut entry.own)).collect();
            let fresh_keys: Vec<_> = match collection.key_source {
                KeySource::Uuid => payloads.iter().map(|_| state.ids.random()).collect(),
                _ => Vec::new(),
            };
            let needs = CreateNeeds { event_ids: &[], fresh_keys: &fresh_keys };
            let plan = planner::plan_create_unlogged(&payloads, &needs, collection, reader.access, stamp)?;
            let rows = execute::rows(self.conn, &plan).await?;
            if rows.len() != chunk.len() {
                return Err(Error::internal().into());
            }
            for (entry, row) in chunk.iter_mut().zip(rows) {
                let key: KeyText = row.try_get("key")?;
                entry.keys = vec![key.clone()];
                let (version, payload) = (row.try_get("version")?, row.try_get("payload")?);
                let made = Made { key, version, payload, previous: None, fields: None };
                self.note(entry.slots.start, &event, collection, made);
            }
        }
        Ok(())
    }

    /// Changes the present items of a level. All must be there and within reach, but for those that no longer fit the
    /// filter: they leave the level.
    pub(super) async fn update(
        &mut self,
        collection: &Collection,
        entries: &mut [Entry],
        filter: Option<&Filter>,
    ) -> Result<(), Failure> {
        let Place { reader, stamp, .. } = self.place;
        let event = format!("{}.update", collection.scope());
        for ((_, _, touched), changes) in grouped(entries) {
            for chunk in changes.chunks(CHUNK) {
                let keys: Vec<KeyText> = chunk.iter().map(|change| change.key.clone()).collect();
                let shared = chunk.iter().all(|change| change.entry == chunk[0].entry);
                let own = |change: &Change| entries[change.entry].own.clone();
                let payloads: Vec<Payload> =
                    chunk.iter().take(if shared { 1 } else { CHUNK }).map(own).collect();
                let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &[], filter };
                let plan = planner::plan_update_unlogged(&change, touched, collection, reader, stamp)?;
                let Some(planner::Unlogged { statement, fields }) = plan else { continue };
                let rows = execute::rows(self.conn, &statement).await?;
                if rows.len() != keys.len() && filter.is_none() {
                    return Err(Error::forbidden().into());
                }
                let slots: HashMap<&str, usize> =
                    chunk.iter().map(|change| (change.key.as_str(), change.slot)).collect();
                for row in rows {
                    let key: KeyText = row.try_get("key")?;
                    let slot = *slots.get(key.as_str()).ok_or_else(Error::internal)?;
                    let (version, payload) = (row.try_get("version")?, row.try_get("payload")?);
                    let (previous, fields) = (row.try_get("previous")?, Some(fields.clone()));
                    self.note(slot, &event, collection, Made { key, version, payload, previous, fields });
                }
            }
        }
        if filter.is_some() {
            self.leave(entries);
        }
        Ok(())
    }

    /// Takes out of the level what the statements did not find any more.
    fn leave(&self, entries: &mut [Entry]) {
        for entry in entries.iter_mut().filter(|entry| !entry.new && !entry.slots.is_empty()) {
            let first = entry.slots.start;
            let mut place = first;
            entry.keys.retain(|_| {
                place += 1;
                self.slots.get(place - 1).is_some_and(|slot| slot.event.is_some())
            });
        }
    }

    fn note(&mut self, slot: usize, event: &str, collection: &Collection, made: Made) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        slot.event = Some(Appended {
            id: slot.id,
            name: event.to_owned(),
            collection: collection.name.clone(),
            key: made.key,
            version: made.version,
            payload: made.payload,
            previous: made.previous,
            fields: made.fields,
            causation_id: slot.causation_id,
            depth: slot.depth,
        });
    }
}

/// What a statement tells of an item.
struct Made {
    key: KeyText,
    version: i64,
    payload: Option<String>,
    previous: Option<String>,
    fields: Option<Vec<String>>,
}

/// The changes of a level by what they have in common; one that comes twice for an item goes into a later group.
fn grouped(entries: &[Entry]) -> Vec<(Kind, Vec<Change>)> {
    let mut rounds: HashMap<&str, usize> = HashMap::new();
    let mut order: Vec<(Kind, Vec<Change>)> = Vec::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.new && !entry.untouched) {
        let mut names: Vec<String> = entry.own.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        for (key, slot) in entry.keys.iter().zip(entry.slots.clone()) {
            let round = rounds.entry(key).and_modify(|round| *round += 1).or_insert(0);
            let kind: Kind = (*round, names.clone(), !entry.manys.is_empty());
            let change = Change { entry: index, key: key.clone(), slot };
            match order.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, changes)) => changes.push(change),
                None => order.push((kind, vec![change])),
            }
        }
    }
    order.sort_by_key(|((round, ..), _)| *round);
    order
}
