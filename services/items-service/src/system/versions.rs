//! What versions of items have to be: made for an item of a collection that keeps versions, under a key of their own.

use std::collections::BTreeSet;

use model::Error;
use planner::{Payload, Reader};
use serde_json::value::RawValue;
use sqlx::{PgConnection, Row as _};

use crate::execute;
use crate::failure::Failure;
use crate::items::version::VERSIONS;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Advisory lock of writes that give keys to versions: of two at once the second sees the first one's.
const KEYS: i64 = 7_306_085_843;

/// The item itself.
const MAIN: &str = "main";

/// Whether a collection keeps versions of its items.
pub fn are_kept(snapshot: &Snapshot, collection: &str) -> bool {
    let entry = snapshot.catalog.collections.get(collection).filter(|entry| !entry.system);
    entry.and_then(|entry| entry.meta.as_ref()).is_some_and(|meta| meta.versioning)
}

/// Checks the payloads of new versions, and adds what the item is like now.
pub async fn made(
    state: &State,
    snapshot: &Snapshot,
    reader: Reader<'_>,
    payloads: &mut [Payload],
) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    for payload in &*payloads {
        check_members(payload, &["key", "name", "collection", "item"], &["key", "collection", "item"])?;
        let own = ["collection", "item", "key"].map(|name| text(payload, name).unwrap_or_default());
        if !known.insert(own.clone()) {
            let [collection, item, key] = own;
            let reason = format!(
                "Cannot create multiple versions on \"{item}\" in collection \"{collection}\" with the same key \"{key}\""
            );
            return Err(Error::unprocessable(reason).into());
        }
    }
    for payload in payloads {
        let name = text(payload, "collection").unwrap_or_default();
        let collection = snapshot.schema.collection(&name).ok_or_else(Error::forbidden)?;
        if !are_kept(snapshot, &name) {
            let reason = format!("Content Versioning is not enabled for collection \"{name}\"");
            return Err(Error::unprocessable(reason).into());
        }
        let field = collection.key().ok_or_else(Error::internal)?;
        let item = planner::parse_key(&text(payload, "item").unwrap_or_default(), field)?;
        let seen =
            planner::plan_read_keys(std::slice::from_ref(&item), &only(&field.name), collection, reader)?;
        let row = execute::row_alone(&state.db, &seen.statement, true).await?.ok_or_else(Error::internal)?;
        let hashes = planner::plan_hashes(std::slice::from_ref(&item), collection)?;
        let hash = execute::row_alone(&state.db, &hashes, true).await?;
        let hash = hash.filter(|_| row.try_get::<&str, _>("items").is_ok_and(|items| items != "[]"));
        let hash: String = hash.ok_or_else(Error::forbidden)?.try_get("hash")?;
        payload.set_text("item", &item)?;
        payload.set_text("hash", &hash)?;
    }
    Ok(())
}

/// Checks changes of versions; `each` names its version by its key.
pub fn changed(payloads: &[Payload], each: bool) -> Result<(), Error> {
    let allowed: &[&str] = if each { &["id", "key", "name"] } else { &["key", "name"] };
    payloads.iter().try_for_each(|payload| check_members(payload, allowed, &[]))
}

/// The members that a payload may have and must have, with the values that they may have.
fn check_members(payload: &Payload, allowed: &[&str], required: &[&str]) -> Result<(), Error> {
    if let Some(missing) = required.iter().find(|name| payload.get(name).is_none()) {
        return Err(Error::invalid_payload(format!("\"{missing}\" is required")));
    }
    for name in ["key", "name", "collection", "item"].into_iter().filter(|name| allowed.contains(name)) {
        let Some(raw) = payload.get(name).map(RawValue::get) else { continue };
        if raw == "null" && name == "name" {
            continue;
        }
        match text(payload, name) {
            None => return Err(Error::invalid_payload(format!("\"{name}\" must be a string"))),
            Some(text) if text.is_empty() => {
                return Err(Error::invalid_payload(format!("\"{name}\" is not allowed to be empty")));
            }
            Some(_) => {}
        }
    }
    if let Some((name, _)) = payload.iter().find(|(name, _)| !allowed.contains(name)) {
        return Err(Error::invalid_payload(format!("\"{name}\" is not allowed")));
    }
    match text(payload, "key").as_deref() {
        Some(MAIN) => Err(Error::invalid_payload(format!("\"{MAIN}\" is a reserved version key"))),
        _ => Ok(()),
    }
}

/// The keys that payloads give to versions.
pub fn keys(collection: &str, payloads: &[Payload]) -> Vec<String> {
    let given = payloads.iter().filter(|_| collection == VERSIONS);
    given.filter_map(|payload| text(payload, "key")).collect()
}

/// Waits for others who give keys.
pub async fn queue(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(KEYS).execute(conn).await.map(drop)
}

/// An item has each of these keys once.
pub async fn check_keys(conn: &mut PgConnection, keys: &[String]) -> Result<(), Failure> {
    const TWICE: &str =
        "SELECT collection::text, item::text, key::text FROM directus_versions WHERE key = ANY($1)
        GROUP BY collection, item, key HAVING count(*) > 1 LIMIT 1";
    let Some(row) = sqlx::query(TWICE).bind(keys).fetch_optional(conn).await? else { return Ok(()) };
    let (collection, item, key): (String, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let reason =
        format!("Version \"{key}\" already exists for item \"{item}\" in collection \"{collection}\"");
    Err(Error::unprocessable(reason).into())
}

/// The text of a member.
fn text(payload: &Payload, name: &str) -> Option<String> {
    serde_json::from_str(payload.get(name)?.get()).ok()
}

fn only(field: &str) -> query::Query {
    query::Query { fields: Some(vec![field.to_owned()]), ..query::Query::default() }
}
