//! One chunk of the work, in a transaction of its own: killed at any moment, it goes on where it was.

use std::time::Duration;

use chassis::BoxError;
use event_store::Log;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::state::State;

/// Events of items that are looked at in one transaction.
const CHUNK: i64 = 2_000;
/// Positions that are looked at in one transaction for what users did.
const WINDOW: i64 = 20_000;
/// How long a part that has to wait is left alone.
const WAIT: Duration = Duration::from_millis(500);

/// A part that is due. Whoever takes it locks it; others pass over it.
const DUE: &str = "SELECT id, part, collection, key_field, keys, saved, fields, users, upto, stage, done \
    FROM eventus.erasures WHERE stage NOT IN ('copies', 'done') AND next_attempt <= now() AND ($1::uuid IS NULL OR id = $1) \
    ORDER BY next_attempt, id, part LIMIT 1 FOR UPDATE SKIP LOCKED";

/// What every chunk of events does with copies, and what it tells.
macro_rules! with_copies {
    ($page_and_changed:expr) => {
        concat!(
            $page_and_changed,
            ", letter AS (UPDATE eventus.dead_letters d SET reason = 'erased', first_reason = NULL FROM changed c \
             WHERE d.position = c.position AND (d.reason <> 'erased' OR d.first_reason IS NOT NULL) RETURNING d.position), \
             copy AS (INSERT INTO eventus.stale_messages (position) SELECT position FROM changed \
             ON CONFLICT (position) DO UPDATE SET since = excluded.since) \
             SELECT (SELECT max(position) FROM page) AS last, (SELECT count(*) FROM changed) AS events, \
             (SELECT count(*) FROM letter) AS letters"
        )
    };
}

/// Events of items: `$1` collection, `$2` keys, `$3` the field that is kept, `$4` the fields, `$5` after, `$6` up to.
const OF_ITEMS: &str = with_copies!(
    "WITH page AS MATERIALIZED (SELECT e.position, eventus.erasable(e.payload, e.previous, $3, $4) AS names \
     FROM eventus.events e WHERE e.collection = $1 AND e.key = ANY($2) AND e.position > $5 AND e.position <= $6 \
     ORDER BY e.position LIMIT $7), \
     changed AS (UPDATE eventus.events e SET payload = eventus.emptied(e.payload, $3, $4), \
     previous = eventus.emptied(e.previous, $3, $4), \
     erased = ARRAY(SELECT DISTINCT n FROM unnest(e.erased || p.names) n ORDER BY n) \
     FROM page p WHERE e.position = p.position AND e.position > $5 AND e.position <= $6 AND p.names <> '{}' \
     RETURNING e.position)"
);

/// Events of saved versions; as above, with the versions' ids as keys.
const OF_SAVED: &str = with_copies!(
    "WITH page AS MATERIALIZED (SELECT e.position, eventus.erasable(e.payload -> 'delta', e.previous -> 'delta', \
     $3, $4) AS names FROM eventus.events e WHERE e.collection = $1 AND e.key = ANY($2) AND e.position > $5 \
     AND e.position <= $6 ORDER BY e.position LIMIT $7), \
     changed AS (UPDATE eventus.events e SET payload = eventus.without_saved(e.payload, $3, $4), \
     previous = eventus.without_saved(e.previous, $3, $4), \
     erased = ARRAY(SELECT DISTINCT n FROM unnest(e.erased || '{delta}') n ORDER BY n) \
     FROM page p WHERE e.position = p.position AND e.position > $5 AND e.position <= $6 AND p.names <> '{}' \
     RETURNING e.position)"
);

/// What users did: `$1` users, `$2` after, `$3` up to.
const OF_USERS: &str = with_copies!(
    "WITH page AS MATERIALIZED (SELECT e.position FROM eventus.events e WHERE e.\"user\" = ANY($1) \
     AND e.position > $2 AND e.position <= $3), \
     changed AS (UPDATE eventus.events e SET \"user\" = NULL, role = NULL, ip = NULL, user_agent = NULL, \
     origin = NULL FROM page p WHERE e.position = p.position AND e.position > $2 AND e.position <= $3 \
     RETURNING e.position)"
);

