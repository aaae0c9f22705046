//! Which of some events somebody is told of, and what of each. Where rules look at items, PostgreSQL is asked once per
//! collection, whatever their number; elsewhere nobody is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use model::{Accountability, Collection, Error, Event};
use planner::{ItemState, Telling};
use sqlx::Row as _;

use super::observe::METRICS;
use super::shown::{Change, Seen, shown};
use crate::execute;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

/// Definitions: what is told of them is told by `schema` and its endpoints.
const DEFINITIONS: [&str; 3] = ["directus_collections", "directus_fields", "directus_relations"];

/// Why it can't be said now.
#[derive(Debug)]
pub enum Failure {
    /// The schema has moved: look again with the new one.
    Moved,
    /// PostgreSQL is away.
    Away,
}

/// An event as it is told, and where it stands.
pub type Told = (i64, Bytes);

/// An event as administrators see it.
pub fn whole(event: &Event) -> Option<Told> {
    Some((event.position, serde_json::to_vec(event).ok()?.into()))
}

/// A collection whose items' events are told to those who may read the items.
pub fn is_told_of(collection: &Collection) -> bool {
    !DEFINITIONS.contains(&collection.name.as_str())
}

/// One who looks, by what he may do now.
pub struct Judge<'a> {
    pub state: &'a State,
    pub who: &'a Accountability,
    pub asking: &'a Asking,
    pub snapshot: &'a Snapshot,
}

/// Names of fields by the state that they are seen of.
type Visible = HashMap<ItemState, BTreeSet<String>>;

impl Judge<'_> {
    /// What he is told of these events, in their order.
    ///
    /// # Errors
    /// It can't be said now; nothing is told in doubt.
    pub async fn told(&self, events: &[&Event]) -> Result<Vec<Told>, Failure> {
        let mut collections: BTreeMap<&str, (&Arc<Collection>, Telling)> = BTreeMap::new();
        for event in events {
            let found = self.snapshot.schema.collection(&event.collection);
            if let Some(found) = found.filter(|found| is_told_of(found)) {
                let telling = || (found, planner::telling(found, &self.asking.access));
                collections.entry(&event.collection).or_insert_with(telling);
            }
        }
        let mut visible = HashMap::new();
        for (name, (collection, telling)) in &collections {
            let own = || events.iter().filter(|event| event.collection == *name);
            METRICS.judged(own().count(), telling);
            if *telling == Telling::ByItem {
                let states: BTreeSet<(&str, i64)> = own()
                    .filter_map(|event| Some((event, Change::of(event, collection)?)))
                    .flat_map(|(event, change)| states(event, change))
                    .collect();
                let states =
                    states.into_iter().map(|(key, from)| ItemState { key: key.to_owned(), from }).collect();
                visible.insert(*name, self.look(states, collection).await?);
            }
        }
        let told = events.iter().filter_map(|event| {
            let (collection, telling) = collections.get(event.collection.as_str())?;
            let change = Change::of(event, collection)?;
            let seen = match telling {
                Telling::Nothing => return None,
                Telling::Fields(fields) => (Some(fields), Some(fields)),
                Telling::ByItem => {
                    let visible = visible.get(event.collection.as_str())?;
                    (seen(visible, event, before(event)), seen(visible, event, after(event)))
                }
            };
            Some((event.position, shown(event, change, collection, seen)?.into()))
        });
        Ok(told.collect())
    }

    /// One look at all states. Where PostgreSQL can't answer because of one of them, the others don't suffer for it.
    async fn look(&self, states: Vec<ItemState>, collection: &Collection) -> Result<Visible, Failure> {
        match self.ask(&states, collection).await {
            Ok(visible) => return Ok(visible),
            Err(error) => self.bearable(&error)?,
        }
        let mut visible = Visible::new();
        for state in states {
            match self.ask(std::slice::from_ref(&state), collection).await {
                Ok(found) => visible.extend(found),
                Err(error) => {
                    self.bearable(&error)?;
                    METRICS.doubtful.inc();
                    let (collection, ItemState { key, from }) = (&collection.name, state);
                    tracing::warn!(%error, collection, key, from, "nobody is told of a change that can't be judged");
                }
            }
        }
        Ok(visible)
    }

    /// The failure is about what was asked, and not about the schema or PostgreSQL.
    fn bearable(&self, error: &sqlx::Error) -> Result<(), Failure> {
        match db::Error::classify(error) {
            db::Class::SchemaMoved => Err(Failure::Moved),
            db::Class::Unavailable => Err(Failure::Away),
            _ => Ok(()),
        }
    }

    async fn ask(&self, states: &[ItemState], collection: &Collection) -> Result<Visible, sqlx::Error> {
        if states.is_empty() {
            return Ok(Visible::new());
        }
        // A collection that is out of reach is not asked for.
        let Ok(plan) = planner::plan_told(states, collection, self.asking.reader(self.snapshot)) else {
            return Ok(Visible::new());
        };
        METRICS.reads.inc();
        let rows = execute::rows_alone(self.state.reading.of(self.who), &plan).await?;
        let seen = |row: &sqlx::postgres::PgRow| {
            let fields: Vec<String> = row.try_get("fields")?;
            Ok((
                ItemState { key: row.try_get("key")?, from: row.try_get("since")? },
                fields.into_iter().collect(),
            ))
        };
        rows.iter().map(seen).collect()
    }
}

fn before(event: &Event) -> i64 {
    event.position
}

fn after(event: &Event) -> i64 {
    event.position + 1
}

/// The states of its item that an event is judged by.
fn states(event: &Event, change: Change) -> impl Iterator<Item = (&str, i64)> {
    let from = match change {
        Change::Create => vec![after(event)],
        Change::Update => vec![before(event), after(event)],
        Change::Delete => vec![before(event)],
    };
    from.into_iter().map(|from| (event.key.as_str(), from))
}

fn seen<'a>(visible: &'a Visible, event: &Event, from: i64) -> Seen<'a> {
    visible.get(&ItemState { key: event.key.clone(), from })
}

/// Whether what somebody is told of these collections depends on who he is beyond his policies.
///
/// # Errors
/// A collection that is not there.
pub fn looks_at_caller(
    collections: &[&Arc<Collection>],
    asking: &Asking,
    snapshot: &Snapshot,
) -> Result<bool, Error> {
    let any = [ItemState { key: String::new(), from: 0 }];
    for collection in collections {
        if planner::telling(collection, &asking.access) == Telling::ByItem
            && planner::plan_told(&any, collection, asking.reader(snapshot))?.uses.caller
        {
            return Ok(true);
        }
    }
    Ok(false)
}
