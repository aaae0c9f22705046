//! The schema as clients see it, answered from the snapshot in memory.

use std::collections::BTreeSet;

use access::{Access, Action};
use model::{Error, Errors};

use crate::catalog::{CollectionEntry, RelationEntry, json, wire};
use crate::snapshot::Snapshot;

/// Who writes definitions sees them.
static EVERYTHING: Access = Access::admin();

/// The schema, as far as somebody may see it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    access: &'a Access,
}

impl<'a> View<'a> {
    /// Through these eyes.
    pub fn new(snapshot: &'a Snapshot, access: &'a Access) -> Self {
        Self { snapshot, access }
    }

    /// All collections that he may read, those of the system too, and the groups that they stand in.
    ///
    /// # Errors
    /// 403 for who may not read definitions of collections.
    pub fn collections(&self) -> Result<Vec<u8>, Errors> {
        self.defined("directus_collections")?;
        let all = &self.snapshot.catalog.collections;
        let read = all.values().filter(|entry| entry.table.is_some() && self.reads(&entry.name));
        let mut shown: BTreeSet<String> = read.map(|entry| entry.name.clone()).collect();
        let mut below: Vec<String> = shown.iter().cloned().collect();
        while let Some(name) = below.pop() {
            let group = all.get(&name).and_then(CollectionEntry::group);
            below.extend(group.filter(|group| shown.insert(group.clone())));
        }
        let everything = self.access.is_admin();
        let shown = all.values().filter(|entry| everything || shown.contains(&entry.name));
        Ok(json(&shown.map(wire::Collection::from).collect::<Vec<_>>()))
    }

    /// One collection; a missing one is 403.
    pub fn collection(&self, name: &str) -> Result<Vec<u8>, Errors> {
        let found = entry(self.snapshot, name)?;
        let folder = found.table.is_none() && self.access.allows("directus_collections", Action::Read);
        if !folder && !self.reads(name) {
            return Err(Error::forbidden().into());
        }
        self.defined("directus_collections")?;
        Ok(json(&wire::Collection::from(found)))
    }

    /// Fields of one collection, or of all when the name is empty. Those of a missing collection are 403.
    pub fn fields(&self, collection: &str) -> Result<Vec<u8>, Errors> {
        self.defined("directus_fields")?;
        let all = self.entries(collection)?;
        let fields = all.iter().flat_map(|entry| entry.fields.iter().map(move |field| (*entry, field)));
        let seen = fields.filter(|(entry, field)| self.reads_field(&entry.name, &field.name));
        Ok(json(&seen.map(|(entry, field)| wire::Field::of(entry, field)).collect::<Vec<_>>()))
    }

    /// One field; a missing one is 403.
    pub fn field(&self, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
        let found = entry(self.snapshot, collection)?;
        let field = found.field(field).filter(|_| self.reads_field(collection, field));
        Ok(json(&wire::Field::of(found, field.ok_or_else(Error::forbidden)?)))
    }

    /// Relations that one collection holds, or of all when the name is empty.
    pub fn relations(&self, collection: &str) -> Result<Vec<u8>, Errors> {
        self.defined("directus_relations")?;
        let all = self.entries(collection)?;
        let held = all.iter().flat_map(|entry| entry.relations.iter().map(move |held| (*entry, held)));
        let seen = held.filter(|(entry, held)| self.reads_relation(entry, held));
        Ok(json(&seen.map(|(entry, held)| wire::Relation::of(entry, held)).collect::<Vec<_>>()))
    }

    /// One relation; a missing one is 403.
    pub fn relation(&self, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
        let found = entry(self.snapshot, collection)?;
        let held = self.snapshot.catalog.relation(collection, field);
        let held = held.filter(|held| self.reads_relation(found, held)).ok_or_else(Error::forbidden)?;
        Ok(json(&wire::Relation::of(found, held)))
    }

    /// He may read definitions of this kind.
    fn defined(&self, kind: &str) -> Result<(), Error> {
        if self.reads(kind) { Ok(()) } else { Err(Error::forbidden_collection(kind)) }
    }

    fn reads(&self, collection: &str) -> bool {
        self.access.allows(collection, Action::Read)
    }

    fn reads_field(&self, collection: &str, field: &str) -> bool {
        self.access.allows_field(collection, field, Action::Read)
    }

    /// He may read both ends.
    fn reads_relation(&self, entry: &CollectionEntry, held: &RelationEntry) -> bool {
        let meta = held.meta.as_ref();
        let back = meta.and_then(|meta| meta.one_field.as_ref());
        let one = |related: &String| match back {
            Some(field) => self.reads_field(related, field),
            None => self.reads(related),
        };
        let several = meta.map_or(&[][..], |meta| &meta.one_allowed_collections);
        self.reads_field(&entry.name, &held.field)
            && held.related.as_ref().is_none_or(one)
            && several.iter().all(|name| self.reads(name))
    }

    fn entries(&self, collection: &str) -> Result<Vec<&'a CollectionEntry>, Error> {
        if collection.is_empty() {
            // A table without a key of one column is seen, but has no fields to work with.
            let all = self.snapshot.catalog.collections.values();
            return Ok(all.filter(|entry| entry.table.is_none() || entry.key().is_some()).collect());
        }
        let found = entry(self.snapshot, collection)?;
        let seen = found.table.is_none() || self.reads(collection);
        if seen { Ok(vec![found]) } else { Err(Error::forbidden()) }
    }
}

/// Some collections, in this order; those that are missing are left out.
pub fn collections_of(snapshot: &Snapshot, names: &[String]) -> Result<Vec<u8>, Errors> {
    let found = names.iter().filter_map(|name| snapshot.catalog.collections.get(name));
    Ok(json(&found.map(wire::Collection::from).collect::<Vec<_>>()))
}

/// One collection, for who has just written it.
pub fn collection(snapshot: &Snapshot, name: &str) -> Result<Vec<u8>, Errors> {
    View::new(snapshot, &EVERYTHING).collection(name)
}

/// Some fields of a collection, in this order.
pub fn fields_of(snapshot: &Snapshot, collection: &str, names: &[String]) -> Result<Vec<u8>, Errors> {
    let entry = entry(snapshot, collection)?;
    let found = names.iter().filter_map(|name| entry.field(name));
    Ok(json(&found.map(|field| wire::Field::of(entry, field)).collect::<Vec<_>>()))
}

/// One field, for who has just written it.
pub fn field(snapshot: &Snapshot, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
    View::new(snapshot, &EVERYTHING).field(collection, field)
}

/// One relation, for who has just written it.
pub fn relation(snapshot: &Snapshot, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
    View::new(snapshot, &EVERYTHING).relation(collection, field)
}

/// A collection by its name; a missing one is 403.
pub fn entry<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a CollectionEntry, Error> {
    snapshot.catalog.collections.get(name).ok_or_else(Error::forbidden)
}
