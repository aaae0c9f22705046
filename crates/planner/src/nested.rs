//! What is nested in a payload: items of other collections, taken out of it and said plainly.

use access::{Access, Action};
use model::{Collection, Error, Field, Link, Schema};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::Payload;
use crate::read::key_field;
use crate::value::{KeyText, parse_key};

/// A payload without what was nested in it, and that.
#[derive(Debug)]
pub struct Split {
    /// What stays: values of the item's own.
    pub own: Payload,
    /// Items that the item is to refer to; they are written before it.
    pub ones: Vec<NestedOne>,
    /// Lists of items that are to refer to the item; they are written after it.
    pub manys: Vec<NestedMany>,
}

/// An item that a field is to refer to.
#[derive(Debug)]
pub struct NestedOne {
    /// The field.
    pub field: String,
    /// The item's collection.
    pub collection: String,
    /// The item.
    pub item: Payload,
}

/// The items that are to refer to an item.
#[derive(Debug)]
pub struct NestedMany {
    /// The field that shows them.
    pub field: String,
    /// Their collection.
    pub collection: String,
    /// Their field that refers.
    pub by: String,
    /// Their field that orders them.
    pub sort_field: Option<String>,
    /// One that is taken out of the list is deleted; else its reference becomes null.
    pub deletes: bool,
    /// What is to become of them.
    pub change: ManyChange,
}

/// What is to become of a list of items.
#[derive(Debug)]
pub enum ManyChange {
    /// These, and no others.
    All(Vec<Entry>),
    /// Some come, some change, some go; the others stay.
    Some {
        /// New items.
        create: Vec<Payload>,
        /// Present ones, with their keys and what changes.
        update: Vec<(KeyText, Payload)>,
        /// Those that are taken out.
        delete: Vec<KeyText>,
    },
}

/// An entry of a whole list.
#[derive(Debug)]
pub enum Entry {
    /// A present item, as it is.
    Key(KeyText),
    /// A new item; or a present one, when it has a key that is there.
    Item(Payload),
}

impl Entry {
    fn item(self) -> Option<Payload> {
        match self {
            Self::Item(item) => Some(item),
            Self::Key(_) => None,
        }
    }
}

/// Whether a payload has other items in it.
pub fn is_nested(payload: &Payload, collection: &Collection) -> bool {
    payload.iter().any(|(name, value)| collection.field(name).is_some_and(|field| nests(field, value)))
}

/// Whether a value of this field is or holds other items.
pub(crate) fn nests(field: &Field, value: &RawValue) -> bool {
    match &field.link {
        Some(Link::Many { .. }) => true,
        Some(Link::One { .. } | Link::Any { .. }) => value.get().starts_with('{'),
        None => false,
    }
}

/// The values that a payload has of its own, and those that are or hold other items, with the names of their collections.
pub fn apart(payload: &Payload, collection: &Collection) -> (Payload, Payload) {
    let (mut own, mut nested) = (Payload::default(), Payload::default());
    for (name, value) in payload.iter() {
        let Some(field) = collection.field(name).filter(|field| nests(field, value)) else {
            own.put(name, value);
            continue;
        };
        nested.put(name, value);
        if let Some(Link::Any { collection_field, .. }) = &field.link
            && let Some(named) = payload.get(collection_field)
        {
            nested.put(collection_field, named);
        }
    }
    (own, nested)
}

/// Looks into the items that a field of a payload holds: their shape, and what `look` says of each of them.
///
/// # Errors
/// `INVALID_PAYLOAD` for what has no meaning, and what `look` says.
pub(crate) fn each_within(
    payload: &Payload,
    (collection, field): (&Collection, &Field),
    schema: &Schema,
    look: &dyn Fn(&Payload, &Collection) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(value) = payload.get(&field.name).filter(|value| nests(field, value)) else { return Ok(()) };
    let related = |name: &str| schema.collection(name).ok_or_else(|| Error::forbidden_collection(name));
    match &field.link {
        Some(Link::One { collection: one }) => look(&parsed(value, collection, field)?, related(one)?),
        Some(Link::Any { collection_field, allowed }) => {
            let named = any_collection(payload, (collection, field), collection_field, allowed)?;
            look(&parsed(value, collection, field)?, related(&named)?)
        }
        Some(Link::Many { collection: many, .. }) => {
            let many = related(many)?;
            let items = match change(value, (collection, field), many)? {
                ManyChange::All(entries) => entries.into_iter().filter_map(Entry::item).collect(),
                ManyChange::Some { create, update, .. } => {
                    create.into_iter().chain(update.into_iter().map(|(_, item)| item)).collect::<Vec<_>>()
                }
            };
            items.iter().try_for_each(|item| look(item, many))
        }
        None => Ok(()),
    }
}

/// Takes the nested items out of a payload.
///
/// # Errors
/// `FORBIDDEN` for a field that may not be written, or a related collection that is not there; `INVALID_PAYLOAD` for
/// nested values that have no meaning.
pub fn split(
    payload: Payload,
    collection: &Collection,
    schema: &Schema,
    (access, action): (&Access, Action),
) -> Result<Split, Error> {
    let mut split = Split { own: payload, ones: Vec::new(), manys: Vec::new() };
    for field in collection.fields.iter().filter(|field| field.link.is_some()) {
        let Some(value) = split.own.get(&field.name).filter(|value| nests(field, value)) else { continue };
        if !access.allows_field(&collection.name, &field.name, action) {
            return Err(Error::forbidden_field(&collection.name, &field.name));
        }
        match &field.link {
            Some(Link::One { collection: one }) => {
                let item = parsed(value, collection, field)?;
                split.ones.push(NestedOne { field: field.name.clone(), collection: one.clone(), item });
            }
            Some(Link::Any { collection_field, allowed }) => {
                let named = any_collection(&split.own, (collection, field), collection_field, allowed)?;
                let item = parsed(value, collection, field)?;
                split.ones.push(NestedOne { field: field.name.clone(), collection: named, item });
            }
            Some(Link::Many { collection: many, field: by, sort_field, deletes }) => {
                let related = schema.collection(many).ok_or_else(|| Error::forbidden_collection(many))?;
                let change = change(value, (collection, field), related)?;
                split.manys.push(NestedMany {
                    field: field.name.clone(),
                    collection: many.clone(),
                    by: by.clone(),
                    sort_field: sort_field.clone(),
                    deletes: *deletes,
                    change,
                });
            }
            None => {}
        }
        split.own.remove(&field.name);
    }
    Ok(split)
}

