//! The decision to erase: the items go where that is wanted, then the events and the parts of the work are written down
//! together.

use std::collections::HashMap;

use event_store::NewEvent;
use model::{Errors, EventName};
use proto::items::v1 as pb;
use proto::items::v1::delete_items_request::Target;
use rpc::Caller;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::wish::{Items, Wish};
use crate::execute;
use crate::failure::Failure;
use crate::items::moment::away;
use crate::items::{CHUNK, delete as deletion};
use crate::state::State;

/// Saved versions of items: those that are there, and those that the log knows.
pub const SAVED: &str = "SELECT item::text AS item, id::text AS id FROM directus_versions \
    WHERE collection = $1 AND item = ANY($2) \
    UNION SELECT body.item, body.id FROM (SELECT e.key AS id, coalesce(e.payload, e.previous) ->> 'item' AS item, \
    coalesce(e.payload, e.previous) ->> 'collection' AS collection FROM eventus.events e \
    WHERE e.collection = 'directus_versions' AND e.name IN ('versions.create', 'versions.delete')) body \
    WHERE body.collection = $1 AND body.item = ANY($2)";

const PART: &str = "INSERT INTO eventus.erasures \
    (id, part, collection, key_field, keys, saved, fields, upto, deleted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The work on users walks the whole log; it begins where the log does.
const USERS_PART: &str = "INSERT INTO eventus.erasures (id, part, users, upto, done) VALUES ($1, $2, $3, $4, \
    coalesce((SELECT position - 1 FROM eventus.events ORDER BY position LIMIT 1), 0))";

/// Deletes the items, where that is wanted: as any deletion, with all that it may refuse. Gives how many went.
pub async fn delete(state: &State, caller: &Caller, wish: &Wish) -> Result<i64, Errors> {
    let Some(items) = wish.items.as_ref().filter(|items| items.delete) else { return Ok(0) };
    let target = Some(Target::Keys(pb::Keys { keys: items.keys.clone() }));
    let request =
        pb::DeleteItemsRequest { collection: items.collection.clone(), target, ..Default::default() };
    let done = deletion::items(state, caller, request).await?;
    Ok(i64::try_from(done.keys.len()).unwrap_or(i64::MAX))
}

/// Appends the events and writes the parts down. Gives the erasure's id.
pub async fn write_down(state: &State, caller: &Caller, wish: &Wish, deleted: i64) -> Result<Uuid, Failure> {
    let id = state.ids.ordered();
    let mut tx = execute::begin(&state.db).await?;
    let (mut events, mut parts) = (Vec::new(), Vec::new());
    if let Some(items) = &wish.items {
        let saved = saved(&mut tx, items).await?;
        for keys in items.keys.chunks(CHUNK) {
            let payload = json!({"keys": keys, "fields": items.fields, "deleted": items.delete});
            events.push(event(state, caller, (&items.scope, &items.collection), &payload));
            let ids: Vec<String> = keys.iter().filter_map(|key| saved.get(key)).flatten().cloned().collect();
            parts.push((keys, ids));
        }
    }
    if !wish.users.is_empty() {
        let payload = json!({"users": wish.users});
        events.push(event(state, caller, ("activity", "directus_activity"), &payload));
    }
    let positions = event_store::append(&mut tx, &events).await.map_err(|error| away(&error))?;
    for (number, (keys, saved)) in (0_i32..).zip(&parts) {
        let Some(items) = &wish.items else { break };
        let first = if number == 0 { deleted } else { 0 };
        let part = sqlx::query(PART).bind(id).bind(number).bind(&items.collection).bind(&items.key_field);
        let part = part.bind(*keys).bind(saved).bind(&items.fields);
        let upto = positions.get(usize::try_from(number).unwrap_or_default()).copied();
        part.bind(upto.unwrap_or_default()).bind(first).execute(&mut *tx).await?;
    }
    if !wish.users.is_empty() {
        let number = i32::try_from(parts.len()).unwrap_or(i32::MAX);
        let upto = positions.last().copied().unwrap_or_default();
        let part = sqlx::query(USERS_PART).bind(id).bind(number).bind(&wish.users).bind(upto);
        part.execute(&mut *tx).await?;
    }
    execute::commit(tx).await?;
    tracing::info!(%id, parts = parts.len(), users = wish.users.len(), "an erasure begins");
    Ok(id)
}

/// Ids of saved versions by item.
async fn saved(conn: &mut PgConnection, items: &Items) -> Result<HashMap<String, Vec<String>>, sqlx::Error> {
    let mut saved: HashMap<String, Vec<String>> = HashMap::new();
    for row in sqlx::query(SAVED).bind(&items.collection).bind(&items.keys).fetch_all(conn).await? {
        saved.entry(row.try_get("item")?).or_default().push(row.try_get("id")?);
    }
    Ok(saved)
}

/// An event about many items: of none of them, and no version.
fn event(
    state: &State,
    caller: &Caller,
    (scope, collection): (&str, &str),
    payload: &serde_json::Value,
) -> NewEvent {
    let name = EventName::new(scope, "erase");
    let mut event = NewEvent::new(state.ids.ordered(), name, collection, "", 0).by(&caller.accountability);
    event.payload = RawValue::from_string(payload.to_string()).ok();
    event.request_id.clone_from(&caller.request_id);
    event.traceparent = chassis::trace::current();
    event
}
