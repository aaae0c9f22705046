//! Writes that are one statement: its plan, and whose part of its answer is whose.

use std::collections::{HashMap, HashSet, VecDeque};

use model::{Collection, Error, Errors, KeySource};
use planner::{CreateNeeds, Payload, Reader, Stamp, Statement, UpdateChange};
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Kind, Lane, Turn, Waiting};
use crate::execute;
use crate::failure::Failure;
use crate::items::cascade;
use crate::items::read::query;
use crate::items::write::Written;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The next writes, at most so many. One item is changed once in a statement: who comes second waits for the next.
pub(super) fn take(waiting: &mut VecDeque<Waiting>, kind: Kind, most: usize) -> Vec<Waiting> {
    let mut seen: HashSet<String> = HashSet::new();
    let (mut next, mut later) = (Vec::new(), VecDeque::new());
    for one in waiting.drain(..) {
        let again = kind != Kind::Create && seen.contains(&one.one.key);
        if again || next.len() == most {
            later.push_back(one);
        } else {
            seen.insert(one.one.key.clone());
            next.push(one);
        }
    }
    *waiting = later;
    next
}

/// Writes them, and tells each what became of it.
pub(super) async fn write(state: &State, lane: &Lane, writes: Vec<Waiting>) {
    let (ones, told): (Vec<_>, Vec<_>) =
        writes.into_iter().map(|waiting| (waiting.one, waiting.told)).unzip();
    let snapshot = state.snapshots.present();
    let batch = Batch {
        lane,
        snapshot: &snapshot,
        keys: ones.iter().map(|one| one.key.clone()).collect(),
        payloads: ones.iter().map(|one| one.payload.clone()).collect(),
        stamps: ones.iter().map(|one| one.stamp.clone()).collect(),
    };
    let turns: Vec<Turn> = match ones.first() {
        // Alone, each is told what the new schema says to it.
        _ if snapshot.schema.version != lane.schema => ones.iter().map(|_| Turn::Alone(None)).collect(),
        None => Vec::new(),
        Some(first) => match batch.run(state, first.asking.reader(&snapshot)).await {
            Ok(all) => all.into_iter().map(|written| Turn::Done(Ok(written))).collect(),
            Err(failure) => ones.iter().map(|_| alone_or_away(state, &failure, lane)).collect(),
        },
    };
    // Announced before anybody is told, as a write by itself is.
    if turns.iter().any(|turn| matches!(turn, Turn::Done(Ok(_)))) {
        state.announce().await;
    }
    for (told, turn) in told.into_iter().zip(turns) {
        // Who has gone away meanwhile wants to know nothing.
        let _ = told.send(turn);
    }
}

/// After a refusal nothing is stored, and each is done by itself. When the database is away, or an answer is not understood,
/// nobody can say what is stored: doing it again might do it twice.
fn alone_or_away(state: &State, failure: &Failure, lane: &Lane) -> Turn {
    let of = |errors: Errors| match errors.0.iter().any(|error| error.code.status() >= 500) {
        true => Turn::Done(Err(errors)),
        false => Turn::Alone(None),
    };
    match failure {
        Failure::Sql(error) => {
            let taken_back = State::is_stale(error) || State::has_collided(error);
            if taken_back { Turn::Alone(None) } else { of(state.failure(error, &lane.collection)) }
        }
        Failure::Refused(errors) => of(errors.clone()),
    }
}

struct Batch<'a> {
    lane: &'a Lane,
    snapshot: &'a Snapshot,
    keys: Vec<String>,
    payloads: Vec<Payload>,
    stamps: Vec<Stamp>,
}

