//! Replays: entered here, worked off by the consumer's own process.

use event_store::NewReplay;
use model::{Error, ErrorCode, Errors, ReplayKind};
use proto::upkeep::v1 as pb;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::events::limit;
use super::selection::{Asked, Stretch};
use super::{Upkeep, away};

/// What a client sees of one.
macro_rules! seen {
    ($($condition:literal),+) => {
        concat!(
            "SELECT id, consumer, kind, state, after, upto, done, positions, collection, applied, buried, result, error, \
             \"user\", created, finished FROM eventus.replays ",
            $($condition),+
        )
    };
}

const LIST: &str = seen!("WHERE $1 = '' OR consumer = $1 ORDER BY created DESC, id LIMIT $2");
const ONE: &str = seen!("WHERE id = $1");

const CANCEL: &str = "
WITH cancelled AS (
    UPDATE eventus.replays SET state = 'cancelled', finished = now()
    WHERE id = $1 AND state IN ('pending', 'running') RETURNING id, consumer
), forgotten AS (
    DELETE FROM eventus.inbox USING cancelled WHERE inbox.consumer = cancelled.consumer || '/' || cancelled.id
)
SELECT count(*) FROM cancelled";

impl Upkeep {
    /// Enters a replay of events into one consumer.
    ///
    /// # Errors
    /// See the contract.
    pub async fn start_replay(&self, request: pb::StartReplayRequest) -> Result<Value, Errors> {
        let has_effects = self.consumer(&request.consumer).await?;
        let asked = Asked::read(request.selection)?;
        if asked.is_empty() {
            let reason = "Which events? Name \"ids\", \"positions\", \"from\", \"to\", \"since\", \"until\" or \"collection\"";
            return Err(Error::invalid_payload(reason).into());
        }
        if has_effects && !request.effects {
            let reason = format!(
                "What \"{}\" does is seen outside, and would happen again: say \"effects\": true if it shall",
                request.consumer
            );
            return Err(Error::invalid_payload(reason).into());
        }
        let stretch = asked.stretch(&self.db).await?;
        // A read model holds what it has applied: what it has given up is all that can be missing.
        let kind = if has_effects { ReplayKind::Replay } else { ReplayKind::Requeue };
        self.enter(request.consumer, kind, stretch).await
    }

    /// Enters the rebuild of a read model.
    ///
    /// # Errors
    /// See the contract.
    pub async fn rebuild_consumer(&self, request: pb::RebuildConsumerRequest) -> Result<Value, Errors> {
        if self.consumer(&request.consumer).await? {
            let reason = format!("\"{}\" keeps no read model", request.consumer);
            return Err(Error::invalid_payload(reason).into());
        }
        let whole = Asked::default().stretch(&self.db).await?;
        self.whole_log().await?;
        self.enter(request.consumer, ReplayKind::Rebuild, whole).await
    }

    /// Replays, newest first.
    ///
    /// # Errors
    /// A malformed wish; the database is away.
    pub async fn list_replays(&self, request: pb::ListReplaysRequest) -> Result<Value, Errors> {
        let limit = i64::try_from(limit(request.limit)?).unwrap_or(i64::MAX);
        let rows = sqlx::query(LIST).bind(&request.consumer).bind(limit).fetch_all(&self.db).await;
        let replays: Result<Vec<Value>, sqlx::Error> = rows.map_err(away)?.iter().map(replay).collect();
        Ok(Value::Array(replays.map_err(away)?))
    }

    /// One replay.
    ///
    /// # Errors
    /// There is none of that id; the database is away.
    pub async fn get_replay(&self, request: pb::ReplayRequest) -> Result<Value, Errors> {
        self.one(id(&request.id)?).await
    }

