//! What PostgreSQL would do by itself when items go (`CASCADE`, `SET NULL`, `SET DEFAULT`), done by statements of our
//! own, so that each change of it is an event.

use std::collections::{BTreeMap, BTreeSet};

use access::Access;
use model::{Collection, Error, Filter};
use planner::{Payload, Reader, Reference, Stamp, Statement};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::update;
use super::version::VERSIONS;
use super::write::{CHUNK, Ending, Written};
use super::{condition, once};
use crate::catalog::{Catalog, wire};
use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system::dependants;
use crate::system::rules::Rules;
use crate::system::versions;

use alone::alone;

pub use alone::delete_alone;

mod alone;

/// Keys by the collection they are of.
type Doomed = BTreeMap<String, BTreeSet<String>>;

/// What follows from a deletion is nobody's wish: no rights are asked for.
static EVERYTHING: Access = Access::admin();

/// Everything that follows from deleting some items.
#[derive(Debug, Default)]
struct Consequences {
    /// Items that go, those asked for among them.
    doomed: Doomed,
    /// Items whose reference is taken away, by collection and field, and what it becomes.
    released: BTreeMap<(String, String), (Value, BTreeSet<String>)>,
}

impl Consequences {
    /// The system's rules for what goes and changes beside what was asked for; `hanging` is of the same collection.
    fn rules(&self, collection: &str, hanging: &[String]) -> Rules {
        let mut rules = Rules::default();
        for (name, keys) in &self.doomed {
            let keys: Vec<String> = keys.iter().cloned().collect();
            rules.and_gone(name, &keys);
        }
        if !hanging.is_empty() {
            rules.and_gone(collection, hanging);
        }
        for ((name, field), (_, keys)) in &self.released {
            let keys: Vec<String> = keys.iter().cloned().collect();
            rules.and_changed(name, field, &keys);
        }
        rules
    }
}

/// What happens to items that refer to a deleted one.
#[derive(Debug, Clone, PartialEq)]
enum Effect {
    /// They are deleted, too.
    Goes,
    /// Their reference becomes this value.
    Becomes(Value),
}

/// A reference that something happens to.
#[derive(Debug, Clone)]
struct Acting<'a> {
    many: &'a str,
    column: &'a str,
    /// The column that is referred to; nothing means the key.
    target: Option<&'a str>,
    effect: Effect,
}

impl Acting<'_> {
    /// It, to items of `one`; nothing when it is in nobody's items.
    fn reference<'r>(&'r self, snapshot: &'r Snapshot, one: &'r Collection) -> Option<Reference<'r>> {
        let many = written(snapshot, self.many)?;
        Some(Reference { many, column: self.column, one, target: self.target.unwrap_or(&one.primary_key) })
    }
}

/// References to a collection that something happens to when its items go: by their foreign key, and those that the
/// system keeps by itself.
fn pointing_at<'a>(catalog: &'a Catalog, collection: &str) -> Vec<Acting<'a>> {
    let shipped = dependants::of(collection).map(|(many, column, effect)| {
        let effect = match effect {
            dependants::Effect::Goes => Effect::Goes,
            dependants::Effect::LetsGo => Effect::Becomes(Value::Null),
        };
        Acting { many, column, target: None, effect }
    });
    let mut all: Vec<Acting<'a>> = shipped.collect();
    let entries = catalog.collections.values();
    let keys = entries
        .flat_map(|entry| entry.relations.iter().filter_map(move |held| Some((entry, held.key.as_ref()?))));
    for (entry, key) in keys.filter(|(_, key)| key.foreign_key_table == collection) {
        let effect = match key.on_delete.as_str() {
            "CASCADE" => Effect::Goes,
            "SET NULL" => Effect::Becomes(Value::Null),
            "SET DEFAULT" => {
                let column = entry.field(&key.column).and_then(|field| field.column.as_ref());
                let default = column.and_then(|column| column.default_value.as_deref());
                Effect::Becomes(default.map_or(Value::Null, wire::default_value))
            }
            _ => continue,
        };
        if !all.iter().any(|known| known.many == key.table && known.column == key.column) {
            let target = Some(key.foreign_key_column.as_str());
            all.push(Acting { many: &key.table, column: &key.column, target, effect });
        }
    }
    all
}

/// A collection whose items are written; what is read from the log is nobody's to change.
fn written<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Collection> {
    snapshot.schema.collection(name).map(AsRef::as_ref).filter(|collection| collection.view.is_none())
}

/// Whether deleting items of a collection can change others.
pub fn has_consequences(snapshot: &Snapshot, collection: &str) -> bool {
    // Sessions and the like are nobody's items: PostgreSQL looks after them alone.
    let known = |acting: &Acting<'_>| written(snapshot, acting.many).is_some();
    versions::are_kept(snapshot, collection) || pointing_at(&snapshot.catalog, collection).iter().any(known)
}

