//! What PostgreSQL would do by itself when items go (`CASCADE`, `SET NULL`, `SET DEFAULT`), done by statements of our
//! own, so that each change of it is an event.

use std::collections::{BTreeMap, BTreeSet};

use access::Access;
use model::{Collection, Error, Errors, Filter, Special};
use planner::{Payload, Reference, Stamp, Statement, UpdateChange};
use query::Query;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::write::{Beside, CHUNK};
use crate::catalog::rows::ForeignKeyRow;
use crate::catalog::{Catalog, wire};
use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Keys by the collection they are of.
type Doomed = BTreeMap<String, BTreeSet<String>>;

/// Everything that follows from deleting some items.
#[derive(Debug, Default)]
struct Consequences {
    /// Items that go, those asked for among them.
    doomed: Doomed,
    /// Items whose reference is taken away, by collection and field.
    released: BTreeMap<(String, String), BTreeSet<String>>,
}

/// Foreign keys that point at a collection and act when its items go.
fn pointing_at<'a>(catalog: &'a Catalog, collection: &str) -> Vec<&'a ForeignKeyRow> {
    let all = catalog.collections.values().flat_map(|entry| &entry.relations);
    let keys = all.filter_map(|relation| relation.key.as_ref());
    let acting =
        |key: &&ForeignKeyRow| matches!(key.on_delete.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT");
    keys.filter(acting).filter(|key| key.foreign_key_table == collection).collect()
}

/// Whether deleting items of a collection can change others.
pub fn has_consequences(snapshot: &Snapshot, collection: &str) -> bool {
    // Sessions and the like are nobody's items: PostgreSQL looks after them alone.
    pointing_at(&snapshot.catalog, collection)
        .iter()
        .any(|key| snapshot.schema.collection(&key.table).is_some())
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
    pub access: &'a Access,
    /// What the events share.
    pub stamp: &'a Stamp,
}

/// Deletes items, with all that follows, in one transaction; gives the keys that were there. What follows is logged
/// with the deletion as its cause, if it is the deletion of one item.
pub async fn delete(
    state: &State,
    deletion: Deletion<'_>,
    reached: Option<usize>,
    mut beside: Beside<'_>,
) -> Result<Vec<String>, Failure> {
    let Deletion { snapshot, collection, keys, filter, access, stamp } = deletion;
    let mut tx = state.db.begin().await?;
    let conn = &mut *tx;
    beside.before(conn, state).await?;
    let there = keys_of(&execute::rows(conn, &planner::plan_lock(keys, filter, collection, access)?).await?)?;
    if reached.is_some_and(|reached| there.len() < reached) {
        return Err(Error::forbidden().into());
    }
    let mut consequences = Consequences::default();
    consequences.doomed.insert(collection.name.clone(), there.iter().cloned().collect());
    find(conn, snapshot, collection, &there, &mut consequences).await?;
    // Those of the same collection go in one statement, the ones that were asked for first.
    let own = consequences.doomed.remove(&collection.name).unwrap_or_default();
    let hanging: Vec<String> = own.iter().filter(|key| !there.contains(key)).cloned().collect();
    let event_ids: Vec<Uuid> = there.iter().chain(&hanging).map(|_| state.ids.ordered()).collect();
    let cause = if there.len() == 1 { event_ids.first().copied() } else { None };
    let inner = Stamp { causation_id: cause.or(stamp.causation_id), depth: stamp.depth + 1, ..stamp.clone() };
    for ((name, field), released) in &consequences.released {
        let doomed = if *name == collection.name { Some(&own) } else { consequences.doomed.get(name) };
        let stays = |key: &&String| !doomed.is_some_and(|doomed| doomed.contains(*key));
        let released: Vec<String> = released.iter().filter(stays).cloned().collect();
        run(conn, &release(state, snapshot, name, field, &released, &inner)?).await?;
    }
    for name in in_order(&snapshot.catalog, &consequences.doomed) {
        let doomed: Vec<String> = consequences.doomed[&name].iter().cloned().collect();
        run(conn, &removal(state, snapshot, &name, &doomed, &inner)?).await?;
    }
    let all: Vec<String> = there.iter().chain(&hanging).cloned().collect();
    let size = chunk(snapshot, &collection.name, &all);
    for (keys, event_ids) in all.chunks(size).zip(event_ids.chunks(size)) {
        run(conn, &[planner::plan_delete(keys, event_ids, None, collection, &Access::admin(), stamp)?])
            .await?;
    }
    beside.rules.after(conn).await?;
    tx.commit().await?;
    if !there.is_empty() {
        beside.announce(state).await;
    }
    Ok(there)
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
        for key in pointing_at(&snapshot.catalog, &name) {
            let Some(many) = snapshot.schema.collection(&key.table) else { continue };
            let found = referring(conn, snapshot, key, many, &keys).await?;
            if found.is_empty() {
                continue;
            }
            if key.on_delete == "CASCADE" {
                let doomed = consequences.doomed.entry(many.name.clone()).or_default();
                let new: Vec<String> =
                    found.into_iter().filter(|found| doomed.insert(found.clone())).collect();
                if !new.is_empty() {
                    open.push((many.name.clone(), new));
                }
            } else {
                let held = (many.name.clone(), key.column.clone());
                consequences.released.entry(held).or_default().extend(found);
            }
        }
    }
    Ok(())
}