    /// Ends a replay.
    ///
    /// # Errors
    /// There is none of that id, or it has ended; the database is away.
    pub async fn cancel_replay(&self, request: pb::ReplayRequest) -> Result<Value, Errors> {
        let id = id(&request.id)?;
        let cancelled: i64 = sqlx::query_scalar(CANCEL).bind(id).fetch_one(&self.db).await.map_err(away)?;
        let replay = self.one(id).await?;
        if cancelled == 0 {
            return Err(Error::unprocessable(format!("The replay is {} already", replay["state"])).into());
        }
        tracing::info!(%id, user = ?self.user, "a replay is cancelled");
        Ok(replay)
    }

    async fn one(&self, id: Uuid) -> Result<Value, Errors> {
        let row = sqlx::query(ONE).bind(id).fetch_optional(&self.db).await.map_err(away)?;
        let row = row.ok_or_else(Error::forbidden)?;
        replay(&row).map_err(away)
    }

    /// Whether a consumer of ours has effects that are seen outside.
    pub(super) async fn consumer(&self, name: &str) -> Result<bool, Errors> {
        let all: Vec<(String, bool)> =
            sqlx::query_as("SELECT name, effects FROM eventus.consumers ORDER BY name")
                .fetch_all(&self.db)
                .await
                .map_err(away)?;
        if let Some((_, effects)) = all.iter().find(|(known, _)| known == name) {
            return Ok(*effects);
        }
        let known: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let reason = format!("\"{name}\" is no consumer; there are {}", known.join(", "));
        Err(Error::invalid_payload(reason).into())
    }

    /// Nothing above the horizon may be missing: a rebuild would not notice.
    async fn whole_log(&self) -> Result<(), Errors> {
        let missing: Option<i64> = event_store::partitions::missing(&self.db).await.map_err(away)?;
        let Some(position) = missing else { return Ok(()) };
        let reason = format!(
            "The log has lost what stood below position {position} by other hands, and no snapshot of it was kept"
        );
        Err(Error::new(ErrorCode::HistoryGone).with_message(reason).with("horizon", position).into())
    }

    /// Enters it.
    pub(super) async fn enter(
        &self,
        consumer: String,
        kind: ReplayKind,
        stretch: Stretch,
    ) -> Result<Value, Errors> {
        let id = self.ids.ordered();
        let Stretch { after, upto, positions, collection } = stretch;
        tracing::info!(%id, consumer, kind = kind.as_str(), after, upto, user = ?self.user, "a replay is entered");
        let new = NewReplay { id, consumer, kind, after, upto, positions, collection, user: self.user };
        new.enter(&self.db).await.map_err(away)?;
        self.one(id).await
    }
}

/// The id that a caller gives. What is none is as good as missing.
fn id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::forbidden())
}

fn replay(row: &PgRow) -> Result<Value, sqlx::Error> {
    let time = |time: Option<OffsetDateTime>| time.and_then(|time| time.format(&Rfc3339).ok());
    let named: Option<Vec<i64>> = row.try_get("positions")?;
    Ok(json!({
        "id": row.try_get::<Uuid, _>("id")?,
        "consumer": row.try_get::<String, _>("consumer")?,
        "kind": row.try_get::<String, _>("kind")?,
        "state": row.try_get::<String, _>("state")?,
        "from": row.try_get::<i64, _>("after")? + 1,
        "to": row.try_get::<i64, _>("upto")?,
        "done": row.try_get::<i64, _>("done")?,
        "events": named.map(|named| named.len()),
        "collection": row.try_get::<Option<String>, _>("collection")?,
        "applied": row.try_get::<i64, _>("applied")?,
        "buried": row.try_get::<i64, _>("buried")?,
        "result": row.try_get::<Option<Json<Value>>, _>("result")?.map(|result| result.0),
        "error": row.try_get::<Option<String>, _>("error")?,
        "user": row.try_get::<Option<Uuid>, _>("user")?,
        "created": time(Some(row.try_get("created")?)),
        "finished": time(row.try_get("finished")?),
    }))
}
