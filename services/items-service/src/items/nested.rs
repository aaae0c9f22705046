//! Writing items with others nested in them: level by level in one transaction, each level by set-based statements, the
//! events appended at its end, those of nested items after those of the items that they are nested in.

use std::collections::HashSet;

use access::Action;
use bytes::Bytes;
use model::{Collection, Error, Filter};
use planner::{Appended, KeyText, Payload, Reader, Stamp};
use rpc::Caller;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::cascade::{self, Deletion};
use super::judge::Judging;
use super::update::Group;
use super::write::{CHUNK, Ending, Written, read_back};
use super::{condition, once};
use crate::execute;
use crate::failure::Failure;
use crate::filter::Question;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system::payload;
use crate::system::rules::Rules;

mod changes;
mod level;
mod lists;

/// Whether any of these payloads has other items in it.
pub fn any(payloads: &[Payload], collection: &Collection) -> bool {
    payloads.iter().any(|payload| planner::is_nested(payload, collection))
}

/// An item that is to be written, with all that is nested in it.
#[derive(Debug)]
pub struct Wanted {
    /// What was sent.
    pub payload: Payload,
    /// Which item it is.
    pub whose: Whose,
    /// The event of the item that it is nested in, by its place in the log of the write.
    pub cause: Option<usize>,
}

impl Wanted {
    /// Nested in nothing.
    pub fn top(payload: Payload, whose: Whose) -> Self {
        Self { payload, whose, cause: None }
    }
}

/// Which item is written.
#[derive(Debug, Clone)]
pub enum Whose {
    /// A new one.
    New,
    /// These present ones, all in the same way.
    These(Vec<KeyText>),
    /// This one, which must be there.
    Named(KeyText),
    /// This one; who may write everything is told nothing when it is not there, as in changes of items by their keys.
    IfThere(KeyText),
    /// The one whose key the payload names if it is there, else a new one.
    Either,
}

/// An event that is appended at the end, if anything came of it.
#[derive(Debug)]
struct Slot {
    id: Uuid,
    causation_id: Option<Uuid>,
    depth: i16,
    event: Option<Appended>,
}

/// Items that go because they were taken out of a list.
struct Doomed<'a> {
    collection: &'a Collection,
    keys: Vec<KeyText>,
    cause: Option<usize>,
}

/// Who writes, against what.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// This process.
    pub state: &'a State,
    /// On whose behalf.
    pub caller: &'a Caller,
    /// What plans are made against.
    pub snapshot: &'a Snapshot,
    /// With what rights.
    pub reader: Reader<'a>,
    /// What the events share.
    pub stamp: &'a Stamp,
}

/// A write under way.
struct Work<'a> {
    place: Place<'a>,
    conn: &'a mut PgConnection,
    slots: Vec<Slot>,
    rules: Vec<Rules>,
    doomed: Vec<Doomed<'a>>,
    /// It will be taken back: nobody is asked about it, and nothing of it is logged.
    rehearsed: bool,
    /// Hooks were asked about the items that are nested in nothing, and those were made ready.
    ready: bool,
}

/// Writes items of a collection with all that is nested in them. Filter hooks were asked about them and they were made
/// ready ([`payload::prepare`]); both is done here for what is nested. Items that no longer fit `filter` stay as they
/// are.
pub async fn write<'a>(
    place: Place<'a>,
    collection: &'a Collection,
    wanted: Vec<Wanted>,
    filter: Option<&Filter>,
    ending: Ending<'_>,
) -> Result<Written, Failure> {
    let Place { state, .. } = place;
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, ending.once).await?;
    if let Some(held) = ending.held {
        held.check(&mut tx).await?;
    }
    let before = before(&mut tx, collection, &wanted, ending).await?;
    if before.is_none() && place.reader.access.skips_missing() {
        // Others are told below that they may not: it may only be out of their reach.
        condition::hold(ending.condition, before)?;
    }
    let (keys, moves_control) = within(&mut tx, place, collection, wanted, filter).await?;
    let mut seen = HashSet::new();
    let keys: Vec<KeyText> = keys.into_iter().flatten().filter(|key| seen.insert(key.clone())).collect();
    // Only now: who may not write the item learns nothing of its version.
    condition::hold(ending.condition, before)?;
    let only = keys.first().filter(|_| keys.len() == 1);
    let version = condition::version_of(&mut *tx, collection, only).await?;
    let written = Written { items: read_back(&mut tx, &keys, ending).await?, keys, version };
    once::keep(&mut tx, ending.once, &written).await?;
    execute::commit(tx).await?;
    if moves_control {
        state.announce_control().await;
    }
    state.announce().await;
    Ok(written)
}