/// Keys of the items that refer to these, locked.
async fn referring(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    key: &ForeignKeyRow,
    many: &Collection,
    keys: &[String],
) -> Result<Vec<String>, Failure> {
    let one = snapshot.schema.collection(&key.foreign_key_table).ok_or_else(Error::internal)?;
    let reference = Reference { many, column: &key.column, one, target: &key.foreign_key_column };
    keys_of(&execute::rows(conn, &planner::plan_referring(&reference, keys)?).await?)
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
            pointing_at(catalog, name).iter().any(|key| key.table == *other && key.table != *name)
        };
        // In a circle there is no order: the first goes, and PostgreSQL takes what hangs on it along.
        let free = left.iter().position(|name| !left.iter().any(|other| refers(name, other)));
        order.push(left.remove(free.unwrap_or(0)).clone());
    }
    order
}

fn removal(
    state: &State,
    snapshot: &Snapshot,
    name: &str,
    keys: &[String],
    stamp: &Stamp,
) -> Result<Vec<Statement>, Errors> {
    let collection = snapshot.collection(name)?;
    let size = chunk(snapshot, name, keys);
    let statements = keys.chunks(size).map(|keys| {
        let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
        planner::plan_delete(keys, &event_ids, None, collection, &Access::admin(), stamp)
    });
    statements.collect()
}

/// Items that hang on one another go in one statement: else PostgreSQL would take the later ones along with the earlier.
fn chunk(snapshot: &Snapshot, name: &str, keys: &[String]) -> usize {
    let on_itself = pointing_at(&snapshot.catalog, name).iter().any(|key| key.table == name);
    if on_itself { keys.len().max(1) } else { CHUNK }
}

fn release(
    state: &State,
    snapshot: &Snapshot,
    name: &str,
    field: &str,
    keys: &[String],
    stamp: &Stamp,
) -> Result<Vec<Statement>, Errors> {
    let collection = &unstamped(snapshot.collection(name)?);
    let relation = snapshot.catalog.relation(name, field);
    let to_default =
        relation.and_then(|relation| relation.key.as_ref()).is_some_and(|key| key.on_delete == "SET DEFAULT");
    let default =
        snapshot.catalog.field(name, field).and_then(|field| field.column.as_ref()?.default_value.clone());
    let value = match default.filter(|_| to_default) {
        Some(sql) => wire::default_value(&sql),
        None => serde_json::Value::Null,
    };
    let body = serde_json::json!({ field: value }).to_string();
    let payloads: Vec<Payload> = planner::parse_payloads(body.as_bytes())?.0;
    let nothing = Query { fields: Some(vec![collection.primary_key.clone()]), ..Query::default() };
    let statements = keys.chunks(CHUNK).map(|keys| {
        let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
        let change =
            UpdateChange { keys, payloads: &payloads, event_ids: &event_ids, first_index: 0, filter: None };
        planner::plan_update(&change, &nothing, collection, &Access::admin(), stamp)
    });
    Ok(statements.collect::<Result<Vec<_>, Errors>>()?.into_iter().flatten().collect())
}

/// Nobody edits the items that are released: who and when was the last stays as it is.
pub fn unstamped(collection: &Collection) -> Collection {
    let stamps = |special: &Special| {
        matches!(special, Special::DateUpdated | Special::UserUpdated | Special::RoleUpdated)
    };
    let mut unstamped = collection.clone();
    unstamped.fields.iter_mut().for_each(|field| field.special.retain(|special| !stamps(special)));
    unstamped
}

async fn run(conn: &mut PgConnection, statements: &[Statement]) -> Result<(), Failure> {
    for statement in statements {
        execute::rows(conn, statement).await?;
    }
    Ok(())
}
