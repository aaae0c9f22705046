//! Payloads -> those that make items and those that change them. Pure.

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

/// Items that are made by the same statements.
pub struct New {
    /// Where they stand among all payloads.
    ords: Vec<usize>,
    /// The same number of payloads.
    pub payloads: Vec<Payload>,
    /// The payloads give the keys.
    given: bool,
}

impl New {
    /// The keys by the places of their payloads. `made` are the keys that the statements gave back: those of a sequence
    /// are in the order of the payloads.
    pub fn named(&self, made: Vec<String>, collection: &Collection) -> Result<Vec<(usize, String)>, Failure> {
        let keys = match self.given {
            true => {
                self.payloads.iter().map(|payload| own_key(payload, collection)).collect::<Result<_, _>>()?
            }
            false => made,
        };
        if keys.len() != self.ords.len() {
            return Err(Error::internal().into());
        }
        Ok(self.ords.iter().copied().zip(keys).collect())
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
    /// The payloads of new items, with a key and without one. Those who bring the same new values at the same time take
    /// them in the same order, so that none waits for another in a circle.
    pub fn new_items(&self, collection: &Collection, ids: &dyn Ids) -> Result<[New; 2], Error> {
        let none = |given| New { ords: Vec::new(), payloads: Vec::new(), given };
        let mut groups = [none(true), none(false)];
        let mut ords: Vec<usize> =
            (0..self.payloads.len()).filter(|ord| self.sorted.keys[*ord].is_none()).collect();
        ords.sort_by_cached_key(|ord| self.values(*ord));
        for ord in ords {
            let mut payload = self.payloads[ord].clone();
            let given = payload.get(&collection.primary_key).is_some_and(|raw| raw.get() != "null");
            if !given && collection.key_source == KeySource::Uuid {
                payload.set_text(&collection.primary_key, &ids.random().to_string())?;
            }
            let named = given || !matches!(collection.key_source, KeySource::Sequence(_));
            let group = &mut groups[usize::from(!named)];
            group.ords.push(ord);
            group.payloads.push(payload);
        }
        Ok(groups)
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