/// The other places of items: `$1` collection, `$2` keys, `$3` the field that is kept, `$4` the fields, `$5` ids of saved
/// versions. Of kept answers those go that may hold one of the items, as the one that was written or within another.
pub const REST_OF_ITEMS: &str = "WITH revision AS (UPDATE directus_revisions \
    SET data = eventus.without(data, $3, $4), delta = eventus.without(delta, $3, $4) \
    WHERE collection = $1 AND item = ANY($2) AND eventus.erasable(data, delta, $3, $4) <> '{}' RETURNING id), \
    version AS (UPDATE directus_versions SET delta = eventus.without(delta, $3, $4) \
    WHERE id::text = ANY($5) AND eventus.erasable(delta, NULL, $3, $4) <> '{}' RETURNING id), \
    base AS (UPDATE eventus.bases SET data = eventus.without(data, $3, $4) \
    WHERE collection = $1 AND key = ANY($2)), \
    answer AS (UPDATE eventus.idempotency_keys SET items = NULL \
    WHERE items IS NOT NULL AND (keys && $2 OR items ~ ':\\s*[[{]') RETURNING key) \
    SELECT (SELECT count(*) FROM revision) AS revisions, (SELECT count(*) FROM version) AS versions, \
    (SELECT count(*) FROM answer) AS answers, 0::bigint AS sessions";

/// The other places of users: activity that was taken over, and where their sessions came from.
const REST_OF_USERS: &str = "WITH activity AS (UPDATE directus_activity SET \"user\" = NULL, ip = NULL, \
    user_agent = NULL, origin = NULL WHERE \"user\" = ANY($1) RETURNING id), \
    session AS (UPDATE directus_sessions SET ip = NULL, user_agent = NULL, origin = NULL \
    WHERE \"user\" = ANY($1) AND (ip IS NOT NULL OR user_agent IS NOT NULL OR origin IS NOT NULL) RETURNING token) \
    SELECT (SELECT count(*) FROM activity) AS revisions, 0::bigint AS versions, 0::bigint AS answers, \
    (SELECT count(*) FROM session) AS sessions";

const ADVANCE: &str = "UPDATE eventus.erasures SET stage = $3, done = $4, events = events + $5, \
    dead_letters = dead_letters + $6, attempts = 0, error = NULL WHERE id = $1 AND part = $2";

const REST_DONE: &str = "UPDATE eventus.erasures SET stage = 'copies', revisions = $3, versions = $4, answers = $5, \
    sessions = $6 WHERE id = $1 AND part = $2";

struct Part {
    id: Uuid,
    part: i32,
    collection: Option<String>,
    key_field: Option<String>,
    keys: Vec<String>,
    saved: Vec<String>,
    fields: Option<Vec<String>>,
    users: Vec<Uuid>,
    upto: i64,
    stage: String,
    done: i64,
}

impl Part {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            part: row.try_get("part")?,
            collection: row.try_get("collection")?,
            key_field: row.try_get("key_field")?,
            keys: row.try_get::<Option<_>, _>("keys")?.unwrap_or_default(),
            saved: row.try_get::<Option<_>, _>("saved")?.unwrap_or_default(),
            fields: row.try_get("fields")?,
            users: row.try_get::<Option<_>, _>("users")?.unwrap_or_default(),
            upto: row.try_get("upto")?,
            stage: row.try_get("stage")?,
            done: row.try_get("done")?,
        })
    }
}