/// The collection that a payload says its item of any collection is of.
fn any_collection(
    payload: &Payload,
    (collection, field): (&Collection, &Field),
    collection_field: &str,
    allowed: &[String],
) -> Result<String, Error> {
    let place = format!("{}.{}", collection.name, field.name);
    let named = payload.get(collection_field).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let Some(named) = named.filter(|name| !name.is_empty()) else {
        let reason = format!(
            "Can't update nested record \"{place}\" without field \"{}.{collection_field}\" being set",
            collection.name
        );
        return Err(Error::invalid_payload(reason));
    };
    if allowed.contains(&named) {
        return Ok(named);
    }
    Err(Error::invalid_payload(format!("\"{place}\" can't be linked to collection \"{named}\"")))
}

fn parsed<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    collection: &Collection,
    field: &Field,
) -> Result<T, Error> {
    serde_json::from_str(value.get()).map_err(|_| wrong(collection, field))
}

/// What a list's change is not, in the words of the original.
fn misshapen(what: &str) -> Error {
    Error::invalid_payload(format!("Invalid one-to-many update structure: {what}"))
}

fn wrong(collection: &Collection, field: &Field) -> Error {
    let reason = format!("Nested items of \"{}.{}\" must be keys or objects", collection.name, field.name);
    Error::invalid_payload(reason)
        .with("collection", collection.name.as_str())
        .with("field", field.name.as_str())
}

fn change(
    value: &RawValue,
    (collection, field): (&Collection, &Field),
    related: &Collection,
) -> Result<ManyChange, Error> {
    match value.get().as_bytes().first() {
        // No list is an empty one.
        Some(b'n') => Ok(ManyChange::All(Vec::new())),
        Some(b'[') => {
            let entries: Vec<Box<RawValue>> = parsed(value, collection, field)?;
            let entry = |raw: &RawValue| match raw.get().as_bytes().first() {
                Some(b'{') => parsed(raw, collection, field).map(Entry::Item),
                _ => key_of(raw, related, || wrong(collection, field)).map(Entry::Key),
            };
            Ok(ManyChange::All(entries.iter().map(|raw| entry(raw)).collect::<Result<_, Error>>()?))
        }
        Some(b'{') => {
            let parts: Payload = parsed(value, collection, field)?;
            if let Some((other, _)) = parts.iter().find(|(name, _)| !PARTS.contains(name)) {
                return Err(misshapen(&format!("\"{other}\" is not allowed")));
            }
            let update = items(&parts, "update")?.into_iter().map(|item| {
                let key = own_key(&item, related)?.ok_or_else(|| wrong(collection, field))?;
                Ok((key, item))
            });
            let delete = list(&parts, "delete")?.into_iter().enumerate().map(|(at, raw)| {
                let none = || misshapen(&format!("\"delete[{at}]\" does not match any of the allowed types"));
                key_of(&raw, related, none)
            });
            Ok(ManyChange::Some {
                create: items(&parts, "create")?,
                update: update.collect::<Result<_, Error>>()?,
                delete: delete.collect::<Result<_, Error>>()?,
            })
        }
        _ => Err(misshapen("\"value\" must be of type object")),
    }
}

/// The parts of a list's change.
const PARTS: [&str; 3] = ["create", "update", "delete"];

fn list(parts: &Payload, part: &str) -> Result<Vec<Box<RawValue>>, Error> {
    let Some(raw) = parts.get(part) else { return Ok(Vec::new()) };
    serde_json::from_str(raw.get()).map_err(|_| misshapen(&format!("\"{part}\" must be an array")))
}

fn items(parts: &Payload, part: &str) -> Result<Vec<Payload>, Error> {
    let item = |(at, raw): (usize, Box<RawValue>)| {
        serde_json::from_str(raw.get())
            .map_err(|_| misshapen(&format!("\"{part}[{at}]\" must be of type object")))
    };
    list(parts, part)?.into_iter().enumerate().map(item).collect()
}

/// The key that an item names itself by; nothing where it names none.
///
/// # Errors
/// `FORBIDDEN` for a key that none can have.
pub fn own_key(payload: &Payload, collection: &Collection) -> Result<Option<KeyText>, Error> {
    match payload.get(&collection.primary_key) {
        None => Ok(None),
        Some(raw) if matches!(raw.get(), "null" | "\"\"") => Ok(None),
        Some(raw) => key_of(raw, collection, Error::forbidden).map(Some),
    }
}

/// A key that is sent as a text or a number.
fn key_of(raw: &RawValue, collection: &Collection, wrong: impl Fn() -> Error) -> Result<KeyText, Error> {
    let text = match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).map_err(|_| wrong())?,
        Some(b'-' | b'0'..=b'9') => raw.get().to_owned(),
        _ => return Err(wrong()),
    };
    parse_key(&text, key_field(collection)?)
}

#[cfg(test)]
mod tests;
