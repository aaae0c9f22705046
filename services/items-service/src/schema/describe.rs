//! The schema as clients see it, answered from the snapshot in memory.

use model::{Error, Errors};

use crate::catalog::{CollectionEntry, json, wire};
use crate::snapshot::Snapshot;

/// All collections, those of the system too.
pub fn collections(snapshot: &Snapshot) -> Vec<u8> {
    let all: Vec<wire::Collection<'_>> = snapshot.catalog.collections.values().map(Into::into).collect();
    json(&all)
}

/// Some collections, in this order; those that are missing are left out.
pub fn collections_of(snapshot: &Snapshot, names: &[String]) -> Result<Vec<u8>, Errors> {
    let found = names.iter().filter_map(|name| snapshot.catalog.collections.get(name));
    Ok(json(&found.map(wire::Collection::from).collect::<Vec<_>>()))
}

/// One collection; a missing one is 403.
pub fn collection(snapshot: &Snapshot, name: &str) -> Result<Vec<u8>, Errors> {
    Ok(json(&wire::Collection::from(entry(snapshot, name)?)))
}

/// Fields of one collection, or of all when the name is empty. Those of a missing collection are 403.
pub fn fields(snapshot: &Snapshot, collection: &str) -> Result<Vec<u8>, Errors> {
    let all = entries(snapshot, collection)?;
    let fields = all.iter().flat_map(|entry| entry.fields.iter().map(|field| wire::Field::of(entry, field)));
    Ok(json(&fields.collect::<Vec<_>>()))
}

/// Some fields of a collection, in this order.
pub fn fields_of(snapshot: &Snapshot, collection: &str, names: &[String]) -> Result<Vec<u8>, Errors> {
    let entry = entry(snapshot, collection)?;
    let found = names.iter().filter_map(|name| entry.field(name));
    Ok(json(&found.map(|field| wire::Field::of(entry, field)).collect::<Vec<_>>()))
}

/// One field; a missing one is 403.
pub fn field(snapshot: &Snapshot, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
    let entry = entry(snapshot, collection)?;
    let field = entry.field(field).ok_or_else(Error::forbidden)?;
    Ok(json(&wire::Field::of(entry, field)))
}

/// Relations that one collection holds, or of all when the name is empty.
pub fn relations(snapshot: &Snapshot, collection: &str) -> Result<Vec<u8>, Errors> {
    let all = entries(snapshot, collection)?;
    let relations =
        all.iter().flat_map(|entry| entry.relations.iter().map(|held| wire::Relation::of(entry, held)));
    Ok(json(&relations.collect::<Vec<_>>()))
}

/// One relation; a missing one is 403.
pub fn relation(snapshot: &Snapshot, collection: &str, field: &str) -> Result<Vec<u8>, Errors> {
    let entry = entry(snapshot, collection)?;
    let held = snapshot.catalog.relation(collection, field).ok_or_else(Error::forbidden)?;
    Ok(json(&wire::Relation::of(entry, held)))
}

fn entries<'a>(snapshot: &'a Snapshot, collection: &str) -> Result<Vec<&'a CollectionEntry>, Error> {
    if collection.is_empty() {
        // A table without a key of one column is seen, but has no fields to work with.
        let all = snapshot.catalog.collections.values();
        return Ok(all.filter(|entry| entry.table.is_none() || entry.key().is_some()).collect());
    }
    Ok(vec![entry(snapshot, collection)?])
}

/// A collection by its name; a missing one is 403.
pub fn entry<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a CollectionEntry, Error> {
    snapshot.catalog.collections.get(name).ok_or_else(Error::forbidden)
}