/// One chunk of a part that is due, of any erasure or of this one; `false` when none is.
pub async fn step(state: &State, only: Option<Uuid>) -> Result<bool, BoxError> {
    let settled = Log::new(state.db.clone()).last_settled().await?;
    let mut tx = state.db.begin().await?;
    let Some(row) = sqlx::query(DUE).bind(only).fetch_optional(&mut *tx).await? else { return Ok(false) };
    let part = Part::of(&row)?;
    match work(&mut tx, &part, settled).await {
        Ok(()) => tx.commit().await?,
        Err(error) => {
            tx.rollback().await?;
            tracing::warn!(id = %part.id, part = part.part, stage = part.stage, %error, "an erasure is tried again");
            const LATER: &str = "UPDATE eventus.erasures SET attempts = attempts + 1, error = $3, \
                next_attempt = now() + least(power(2, attempts), 300) * interval '1 second' \
                WHERE id = $1 AND part = $2";
            let later = sqlx::query(LATER).bind(part.id).bind(part.part).bind(error.to_string());
            later.execute(&state.db).await?;
        }
    }
    Ok(true)
}

async fn work(conn: &mut PgConnection, part: &Part, settled: i64) -> Result<(), sqlx::Error> {
    match part.stage.as_str() {
        // Who took a position before may still commit.
        "log" if settled < part.upto => wait(conn, part).await,
        "log" | "saved" => events(conn, part).await,
        _ => rest(conn, part).await,
    }
}

async fn wait(conn: &mut PgConnection, part: &Part) -> Result<(), sqlx::Error> {
    const WAITS: &str = "UPDATE eventus.erasures SET next_attempt = now() + $3 * interval '1 millisecond' \
                         WHERE id = $1 AND part = $2";
    let waits = sqlx::query(WAITS).bind(part.id).bind(part.part).bind(model::milliseconds(WAIT));
    waits.execute(conn).await.map(drop)
}

/// A chunk of the log.
async fn events(conn: &mut PgConnection, part: &Part) -> Result<(), sqlx::Error> {
    let upto = part.done.saturating_add(WINDOW).min(part.upto);
    let query = match &part.collection {
        None => sqlx::query(OF_USERS).bind(&part.users).bind(part.done).bind(upto),
        Some(collection) => {
            let (sql, collection, keys) = match part.stage.as_str() {
                "saved" => (OF_SAVED, "directus_versions", &part.saved),
                _ => (OF_ITEMS, collection.as_str(), &part.keys),
            };
            let of = sqlx::query(sql).bind(collection).bind(keys).bind(&part.key_field).bind(&part.fields);
            of.bind(part.done).bind(part.upto).bind(CHUNK)
        }
    };
    // A plan that was kept may come from a day when the log was small.
    let row = query.persistent(false).fetch_one(&mut *conn).await?;
    let last: Option<i64> = row.try_get("last")?;
    let (events, letters): (i64, i64) = (row.try_get("events")?, row.try_get("letters")?);
    let (stage, done) = match (&part.collection, last) {
        (None, _) if upto < part.upto => (part.stage.as_str(), upto),
        (Some(_), Some(last)) => (part.stage.as_str(), last),
        (Some(_), None) if part.stage == "log" && !part.saved.is_empty() => ("saved", 0),
        _ => ("rest", part.upto),
    };
    let advance = sqlx::query(ADVANCE).bind(part.id).bind(part.part).bind(stage).bind(done);
    advance.bind(events).bind(letters).execute(conn).await.map(drop)
}

async fn rest(conn: &mut PgConnection, part: &Part) -> Result<(), sqlx::Error> {
    let query = match &part.collection {
        None => sqlx::query(REST_OF_USERS).bind(&part.users),
        Some(collection) => {
            let of = sqlx::query(REST_OF_ITEMS).bind(collection).bind(&part.keys).bind(&part.key_field);
            of.bind(&part.fields).bind(&part.saved)
        }
    };
    let row = query.persistent(false).fetch_one(&mut *conn).await?;
    let count = |name: &str| row.try_get::<i64, _>(name);
    let done = sqlx::query(REST_DONE).bind(part.id).bind(part.part).bind(count("revisions")?);
    let done = done.bind(count("versions")?).bind(count("answers")?).bind(count("sessions")?);
    done.execute(conn).await.map(drop)
}
