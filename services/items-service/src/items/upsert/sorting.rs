//! Payloads -> those that make items and those that change them. Pure.

use std::collections::HashSet;

use model::{Collection, Error, Ids, KeySource};
use planner::Payload;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::update::own_key;
use super::deciding::Deciding;
use crate::failure::Failure;

/// What the payloads agree with, each at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted {
    /// Key of the item that is there.
    pub keys: Vec<Option<String>>,
    /// The first payload that gives the same values.
    firsts: Vec<usize>,
}

impl Sorted {
    /// From the rows of [`planner::plan_agreeing`].
    pub fn of(rows: &[PgRow], count: usize) -> Result<Self, Failure> {
        let mut sorted = Self { keys: vec![None; count], firsts: (0..count).collect() };
        for row in rows {
            let place = |name: &str| -> Result<usize, Failure> {
                let place: i64 = row.try_get(name)?;
                usize::try_from(place).ok().filter(|at| *at < count).ok_or_else(|| Error::internal().into())
            };
            let (ord, first) = (place("ord")?, place("first")?);
            sorted.firsts[ord] = first;
            sorted.keys[ord] = row.try_get("key")?;
        }
        Ok(sorted)
    }

    /// 400 when two payloads mean the same item.
    pub fn check_doubles(&self, deciding: &Deciding<'_>) -> Result<(), Error> {
        let double = self.firsts.iter().enumerate().find(|(ord, first)| ord != *first);
        let Some((second, first)) = double else { return Ok(()) };
        let reason = format!(
            "The items at {first} and {second} have the same \"{}\": an item may come once",
            deciding.names()
        );
        Err(Error::invalid_payload(reason))
    }
}

/// Items that are made.
#[derive(Default)]
pub struct New {
    /// Where they stand among all payloads.
    pub ords: Vec<usize>,
    /// The same number of payloads.
    pub payloads: Vec<Payload>,
    /// Which of them give their keys; the others' come from a sequence.
    given: Vec<bool>,
}

impl New {
    /// The keys by the places of their payloads. `made` are the keys that the statements gave back: those of a sequence
    /// are in the order of the payloads.
    pub fn named(&self, made: Vec<String>, collection: &Collection) -> Result<Vec<(usize, String)>, Failure> {
        let own =
            |(payload, given): (&Payload, &bool)| given.then(|| own_key(payload, collection)).transpose();
        let own = self.payloads.iter().zip(&self.given).map(own).collect::<Result<Vec<_>, _>>()?;
        let given: HashSet<&String> = own.iter().flatten().collect();
        let mut counted = made.iter().filter(|key| !given.contains(key));
        let named = self.ords.iter().zip(&own).map(|(ord, own)| {
            let key = own.as_ref().or_else(|| counted.next()).ok_or_else(Error::internal)?;
            Ok((*ord, key.clone()))
        });
        named.collect()
    }
}

/// Changes of items that are there; all lists have the same length.
#[derive(Default)]
pub struct Changes {
    /// Where they stand among all payloads.
    pub ords: Vec<usize>,
    /// Keys of the items.
    pub keys: Vec<String>,
    /// What changes: without the fields that decide, which are as they are.
    pub payloads: Vec<Payload>,
}

/// Sorts payloads by what they come to.
pub struct Sorting<'a> {
    /// All of them.
    pub payloads: &'a [Payload],
    /// What they agree with.
    pub sorted: &'a Sorted,
    /// By these fields.
    pub deciding: &'a Deciding<'a>,
}

impl Sorting<'_> {
    /// The payloads of new items. Those who bring the same new values at the same time take them in the same order, so
    /// that none waits for another in a circle.
    pub fn new_items(&self, collection: &Collection, ids: &dyn Ids) -> Result<New, Error> {
        let mut new = New::default();
        let mut ords: Vec<usize> =
            (0..self.payloads.len()).filter(|ord| self.sorted.keys[*ord].is_none()).collect();
        ords.sort_by_cached_key(|ord| self.values(*ord));
        for ord in ords {
            let mut payload = self.payloads[ord].clone();
            let given = payload.get(&collection.primary_key).is_some_and(|raw| raw.get() != "null");
            if !given && collection.key_source == KeySource::Uuid {
                payload.set_text(&collection.primary_key, &ids.random().to_string())?;
            }
            new.given.push(given || collection.key_source == KeySource::Uuid);
            new.ords.push(ord);
            new.payloads.push(payload);
        }
        Ok(new)
    }

    /// The changes of items that are there.
    pub fn changes(&self, collection: &Collection) -> Result<Changes, Failure> {
        let mut changes = Changes::default();
        for (ord, key) in self.sorted.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let mut payload = self.payloads[ord].clone();
            let named = payload.get(&collection.primary_key).is_some_and(|raw| raw.get() != "null");
            if named && own_key(&payload, collection)? != *key {
                let (name, decide) = (&collection.primary_key, self.deciding.names());
                let reason = format!(
                    "The item at {ord} agrees in \"{decide}\" with the item \"{key}\", whose \"{name}\" is another"
                );
                return Err(Error::invalid_payload(reason).with("field", name.as_str()).into());
            }
            self.deciding.fields.iter().for_each(|field| payload.remove(&field.name));
            payload.remove(&collection.primary_key);
            changes.ords.push(ord);
            changes.keys.push(key.clone());
            changes.payloads.push(payload);
        }
        Ok(changes)
    }

    fn values(&self, ord: usize) -> Vec<String> {
        let raw = |name: &str| self.payloads[ord].get(name).map(|raw| raw.get().to_owned());
        self.deciding.fields.iter().map(|field| raw(&field.name).unwrap_or_default()).collect()
    }
}