/// The same in a transaction that does more than that, without a look at its end: the keys of each wanted item, and
/// whether a control row has moved.
pub async fn within<'a>(
    conn: &'a mut PgConnection,
    place: Place<'a>,
    collection: &'a Collection,
    wanted: Vec<Wanted>,
    filter: Option<&Filter>,
) -> Result<(Vec<Vec<KeyText>>, bool), Failure> {
    let mut work = Work::new(conn, place);
    let keys = work.level(collection, wanted, (filter, 0)).await?;
    Ok((keys, work.finish().await?))
}

/// The same for a look at what would be, in a transaction that is taken back: collections and keys of the items that
/// would be new.
pub async fn rehearse<'a>(
    conn: &'a mut PgConnection,
    place: Place<'a>,
    collection: &'a Collection,
    wanted: Vec<Wanted>,
) -> Result<HashSet<(String, KeyText)>, Failure> {
    let mut work = Work { rehearsed: true, ..Work::new(conn, place) };
    work.level(collection, wanted, (None, 0)).await?;
    let events = work.slots.iter().filter_map(|slot| slot.event.as_ref());
    let new = events.filter(|event| event.previous.is_none() && event.name.ends_with(".create"));
    let new = new.map(|event| (event.collection.clone(), event.key.clone())).collect();
    work.finish().await?;
    Ok(new)
}

/// Writes items within a transaction of the caller's: those whose keys are there change, the others are made. The filter
/// hooks are asked here about all of them. Whether a control row has moved.
pub async fn either<'a>(
    place: Place<'a>,
    conn: &'a mut PgConnection,
    collection: &'a Collection,
    payloads: Vec<Payload>,
) -> Result<bool, Failure> {
    let wanted = payloads.into_iter().map(|payload| Wanted::top(payload, Whose::Either)).collect();
    let mut work = Work { ready: false, ..Work::new(conn, place) };
    work.level(collection, wanted, (None, 0)).await?;
    work.finish().await
}

/// The version of the one item of a write under a condition, which is locked from now on.
async fn before(
    conn: &mut PgConnection,
    collection: &Collection,
    wanted: &[Wanted],
    ending: Ending<'_>,
) -> Result<Option<i64>, Failure> {
    let keys: &[KeyText] = match wanted {
        _ if ending.condition.is_none() => &[],
        [Wanted { whose: Whose::Named(key) | Whose::IfThere(key), .. }] => std::slice::from_ref(key),
        [Wanted { whose: Whose::These(keys), .. }] => keys,
        _ => &[],
    };
    if keys.is_empty() {
        return Ok(None);
    }
    let rows = execute::rows(conn, &planner::plan_present(keys, collection)?).await?;
    let there = rows.first().map(|row| row.try_get("key")).transpose()?;
    Ok(condition::version_of(conn, collection, there.as_ref()).await?)
}

impl<'a> Work<'a> {
    fn new(conn: &'a mut PgConnection, place: Place<'a>) -> Self {
        Self {
            place,
            conn,
            slots: Vec::new(),
            rules: Vec::new(),
            doomed: Vec::new(),
            rehearsed: false,
            ready: true,
        }
    }

