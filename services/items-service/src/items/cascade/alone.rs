//! Deletions of items on which nothing hangs, which is the usual case: one statement finds out and does it.

use model::{Collection, Error, ErrorCode};
use planner::{Hanging, Reader, Reference, Stamp};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::super::version::VERSIONS;
use super::super::write::{CHUNK, Written};
use super::{has_consequences, keys_of, pointing_at};
use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system::versions;

/// Deletes items on which nothing hangs; gives the keys that were there.
///
/// # Errors
/// 409, and nothing is deleted: something hangs on one of them.
pub async fn delete_alone(
    state: &State,
    (snapshot, collection): (&Snapshot, &Collection),
    keys: &[String],
    (reader, stamp): (Reader<'_>, &Stamp),
) -> Result<Vec<String>, Failure> {
    if !has_consequences(snapshot, &collection.name) {
        let event_ids: Vec<Uuid> = keys.iter().map(|_| state.ids.ordered()).collect();
        let whole = planner::Deletion::Whole;
        let statement = planner::plan_delete(whole, keys, &event_ids, None, collection, reader, stamp)?;
        return Ok(Written::of(execute::rows_alone(&state.db, &statement).await?)?.keys);
    }
    let mut tx = execute::begin(&state.db).await?;
    let there =
        keys_of(&execute::rows(&mut tx, &planner::plan_lock(keys, None, collection, reader)?).await?)?;
    if !alone(&mut tx, state, (snapshot, collection), &there, (reader, &mut stamp.clone())).await? {
        tx.rollback().await?;
        return Err(Error::new(ErrorCode::Conflict).into());
    }
    execute::commit(tx).await?;
    Ok(there)
}

/// Deletes locked items if nothing hangs on them.
pub(super) async fn alone(
    conn: &mut PgConnection,
    state: &State,
    (snapshot, collection): (&Snapshot, &Collection),
    keys: &[String],
    (reader, stamp): (Reader<'_>, &mut Stamp),
) -> Result<bool, Failure> {
    if keys.is_empty() || keys.len() > CHUNK {
        return Ok(keys.is_empty());
    }
    let acting = pointing_at(&snapshot.catalog, &collection.name);
    let references: Vec<Reference<'_>> =
        acting.iter().filter_map(|acting| acting.reference(snapshot, collection)).collect();
    let kept = versions::are_kept(snapshot, &collection.name);
    let versions = kept.then(|| snapshot.collection(VERSIONS)).transpose()?.map(AsRef::as_ref);
    let event_ids: Vec<Uuid> = keys.iter().map(|_| state.ids.ordered()).collect();
    let how = planner::Deletion::Alone(Hanging { references: &references, versions });
    let statement = planner::plan_delete(how, keys, &event_ids, None, collection, reader, stamp)?;
    let rows = execute::rows(conn, &statement).await?;
    let alone = rows.first().map_or(Ok(false), |row| row.try_get("alone"))?;
    stamp.first_index += if alone { keys.len() } else { 0 };
    Ok(alone)
}
