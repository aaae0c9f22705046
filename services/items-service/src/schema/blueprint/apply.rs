//! Differences -> changes of the database, all in the transaction that the caller has begun.
//!
//! Relations that go are dropped first, then collections and fields are made, then changed, then relations are made
//! and changed, and deletions come last: whatever refers to something finds it.

use std::collections::{HashMap, HashSet};

use model::{Error, ErrorCode, Errors};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::compare::Diff;
use super::difference::Step;
use super::{Blueprint, Key, Kind, Members, evolve, write};
use crate::failure::Failure;
use crate::schema::change::{Entry, reason};
use crate::schema::{collections, fields, relations};
use crate::snapshot::Snapshot;

/// What has to be done with one entry: `from` what it is to what it is wanted to be.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its kind.
    pub kind: Kind,
    /// What finds it.
    pub key: Key,
    /// As it is; none when it is to be made.
    pub from: Option<Members>,
    /// As it is wanted; none when it is to go.
    pub to: Option<Members>,
}

impl Work {
    /// Has only to be made.
    fn is_new(&self) -> bool {
        self.from.is_none()
    }

    /// Has to go.
    fn is_gone(&self) -> bool {
        self.to.is_none()
    }

    /// A name for people.
    pub fn name(&self) -> String {
        let (collection, field) = &self.key;
        match self.kind {
            Kind::Collection => format!("Collection \"{collection}\""),
            Kind::Field | Kind::SystemField => format!("Field \"{collection}.{field}\""),
            Kind::Relation => format!("Relation \"{collection}.{field}\""),
        }
    }
}

/// What has to be done, entry by entry. `present` has what is untracked, too.
///
/// # Errors
/// What is to be made is there, what is to be changed or deleted is not, or a step leads nowhere.
pub fn works(present: &Blueprint, diff: &Diff) -> Result<Vec<Work>, Error> {
    let there: HashMap<Kind, HashMap<Key, &Members>> =
        [&present.collections, &present.fields, &present.system_fields, &present.relations]
            .map(|entries| (entries.kind, entries.by_key()))
            .into();
    let mut works = Vec::new();
    for (kind, change) in diff.all().filter(|(_, change)| !change.diff.is_empty()) {
        let key = change.key();
        let from = there[&kind].get(&key).map(|entry| (*entry).clone());
        let wrong = |verb: &str, why: &str| {
            let (collection, field) = &key;
            let name = match kind {
                Kind::Collection => format!("collection \"{collection}\""),
                Kind::Field | Kind::SystemField => format!("field \"{collection}.{field}\""),
                Kind::Relation => {
                    let related =
                        change.related_collection.as_ref().and_then(Value::as_str).unwrap_or("null");
                    format!("relation \"{collection}.{field}-> {related}\"")
                }
            };
            Error::invalid_payload(format!(
                "Provided diff is trying to {verb} {name} but {why}. Please generate a new diff and try again"
            ))
        };
        let (from, to) = match &change.diff[0] {
            Step::N { path, .. } | Step::D { path, .. } if path.is_empty() && kind == Kind::SystemField => {
                return Err(wrong("create", "this action is not supported"));
            }
            Step::N { path, rhs } if path.is_empty() => match from {
                Some(_) => return Err(wrong("create", "it already exists")),
                None => (None, super::picked(kind, rhs.clone())),
            },
            Step::D { path, .. } if path.is_empty() => match from {
                Some(from) => (Some(from), None),
                None => return Err(wrong("delete", "it does not exist")),
            },
            _ => {
                let unindexed = || (kind == Kind::SystemField).then(Map::new);
                let from = from.or_else(unindexed).ok_or_else(|| wrong("change", "it does not exist"))?;
                let mut to = Value::Object(from.clone());
                change.diff.iter().try_for_each(|step| step.take(&mut to))?;
                (Some(from), super::picked(kind, to))
            }
        };
        works.push(Work { kind, key, from, to });
    }
    Ok(works)
}

/// Does it. What comes back is what the log is told.
pub async fn migrate(conn: &mut PgConnection, works: Vec<Work>) -> Result<Vec<Entry>, Failure> {
    let gone: HashSet<String> = works
        .iter()
        .filter(|work| work.kind == Kind::Collection && work.is_gone())
        .map(|work| work.key.0.clone())
        .collect();
    // What hangs on a collection goes with it.
    let hangs = |work: &Work| work.kind != Kind::Collection && work.is_gone() && gone.contains(&work.key.0);
    let works: Vec<Work> = works.into_iter().filter(|work| !hangs(work)).collect();
    let (replaced, works): (Vec<Work>, Vec<Work>) = works.into_iter().partition(evolve::is_replaced);
    let of = |kind: Kind| works.iter().filter(move |work| work.kind == kind);
    let mut entries = Vec::with_capacity(works.len());

    let before = Snapshot::within(conn).await?;
    for work in of(Kind::Relation).filter(|work| work.is_gone()) {
        let (collection, field) = &work.key;
        entries.push(at(work, relations::remove(conn, &before, collection, field).await)?);
    }
    for work in &replaced {
        entries.push(at(work, fields::remove(conn, &before, &work.key.0, &work.key.1).await)?);
    }
    let new_collections: Vec<&Work> = of(Kind::Collection).filter(|work| work.is_new()).collect();
    let new_fields: Vec<&Work> = of(Kind::Field).filter(|work| work.is_new()).chain(&replaced).collect();
    entries.extend(write::make(conn, &before, &new_collections, &new_fields).await?);
    let changed = |work: &&Work| !work.is_new() && !work.is_gone();
    for work in of(Kind::Collection).filter(changed) {
        entries.extend(at(work, evolve::collection(conn, &before, work).await)?);
    }
    for work in of(Kind::Field).filter(changed) {
        entries.extend(at(work, evolve::field(conn, &before, work).await)?);
    }
    for work in of(Kind::SystemField) {
        entries.push(at(work, evolve::index(conn, &before, work).await)?);
    }

    let after = Snapshot::within(conn).await?;
    for work in of(Kind::Relation).filter(|work| work.is_new()) {
        entries.push(at(work, write::relation(conn, &after, work).await)?);
    }
    for work in of(Kind::Relation).filter(changed) {
        entries.push(at(work, evolve::relation(conn, &after, work).await)?);
    }
    for work in of(Kind::Field).filter(|work| work.is_gone()) {
        entries.push(at(work, fields::remove(conn, &after, &work.key.0, &work.key.1).await)?);
    }
    if !gone.is_empty() {
        let mut names: Vec<&str> = gone.iter().map(String::as_str).collect();
        names.sort_unstable();
        entries.extend(collections::remove_all(conn, &after, &names).await?);
    }
    Ok(entries)
}

/// Says which entry could not be done.
pub fn at<T>(work: &Work, result: Result<T, Failure>) -> Result<T, Failure> {
    result.map_err(|failure| {
        let named =
            |reason: &str| Failure::from(Error::invalid_payload(format!("{}: {reason}", work.name())));
        match &failure {
            Failure::Sql(error) => reason(error).map_or(failure, named),
            Failure::Refused(Errors(errors)) => match errors.first() {
                Some(error) if error.code == ErrorCode::InvalidPayload => {
                    named(error.extensions.get("reason").and_then(Value::as_str).unwrap_or(&error.message))
                }
                Some(error) if error.code == ErrorCode::Forbidden => {
                    named("it is missing, or part of the system and can't be changed")
                }
                _ => failure,
            },
        }
    })
}