impl Batch<'_> {
    /// What each write has written, in their order.
    async fn run(&self, state: &State, reader: Reader<'_>) -> Result<Vec<Written>, Failure> {
        let collection = self.snapshot.collection(&self.lane.collection)?;
        let stamp = Stamp::together(&self.stamps).ok_or_else(Error::internal)?;
        match self.lane.kind {
            Kind::Create => {
                let statement = self.create(state, collection, reader, &stamp)?;
                self.created(&execute::rows_alone(&state.db, &statement).await?)
            }
            Kind::Update => match self.update(state, collection, reader, &stamp)? {
                Some(statement) => self.updated(&execute::rows_alone(&state.db, &statement).await?),
                None => Err(Error::internal().into()),
            },
            Kind::Delete => {
                let keys =
                    cascade::delete_alone(state, (self.snapshot, collection), &self.keys, (reader, &stamp));
                self.deleted(keys.await?)
            }
        }
    }

    fn create(
        &self,
        state: &State,
        collection: &Collection,
        reader: Reader<'_>,
        stamp: &Stamp,
    ) -> Result<Statement, Errors> {
        let event_ids: Vec<_> = self.payloads.iter().map(|_| state.ids.ordered()).collect();
        let fresh_keys: Vec<_> = match collection.key_source {
            KeySource::Uuid => self.payloads.iter().map(|_| state.ids.random()).collect(),
            _ => Vec::new(),
        };
        let needs = CreateNeeds { event_ids: &event_ids, fresh_keys: &fresh_keys };
        planner::plan_create(&self.payloads, &needs, &query(&self.lane.query)?, collection, reader, stamp)
    }

    fn update(
        &self,
        state: &State,
        collection: &Collection,
        reader: Reader<'_>,
        stamp: &Stamp,
    ) -> Result<Option<Statement>, Errors> {
        let event_ids: Vec<_> = self.keys.iter().map(|_| state.ids.ordered()).collect();
        let (keys, payloads) = (&self.keys[..], &self.payloads[..]);
        let change = UpdateChange { keys, payloads, event_ids: &event_ids, filter: None };
        planner::plan_update(&change, &query(&self.lane.query)?, collection, reader, stamp)
    }

    fn created(&self, rows: &[PgRow]) -> Result<Vec<Written>, Failure> {
        let row = rows.first().ok_or_else(Error::internal)?;
        let keys: Vec<String> = row.try_get("keys")?;
        let version: i64 = row.try_get("version")?;
        let items = each(row, keys.len())?;
        if keys.len() != self.payloads.len() {
            return Err(Error::internal().into());
        }
        let written = keys.into_iter().zip(items);
        Ok(written.map(|(key, items)| Written { items, keys: vec![key], version: Some(version) }).collect())
    }

    fn updated(&self, rows: &[PgRow]) -> Result<Vec<Written>, Failure> {
        let row = rows.first().ok_or_else(Error::internal)?;
        let keys: Vec<String> = row.try_get("keys")?;
        let versions: Vec<i64> = match self.keys.len() {
            1 => row.try_get::<Option<i64>, _>("version")?.into_iter().collect(),
            _ => row.try_get("versions")?,
        };
        let mut found: HashMap<String, (String, i64)> =
            keys.iter().cloned().zip(each(row, keys.len())?.into_iter().zip(versions)).collect();
        let written = self.keys.iter().map(|key| match found.remove(key) {
            Some((items, version)) => Written { items, keys: vec![key.clone()], version: Some(version) },
            None => Written { items: "[]".to_owned(), ..Written::default() },
        });
        Ok(written.collect())
    }

    fn deleted(&self, keys: Vec<String>) -> Result<Vec<Written>, Failure> {
        let gone: HashSet<String> = keys.into_iter().collect();
        let of = |key: &String| gone.contains(key).then(|| key.clone()).into_iter().collect();
        Ok(self.keys.iter().map(|key| Written { keys: of(key), ..Written::default() }).collect())
    }
}

/// The items of an answer, each as a list of its own; so many empty texts when nothing is shown.
fn each(row: &PgRow, count: usize) -> Result<Vec<String>, Failure> {
    let items: Option<&str> = row.try_get("items")?;
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(vec![String::new(); count]) };
    let items: Vec<&RawValue> = serde_json::from_str(items).map_err(|_| Error::internal())?;
    if items.len() != count {
        return Err(Error::internal().into());
    }
    Ok(items.iter().map(|item| format!("[{}]", item.get())).collect())
}
