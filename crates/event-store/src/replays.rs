//! Replays as rows: taken by one process at a time, read page by page from the log, ended with what came of them.

use db::Db;
use model::{Event, Replay, ReplayKind, ReplayPage, ReplayStep};
use sqlx::Row as _;
use uuid::Uuid;

use crate::Error;
use crate::rows::{self, BATCH_BYTES, bounded};

/// Events of one page at most.
const PAGE: i64 = 500;
/// Positions that one page looks through at most: what is asked for may be rare.
const WINDOW: i64 = 50_000;

const TAKE: &str = "
UPDATE eventus.replays taken
SET state = 'running', claim = gen_random_uuid(), claimed_until = now() + interval '12 seconds'
WHERE id = (
    SELECT id FROM eventus.replays WHERE consumer = $1 AND state IN ('pending', 'running')
    ORDER BY created, id LIMIT 1
) AND state IN ('pending', 'running') AND (claimed_until IS NULL OR claimed_until < now())
RETURNING id, kind, done, upto, claim";

const HOLD: &str = "
UPDATE eventus.replays SET claimed_until = now() + interval '12 seconds'
WHERE id = $1 AND claim = $2 AND state = 'running'";

const LEAVE: &str =
    "UPDATE eventus.replays SET claimed_until = NULL WHERE id = $1 AND claim = $2 AND state = 'running'";

// A dead letter goes in the moment in which its effect is known to be there.
const STEP: &str = "
WITH ours AS (
    UPDATE eventus.replays SET done = $3, applied = applied + $4, buried = buried + $5,
        claimed_until = now() + interval '12 seconds'
    WHERE id = $1 AND claim = $2 AND state = 'running'
    RETURNING consumer
), gone AS (
    DELETE FROM eventus.dead_letters letter USING ours
    WHERE letter.consumer = ours.consumer AND letter.position = ANY($6)
)
SELECT count(*) FROM ours";

const END: &str = "
WITH ended AS (
    UPDATE eventus.replays SET state = CASE WHEN $4::text IS NULL THEN 'done' ELSE 'failed' END, result = $3::json,
        error = $4, done = CASE WHEN $4::text IS NULL THEN upto ELSE done END, claimed_until = NULL, finished = now()
    WHERE id = $1 AND claim = $2 AND state = 'running'
    RETURNING consumer || '/' || id AS inbox
)
DELETE FROM eventus.inbox USING ended WHERE consumer = ended.inbox";

/// Takes the oldest open replay of a consumer, if nobody works on it.
pub(crate) async fn take(db: &Db, consumer: &str) -> Result<Option<Replay>, Error> {
    let Some(row) = sqlx::query(TAKE).bind(consumer).fetch_optional(db).await? else { return Ok(None) };
    let kind: &str = row.try_get("kind")?;
    let Some(kind) = ReplayKind::parse(kind) else { return Ok(None) };
    Ok(Some(Replay {
        id: row.try_get("id")?,
        consumer: consumer.to_owned(),
        kind,
        done: row.try_get("done")?,
        upto: row.try_get("upto")?,
        claim: row.try_get("claim")?,
    }))
}

/// Holds it for a while longer; `false` when it is not ours any more.
pub(crate) async fn hold(db: &Db, replay: &Replay) -> Result<bool, Error> {
    let held = sqlx::query(HOLD).bind(replay.id).bind(replay.claim).execute(db).await?;
    if held.rows_affected() == 1 {
        return Ok(true);
    }
    // Who cancelled it could not know what was entered a moment later.
    let ended = "DELETE FROM eventus.inbox WHERE consumer = $1 AND EXISTS (
        SELECT FROM eventus.replays WHERE id = $2 AND state NOT IN ('pending', 'running'))";
    sqlx::query(ended).bind(replay.inbox()).bind(replay.id).execute(db).await?;
    Ok(false)
}

/// Leaves it to others.
pub(crate) async fn leave(db: &Db, replay: &Replay) -> Result<(), Error> {
    sqlx::query(LEAVE).bind(replay.id).bind(replay.claim).execute(db).await?;
    Ok(())
}

/// Writes down what came of a page; `false` when it is not ours any more.
pub(crate) async fn step(db: &Db, replay: &Replay, step: &ReplayStep) -> Result<bool, Error> {
    let ours: i64 = sqlx::query_scalar(STEP)
        .bind(replay.id)
        .bind(replay.claim)
        .bind(step.reached)
        .bind(i64::try_from(step.applied.len()).unwrap_or(i64::MAX))
        .bind(i64::try_from(step.buried).unwrap_or(i64::MAX))
        .bind(&step.applied)
        .fetch_one(db)
        .await?;
    Ok(ours == 1)
}

