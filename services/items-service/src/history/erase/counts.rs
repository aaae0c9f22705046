//! What an erasure has changed, and what it would change, by place.

use access::Access;
use planner::Reader;
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::begin::SAVED;
use super::wish::{Items, Wish};
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// Only administrators come here.
static EVERYTHING: Access = Access::admin();

const OF: &str = "SELECT bool_and(stage = 'done') AS done, sum(deleted)::bigint AS deleted, \
    sum(events)::bigint AS events, sum(revisions)::bigint AS revisions, sum(versions)::bigint AS versions, \
    sum(answers)::bigint AS answers, sum(dead_letters)::bigint AS dead_letters, sum(sessions)::bigint AS sessions, \
    (SELECT count(*) FROM eventus.stale_messages WHERE position <= max(upto)) AS messages_left, \
    min(upto) AS first, max(error) AS error FROM eventus.erasures WHERE id = $1 HAVING count(*) > 0";

/// `$1` to `$4` as those who do it have them, `$5` ids of saved versions.
const WOULD_ITEMS: &str = "WITH event AS (SELECT position FROM eventus.events WHERE collection = $1 AND key = ANY($2) \
    AND eventus.erasable(payload, previous, $3, $4) <> '{}' UNION ALL SELECT position FROM eventus.events \
    WHERE collection = 'directus_versions' AND key = ANY($5) \
    AND eventus.erasable(payload -> 'delta', previous -> 'delta', $3, $4) <> '{}') \
    SELECT (SELECT count(*) FROM event) AS events, \
    (SELECT count(*) FROM directus_revisions WHERE collection = $1 AND item = ANY($2) \
    AND eventus.erasable(data, delta, $3, $4) <> '{}') AS revisions, \
    (SELECT count(*) FROM directus_versions WHERE id::text = ANY($5) \
    AND eventus.erasable(delta, NULL, $3, $4) <> '{}') AS versions, \
    (SELECT count(*) FROM eventus.idempotency_keys WHERE items IS NOT NULL \
    AND (keys && $2 OR items ~ ':\\s*[[{]')) AS answers, \
    (SELECT count(*) FROM eventus.dead_letters WHERE position IN (SELECT position FROM event)) AS dead_letters";

const WOULD_USERS: &str = "SELECT (SELECT count(*) FROM eventus.events WHERE \"user\" = ANY($1)) AS events, \
    (SELECT count(*) FROM directus_activity WHERE \"user\" = ANY($1)) AS revisions, \
    (SELECT count(*) FROM eventus.dead_letters WHERE position IN \
    (SELECT position FROM eventus.events WHERE \"user\" = ANY($1))) AS dead_letters, \
    (SELECT count(*) FROM directus_sessions WHERE \"user\" = ANY($1) \
    AND (ip IS NOT NULL OR user_agent IS NOT NULL OR origin IS NOT NULL)) AS sessions";

/// How an erasure stands; `None` when there is none.
pub async fn of(state: &State, id: Uuid) -> Result<Option<Value>, Failure> {
    let Some(row) = sqlx::query(OF).bind(id).fetch_optional(&state.db).await? else { return Ok(None) };
    let count = |name: &str| row.try_get::<i64, _>(name);
    let done: bool = row.try_get("done")?;
    Ok(Some(json!({
        "id": id,
        "position": count("first")?,
        "state": if done { "done" } else { "running" },
        "dry_run": false,
        "deleted": count("deleted")?,
        "erased": {
            "events": count("events")?,
            "revisions": count("revisions")?,
            "versions": count("versions")?,
            "answers": count("answers")?,
            "dead_letters": count("dead_letters")?,
            "sessions": count("sessions")?,
        },
        "messages_left": count("messages_left")?,
        "error": row.try_get::<Option<String>, _>("error")?,
    })))
}

#[derive(Default)]
struct Counts {
    deleted: i64,
    events: i64,
    revisions: i64,
    versions: i64,
    answers: i64,
    dead_letters: i64,
    sessions: i64,
}

/// What would be changed now. Nothing is.
pub async fn without_doing(state: &State, caller: &Caller, wish: &Wish) -> Result<Value, Failure> {
    let mut counts = Counts::default();
    let mut tx = execute::begin(&state.db).await?;
    if let Some(items) = &wish.items {
        if items.delete {
            counts.deleted = present(state, caller, &mut tx, items).await?;
        }
        count_items(&mut tx, items, &mut counts).await?;
    }
    if !wish.users.is_empty() {
        let row = sqlx::query(WOULD_USERS).bind(&wish.users).fetch_one(&mut *tx).await?;
        counts.events += row.try_get::<i64, _>("events")?;
        counts.revisions += row.try_get::<i64, _>("revisions")?;
        counts.dead_letters += row.try_get::<i64, _>("dead_letters")?;
        counts.sessions = row.try_get("sessions")?;
    }
    tx.rollback().await?;
    let Counts { deleted, events, revisions, versions, answers, dead_letters, sessions } = counts;
    Ok(json!({
        "id": null, "position": null, "state": "done", "dry_run": true, "deleted": deleted,
        "erased": {"events": events, "revisions": revisions, "versions": versions, "answers": answers,
            "dead_letters": dead_letters, "sessions": sessions},
        "messages_left": 0, "error": null,
    }))
}

async fn count_items(conn: &mut PgConnection, items: &Items, counts: &mut Counts) -> Result<(), Failure> {
    let mut saved: Vec<String> = Vec::new();
    for row in sqlx::query(SAVED).bind(&items.collection).bind(&items.keys).fetch_all(&mut *conn).await? {
        saved.push(row.try_get("id")?);
    }
    let would = sqlx::query(WOULD_ITEMS).bind(&items.collection).bind(&items.keys).bind(&items.key_field);
    let row = would.bind(&items.fields).bind(&saved).persistent(false).fetch_one(conn).await?;
    counts.events = row.try_get("events")?;
    counts.revisions = row.try_get("revisions")?;
    counts.versions = row.try_get("versions")?;
    counts.answers = row.try_get("answers")?;
    counts.dead_letters = row.try_get("dead_letters")?;
    Ok(())
}

/// How many of the items are there.
async fn present(
    state: &State,
    caller: &Caller,
    conn: &mut PgConnection,
    items: &Items,
) -> Result<i64, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = Reader { access: &EVERYTHING, ..asking.reader(&snapshot) };
    let collection = snapshot.collection(&items.collection)?;
    let statement = planner::plan_lock(&items.keys, None, collection, reader)?;
    let rows = execute::rows(conn, &statement).await?;
    Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX))
}