/// A deletion that changes more than what was asked for.
pub struct Deletion<'a> {
    /// What plans are made against.
    pub snapshot: &'a Snapshot,
    /// Whose items.
    pub collection: &'a Collection,
    /// Which items.
    pub keys: &'a [String],
    /// What they must still fit once they are locked.
    pub filter: Option<&'a Filter>,
    /// On whose behalf.
    pub reader: Reader<'a>,
    /// What the events share; it goes on to what follows.
    pub stamp: &'a mut Stamp,
}

/// Deletes items, with all that follows, in one transaction; gives the keys that were there.
pub async fn delete(
    state: &State,
    deletion: Deletion<'_>,
    ending: Ending<'_>,
    mut rules: Rules,
) -> Result<Vec<String>, Failure> {
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, ending.once).await?;
    rules.before(&mut tx).await?;
    let (there, further) = within(&mut tx, state, deletion, ending).await?;
    rules.after(&mut tx).await?;
    further.after(&mut tx).await?;
    let written = Written { keys: there, ..Written::default() };
    once::keep(&mut tx, ending.once, &written).await?;
    execute::commit(tx).await?;
    let there = written.keys;
    if !there.is_empty() {
        if rules.moves_control() || further.moves_control() {
            state.announce_control().await;
        }
        state.announce().await;
    }
    Ok(there)
}

/// The same within a transaction; gives the keys that were there and the rules of what followed, which are still to be
/// asked at the transaction's end. What follows is logged with the deletion as its cause, if it is the deletion of one
/// item.
pub async fn within(
    conn: &mut PgConnection,
    state: &State,
    deletion: Deletion<'_>,
    ending: Ending<'_>,
) -> Result<(Vec<String>, Rules), Failure> {
    let Deletion { snapshot, collection, keys, filter, reader, stamp } = deletion;
    let admin = Reader { access: &EVERYTHING, ..reader };
    let there = keys_of(&execute::rows(conn, &planner::plan_lock(keys, filter, collection, reader)?).await?)?;
    if ending.reached.is_some_and(|reached| there.len() < reached) {
        return Err(Error::forbidden().into());
    }
    if ending.condition.is_some() {
        let version = condition::version_of(&mut *conn, collection, there.first()).await?;
        condition::hold(ending.condition, version)?;
    }
    if alone(conn, state, (snapshot, collection), &there, (admin, stamp)).await? {
        return Ok((there, Rules::default()));
    }
    let mut consequences = Consequences::default();
    consequences.doomed.insert(collection.name.clone(), there.iter().cloned().collect());
    find(conn, snapshot, collection, &there, &mut consequences).await?;
    // Those of the same collection go in one statement, the ones that were asked for first.
    let own = consequences.doomed.remove(&collection.name).unwrap_or_default();
    let hanging: Vec<String> = own.iter().filter(|key| !there.contains(key)).cloned().collect();
    let event_ids: Vec<Uuid> = there.iter().chain(&hanging).map(|_| state.ids.ordered()).collect();
    let cause = if there.len() == 1 { event_ids.first().copied() } else { None };
    let mut inner =
        Stamp { causation_id: cause.or(stamp.causation_id), depth: stamp.depth + 1, ..stamp.clone() };
    let mut further = consequences.rules(&collection.name, &hanging);
    further.before(conn).await?;
    for ((name, field), (value, released)) in &consequences.released {
        let doomed = if *name == collection.name { Some(&own) } else { consequences.doomed.get(name) };
        let stays = |key: &&String| !doomed.is_some_and(|doomed| doomed.contains(*key));
        let released: Vec<String> = released.iter().filter(stays).cloned().collect();
        let mut change = json!({ field: value });
        if (name.as_str(), field.as_str()) == ("directus_users", "role") {
            // Who has lost his role must not come in by what his policies alone allow.
            change["status"] = json!("suspended");
        }
        let holder = snapshot.collection(name)?;
        release(conn, state, (holder, admin), &change, &released, &mut inner).await?;
    }
    // All are logged before any goes: PostgreSQL takes along what hangs on an item, in a circle or on its own kind.
    let all: Vec<String> = there.iter().chain(&hanging).cloned().collect();
    let mut removals = Vec::new();
    for name in in_order(&snapshot.catalog, &consequences.doomed) {
        let doomed: Vec<String> = consequences.doomed[&name].iter().cloned().collect();
        let event_ids: Vec<Uuid> = doomed.iter().map(|_| state.ids.ordered()).collect();
        let collection = snapshot.collection(&name)?;
        removals.extend(log(conn, collection, &doomed, &event_ids, (admin, &mut inner)).await?);
    }
    stamp.first_index = inner.first_index;
    removals.extend(log(conn, collection, &all, &event_ids, (admin, stamp)).await?);
    for removal in &removals {
        execute::rows(conn, removal).await?;
    }
    Ok((there, further))
}