    /// Appends the events, deletes what was taken out of lists, and asks the rules that must hold in the end. Whether a
    /// control row has moved.
    async fn finish(&mut self) -> Result<bool, Failure> {
        let Place { state, snapshot, reader, stamp, .. } = self.place;
        let ids: Vec<Uuid> = self.slots.iter().map(|slot| slot.id).collect();
        let events = self.slots.iter_mut().filter_map(|slot| slot.event.take()).collect();
        let events = planner::in_order(events);
        let mut log = stamp.clone();
        for chunk in events.chunks(CHUNK).filter(|_| !self.rehearsed) {
            execute::rows(self.conn, &planner::plan_append(chunk, &log)).await?;
            log.first_index += chunk.len();
        }
        let mut gone = HashSet::new();
        for Doomed { collection, mut keys, cause } in std::mem::take(&mut self.doomed) {
            keys.retain(|key| gone.insert((&collection.name, key.clone())));
            if keys.is_empty() {
                continue;
            }
            if !reader.access.allows(&collection.name, Action::Delete) {
                return Err(Error::forbidden_collection(&collection.name).into());
            }
            let causation_id = cause.and_then(|cause| ids.get(cause)).copied().or(stamp.causation_id);
            let mut own = Stamp { causation_id, depth: stamp.depth + 1, ..log.clone() };
            let mut rules = Rules::delete(collection, &keys);
            rules.before(self.conn).await?;
            let deletion =
                Deletion { snapshot, collection, keys: &keys, filter: None, reader, stamp: &mut own };
            let ending = Ending { reached: Some(keys.len()), ..Ending::default() };
            let (_, further) = cascade::within(self.conn, state, deletion, ending).await?;
            self.rules.extend([rules, further]);
            log.first_index = own.first_index;
        }
        for rules in &self.rules {
            rules.after(self.conn).await?;
        }
        Ok(self.rules.iter().any(Rules::moves_control))
    }

    /// A place in the log for each of so many items.
    fn reserve(&mut self, cause: Option<usize>, count: usize) -> Result<std::ops::Range<usize>, Error> {
        let Place { state, stamp, .. } = self.place;
        let (causation_id, depth) = match cause.and_then(|cause| self.slots.get(cause)) {
            Some(slot) => (Some(slot.id), slot.depth.saturating_add(1)),
            None => (stamp.causation_id, stamp.depth),
        };
        let first = self.slots.len();
        state.limits.check_batch(first.saturating_add(count))?;
        let slot = |_| Slot { id: state.ids.ordered(), causation_id, depth, event: None };
        self.slots.extend((0..count).map(slot));
        Ok(first..self.slots.len())
    }

    /// Asks the filter hooks about nested items, if any is registered, judges their payloads and makes them ready. With
    /// the keys of present items, one per payload.
    async fn prepare(
        &mut self,
        payloads: Vec<Payload>,
        keys: &[KeyText],
        collection: &Collection,
        action: Action,
    ) -> Result<Vec<Payload>, Failure> {
        let Place { state, caller, snapshot, reader, stamp } = self.place;
        let mut payloads = payloads;
        let name = if action == Action::Create { "create" } else { "update" };
        let event = format!("{}.{name}", collection.scope());
        if !payloads.is_empty() && !self.rehearsed && snapshot.has_filter(&event, &collection.name) {
            let payload = Bytes::from(serde_json::to_vec(&payloads).map_err(|_| Error::internal())?);
            let question = Question { event: &event, collection: &collection.name, payload, keys };
            let (changed, _) = planner::parse_payloads(&state.filters.ask(question, caller).await?)?;
            if changed.len() != payloads.len() {
                return Err(Error::internal().into());
            }
            payloads = changed;
        }
        let judging = Judging::within(self.conn, (collection, action), reader, stamp).await?;
        judging.admit(&mut payloads)?;
        if action == Action::Update && judging.has_rules() {
            let one = |(key, payload): (&KeyText, &Payload)| Group {
                keys: vec![key.clone()],
                payloads: vec![payload.clone()],
            };
            let groups = keys.iter().zip(&payloads).map(one).collect();
            if let Some(held) = judging.held(Some(groups), None) {
                held.check(self.conn).await?;
            }
        }
        payload::prepare(&mut payloads, collection, action, state.storing(judging.reader)).await?;
        Ok(payloads)
    }
}
