//! Dead letters: events that consumers have given up.

use model::{Error, Errors, ReplayKind};
use proto::upkeep::v1 as pb;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::events::limit;
use super::selection::{Asked, Stretch};
use super::{Upkeep, away};

/// What is told of a letter `d` whose event is `e`. The event may be gone from the log by other hands; the letter stays.
macro_rules! columns {
    () => {
        "d.consumer, d.event_id, d.position, d.reason, coalesce(d.first_reason, d.reason) AS first_reason, d.attempts, \
         d.trace_id, d.time, d.first_time, e.name, e.collection, e.key, e.version"
    };
}
pub(super) use columns;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM eventus.dead_letters d LEFT JOIN eventus.events e ON e.position = d.position
    WHERE ($1 = '' OR d.consumer = $1) AND ($2 = '' OR e.collection = $2) AND ($3::uuid IS NULL OR d.event_id = $3)
    ORDER BY d.time DESC, d.position DESC, d.consumer LIMIT $4 OFFSET $5"
);

/// `$1` consumer, `$2` after, `$3` up to, `$4` positions, `$5` ids, `$6` collection.
macro_rules! chosen {
    () => {
        "d.consumer = $1 AND d.position > $2 AND d.position <= $3 AND ($4::bigint[] IS NULL OR d.position = ANY($4)) \
         AND ($5::uuid[] IS NULL OR d.event_id = ANY($5)) AND ($6::text IS NULL OR EXISTS (SELECT FROM eventus.events e \
         WHERE e.position = d.position AND e.collection = $6))"
    };
}

const CHOOSE: &str =
    concat!("SELECT d.position FROM eventus.dead_letters d WHERE ", chosen!(), " ORDER BY d.position");

const DROP: &str = concat!("DELETE FROM eventus.dead_letters d WHERE ", chosen!());

impl Upkeep {
    /// Dead letters, newest first.
    ///
    /// # Errors
    /// A malformed wish; the database is away.
    pub async fn list_dead_letters(&self, request: pb::ListDeadLettersRequest) -> Result<Value, Errors> {
        let limit = i64::try_from(limit(request.limit)?).unwrap_or(i64::MAX);
        let id = Some(request.id.as_str()).filter(|id| !id.is_empty()).map(Uuid::try_parse).transpose();
        let id = id.map_err(|_| Error::invalid_query("\"id\" must be the id of an event"))?;
        if request.offset < 0 {
            return Err(Error::invalid_query("\"offset\" must be a number greater than or equal to 0").into());
        }
        let rows = sqlx::query(LIST)
            .bind(&request.consumer)
            .bind(&request.collection)
            .bind(id)
            .bind(limit)
            .bind(request.offset)
            .fetch_all(&self.db)
            .await
            .map_err(away)?;
        let letters: Result<Vec<Value>, sqlx::Error> = rows.iter().map(letter).collect();
        Ok(Value::Array(letters.map_err(away)?))
    }

    /// Deletes dead letters.
    ///
    /// # Errors
    /// Nothing is named, or no consumer of ours; the database is away.
    pub async fn drop_dead_letters(&self, request: pb::DeadLettersRequest) -> Result<Value, Errors> {
        let (consumer, choice) = self.choice(request).await?;
        let dropped = sqlx::query(DROP)
            .bind(&consumer)
            .bind(choice.after)
            .bind(choice.upto)
            .bind(&choice.positions)
            .bind(&choice.ids)
            .bind(&choice.collection)
            .execute(&self.db)
            .await
            .map_err(away)?
            .rows_affected();
        tracing::warn!(consumer, dropped, user = ?self.user, "dead letters are dropped by an operator");
        Ok(json!({"dropped": dropped}))
    }

    /// Gives dead letters to their consumer once more.
    ///
    /// # Errors
    /// Nothing is named, no consumer of ours, or no such letter; the database is away.
    pub async fn requeue_dead_letters(&self, request: pb::DeadLettersRequest) -> Result<Value, Errors> {
        let (consumer, choice) = self.choice(request).await?;
        let chosen: Vec<i64> = sqlx::query_scalar(CHOOSE)
            .bind(&consumer)
            .bind(choice.after)
            .bind(choice.upto)
            .bind(&choice.positions)
            .bind(&choice.ids)
            .bind(&choice.collection)
            .fetch_all(&self.db)
            .await
            .map_err(away)?;
        let Some((first, last)) = chosen.first().zip(chosen.last()) else {
            return Err(Error::invalid_payload(format!("\"{consumer}\" has no such dead letters")).into());
        };
        let stretch = Stretch {
            after: first - 1,
            upto: *last,
            positions: (!choice.is_range()).then(|| chosen.clone()),
            collection: choice.collection,
        };
        self.enter(consumer, ReplayKind::Requeue, stretch).await
    }

    async fn choice(&self, request: pb::DeadLettersRequest) -> Result<(String, Choice), Errors> {
        self.consumer(&request.consumer).await?;
        let asked = Asked::read(request.selection)?;
        if asked.is_empty() != request.all {
            let reason = "Either say which dead letters, or \"all\": true";
            return Err(Error::invalid_payload(reason).into());
        }
        Ok((request.consumer, Choice::of(&asked, self).await?))
    }
}

/// Which of a consumer's dead letters.
struct Choice {
    after: i64,
    upto: i64,
    positions: Option<Vec<i64>>,
    ids: Option<Vec<Uuid>>,
    collection: Option<String>,
}

impl Choice {
    /// Letters know ids and positions by themselves; only times are looked up in the log.
    async fn of(asked: &Asked, upkeep: &Upkeep) -> Result<Self, Errors> {
        let timed = Asked { since: asked.since, until: asked.until, ..Asked::default() };
        let (after, upto) = match timed.is_empty() {
            true => (0, i64::MAX),
            false => timed.stretch(&upkeep.db).await.map(|stretch| (stretch.after, stretch.upto))?,
        };
        Ok(Self {
            after: after.max(asked.from.map_or(0, |from| from - 1)),
            upto: upto.min(asked.to.unwrap_or(i64::MAX)),
            positions: (!asked.positions.is_empty()).then(|| asked.positions.clone()),
            ids: (!asked.ids.is_empty()).then(|| asked.ids.clone()),
            collection: asked.collection.clone(),
        })
    }

    fn is_range(&self) -> bool {
        self.positions.is_none() && self.ids.is_none()
    }
}

/// A letter as it is told everywhere.
pub(super) fn letter(row: &PgRow) -> Result<Value, sqlx::Error> {
    let time = |name: &str| -> Result<Option<String>, sqlx::Error> {
        Ok(row.try_get::<OffsetDateTime, _>(name)?.format(&Rfc3339).ok())
    };
    let name: Option<String> = row.try_get("name")?;
    let event = match name {
        None => Value::Null,
        Some(name) => json!({
            "name": name,
            "collection": row.try_get::<String, _>("collection")?,
            "key": row.try_get::<String, _>("key")?,
            "version": row.try_get::<i64, _>("version")?,
        }),
    };
    Ok(json!({
        "consumer": row.try_get::<String, _>("consumer")?,
        "id": row.try_get::<Uuid, _>("event_id")?,
        "position": row.try_get::<i64, _>("position")?,
        "reason": row.try_get::<String, _>("reason")?,
        "first_reason": row.try_get::<String, _>("first_reason")?,
        "attempts": row.try_get::<i32, _>("attempts")?,
        "trace_id": row.try_get::<Option<String>, _>("trace_id")?,
        "time": time("time")?,
        "first_time": time("first_time")?,
        "event": event,
    }))
}