/// Follows the references, locking what it finds, until nothing new is found.
async fn find(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &Collection,
    keys: &[String],
    consequences: &mut Consequences,
) -> Result<(), Failure> {
    let mut open: Vec<(String, Vec<String>)> = vec![(collection.name.clone(), keys.to_vec())];
    while let Some((name, keys)) = open.pop() {
        let one = snapshot.collection(&name)?;
        if versions::are_kept(snapshot, &name) {
            let versions = snapshot.collection(VERSIONS)?;
            let found =
                keys_of(&execute::rows(conn, &planner::plan_versions_of(&keys, one, versions)?).await?)?;
            if !found.is_empty() {
                consequences.doomed.entry(VERSIONS.to_owned()).or_default().extend(found);
            }
        }
        for acting in pointing_at(&snapshot.catalog, &name) {
            let Some(reference) = acting.reference(snapshot, one) else { continue };
            let many = reference.many;
            let found = keys_of(&execute::rows(conn, &planner::plan_referring(&reference, &keys)?).await?)?;
            match &acting.effect {
                _ if found.is_empty() => {}
                Effect::Goes => {
                    let doomed = consequences.doomed.entry(many.name.clone()).or_default();
                    let new: Vec<String> =
                        found.into_iter().filter(|found| doomed.insert(found.clone())).collect();
                    if !new.is_empty() {
                        open.push((many.name.clone(), new));
                    }
                }
                Effect::Becomes(value) => {
                    let held = (many.name.clone(), acting.column.to_owned());
                    consequences
                        .released
                        .entry(held)
                        .or_insert_with(|| (value.clone(), BTreeSet::new()))
                        .1
                        .extend(found);
                }
            }
        }
    }
    Ok(())
}

/// The column `key` of some rows.
fn keys_of(rows: &[PgRow]) -> Result<Vec<String>, Failure> {
    Ok(rows.iter().map(|row| row.try_get("key")).collect::<Result<_, sqlx::Error>>()?)
}

/// Collections so that those that refer come before those that are referred to.
fn in_order(catalog: &Catalog, doomed: &Doomed) -> Vec<String> {
    let mut order: Vec<String> = Vec::with_capacity(doomed.len());
    let mut left: Vec<&String> = doomed.keys().collect();
    while !left.is_empty() {
        let refers = |name: &String, other: &String| {
            pointing_at(catalog, name).iter().any(|acting| acting.many == other && acting.many != name)
        };
        // In a circle there is no order: the first goes, and PostgreSQL takes what hangs on it along.
        let free = left.iter().position(|name| !left.iter().any(|other| refers(name, other)));
        order.push(left.remove(free.unwrap_or(0)).clone());
    }
    order
}

/// Appends the events of deletions; gives the statements that make them.
async fn log(
    conn: &mut PgConnection,
    collection: &Collection,
    keys: &[String],
    event_ids: &[Uuid],
    (reader, stamp): (Reader<'_>, &mut Stamp),
) -> Result<Vec<Statement>, Failure> {
    let mut removals = Vec::new();
    for (keys, event_ids) in keys.chunks(CHUNK).zip(event_ids.chunks(CHUNK)) {
        let how = planner::Deletion::Log;
        let statement = planner::plan_delete(how, keys, event_ids, None, collection, reader, stamp)?;
        execute::rows(conn, &statement).await?;
        stamp.first_index += keys.len();
        removals.push(planner::plan_removal(keys, collection)?);
    }
    Ok(removals)
}

/// Takes a reference away. Nobody edits these items: who and when was the last stays as it is.
async fn release(
    conn: &mut PgConnection,
    state: &State,
    (collection, reader): (&Collection, Reader<'_>),
    change: &Value,
    keys: &[String],
    stamp: &mut Stamp,
) -> Result<(), Failure> {
    let payloads: Vec<Payload> = planner::parse_payloads(change.to_string().as_bytes())?.0;
    let groups = update::groups(keys, payloads, false);
    update::within(conn, state, &groups, (&collection.unstamped(), reader), stamp).await.map(drop)
}

/// Items that would go or change by themselves if these went: collection and key. They are locked.
pub async fn referring(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    collection: &Collection,
    keys: &[String],
) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for acting in pointing_at(&snapshot.catalog, &collection.name) {
        let Some(many) = snapshot.schema.collection(acting.many) else { continue };
        let target = acting.target.unwrap_or(&collection.primary_key);
        let reference = Reference { many, column: acting.column, one: collection, target };
        let found = keys_of(&execute::rows(conn, &planner::plan_referring(&reference, keys)?).await?)?;
        // Those that go with them in the same breath don't count.
        let stays = |key: &String| many.name != collection.name || !keys.contains(key);
        all.extend(found.into_iter().filter(stays).map(|key| (many.name.clone(), key)));
    }
    Ok(all)
}