/// Ends it.
pub(crate) async fn end(
    db: &Db,
    replay: &Replay,
    outcome: Result<Option<String>, String>,
) -> Result<(), Error> {
    let (result, error) = match outcome {
        Ok(result) => (result, None),
        Err(error) => (None, Some(error.replace('\0', "\u{fffd}"))),
    };
    sqlx::query(END).bind(replay.id).bind(replay.claim).bind(result).bind(error).execute(db).await?;
    Ok(())
}

/// The next events. What the consumer has not come to by itself yet is not replayed to it: it would have it twice.
pub(crate) async fn read(db: &Db, replay: &Replay) -> Result<ReplayPage, Error> {
    let own: i64 =
        sqlx::query_scalar("SELECT coalesce((SELECT low_water FROM eventus.consumers WHERE name = $1), 0)")
            .bind(&replay.consumer)
            .fetch_one(db)
            .await?;
    if own <= replay.done {
        return Ok(ReplayPage { reached: replay.done, waits: true, ..ReplayPage::default() });
    }
    let end = replay.upto.min(own);
    match replay.kind {
        ReplayKind::Requeue => letters(db, replay, end).await,
        ReplayKind::Replay | ReplayKind::Rebuild => window(db, replay, end).await,
    }
}

async fn window(db: &Db, replay: &Replay, end: i64) -> Result<ReplayPage, Error> {
    let end = end.min(replay.done.saturating_add(WINDOW));
    let rows = rows::planned_anew(bounded!(
        "(SELECT e.* FROM eventus.events e, eventus.replays r WHERE r.id = $1 AND e.position > $2 AND e.position <= $3 \
         AND (r.positions IS NULL OR e.position = ANY(r.positions)) \
         AND (r.collection IS NULL OR e.collection = r.collection)) found",
        "$4",
        "$5"
    ))
    .bind(replay.id)
    .bind(replay.done)
    .bind(end)
    .bind(PAGE)
    .bind(BATCH_BYTES)
    .fetch_all(db)
    .await?;
    let events = rows::events(&rows)?;
    let reached = events.last().map_or(end, |event: &Event| event.position);
    Ok(ReplayPage { events, reached, waits: false })
}

async fn letters(db: &Db, replay: &Replay, end: i64) -> Result<ReplayPage, Error> {
    const LETTERS: &str = "SELECT d.position FROM eventus.dead_letters d, eventus.replays r
        WHERE r.id = $1 AND d.consumer = r.consumer AND d.position > $2 AND d.position <= $3
          AND (r.positions IS NULL OR d.position = ANY(r.positions))
        ORDER BY d.position LIMIT $4";
    let letters: Vec<i64> = sqlx::query_scalar(LETTERS)
        .bind(replay.id)
        .bind(replay.done)
        .bind(end)
        .bind(PAGE)
        .fetch_all(db)
        .await?;
    let Some(last) = letters.last() else {
        return Ok(ReplayPage { reached: end, ..ReplayPage::default() });
    };
    let rows = rows::planned_anew(bounded!(
        "(SELECT e.* FROM eventus.events e, eventus.replays r WHERE r.id = $1 AND e.position = ANY($2) \
         AND (r.collection IS NULL OR e.collection = r.collection)) found",
        "$3",
        "$4"
    ))
    .bind(replay.id)
    .bind(&letters)
    .bind(PAGE)
    .bind(BATCH_BYTES)
    .fetch_all(db)
    .await?;
    let events = rows::events(&rows)?;
    // The page may be cut by its size; what is no event any more, or of another collection, is passed over.
    let reached = events.last().map_or(*last, |event: &Event| event.position);
    Ok(ReplayPage { events, reached, waits: false })
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// Its id.
    pub id: Uuid,
    /// Whose events.
    pub consumer: String,
    /// What is done with them.
    pub kind: ReplayKind,
    /// Behind this position.
    pub after: i64,
    /// Up to this one.
    pub upto: i64,
    /// Of them these only.
    pub positions: Option<Vec<i64>>,
    /// Of this collection only.
    pub collection: Option<String>,
    /// Who asks.
    pub user: Option<Uuid>,
}

impl NewReplay {
    /// Enters it; the consumer's process finds it there.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enter(&self, db: &Db) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO eventus.replays (id, consumer, kind, after, upto, positions, collection, done, \"user\")
             VALUES ($1, $2, $3, $4, $5, $6, $7, $4, $8)",
        )
        .bind(self.id)
        .bind(&self.consumer)
        .bind(self.kind.as_str())
        .bind(self.after)
        .bind(self.upto)
        .bind(&self.positions)
        .bind(&self.collection)
        .bind(self.user)
        .execute(db)
        .await?;
        Ok(())
    }
}
