//! Plain reading of the log, where it does not matter that a row may still appear below what was read.

use db::Db;
use model::Event;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::rows::{self, BATCH_BYTES, bounded, columns};
use crate::{Error, Horizon, Mark};

/// The event log of a database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    db: Db,
}

/// Where a moment stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Behind the event at this position, and nothing can appear at or below it any more.
    At(i64),
    /// Something may still be appended at or before it.
    Unsettled,
    /// The log doesn't reach so far back.
    Before,
    /// It did once: what stood up to the horizon was dropped.
    Gone(Horizon),
}

/// Which events to look for: all that fit everything that is said.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Behind this position.
    pub after: i64,
    /// Up to this one.
    pub upto: i64,
    /// These only.
    pub positions: Option<Vec<i64>>,
    /// Of this collection.
    pub collection: Option<String>,
    /// Of items with this key.
    pub key: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

/// An event with what never leaves the log.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The event, bodies included whatever their size.
    pub event: Event,
    /// Client's address.
    pub ip: Option<String>,
    /// Client's `User-Agent`.
    pub user_agent: Option<String>,
    /// Client's `Origin`.
    pub origin: Option<String>,
}

impl Log {
    /// The log in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Visible events after a position, in order: at most `limit`, fewer when they are large (at least one if there
    /// is one). May see past gaps that are still to be filled: use `Tail` where nothing may be missed.
    ///
    /// # Errors
    /// When the database is away; `Corrupt`.
    pub async fn read(&self, after: i64, limit: usize) -> Result<Vec<Event>, Error> {
        let rows = rows::planned_anew(bounded!("eventus.events WHERE position > $1", "$2", "$3"))
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(BATCH_BYTES)
            .fetch_all(&self.db)
            .await?;
        rows::events(&rows)
    }

    /// The event at a position.
    ///
    /// # Errors
    /// When the database is away; `Corrupt`.
    pub async fn get(&self, position: i64) -> Result<Option<StoredEvent>, Error> {
        const ONE: &str = concat!(
            "SELECT ",
            columns!(),
            ", ip, user_agent, origin FROM eventus.events WHERE position = $1"
        );
        let row = sqlx::query(ONE).bind(position).fetch_optional(&self.db).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredEvent {
            event: rows::event(&row)?,
            ip: row.try_get(21)?,
            user_agent: row.try_get(22)?,
            origin: row.try_get(23)?,
        }))
    }

    /// The events at these positions, in order; positions without one are passed over.
    ///
    /// # Errors
    /// When the database is away; `Corrupt`.
    pub async fn at(&self, positions: &[i64]) -> Result<Vec<Event>, Error> {
        const AT: &str =
            concat!("SELECT ", columns!(), " FROM eventus.events WHERE position = ANY($1) ORDER BY position");
        let rows = rows::planned_anew(AT).bind(positions).fetch_all(&self.db).await?;
        rows::events(&rows)
    }

    /// Visible events that are wanted, in order: as `read`.
    ///
    /// # Errors
    /// When the database is away; `Corrupt`.
    pub async fn find(&self, wanted: &Wanted, limit: usize) -> Result<Vec<Event>, Error> {
        let rows = rows::planned_anew(bounded!(
            "eventus.events WHERE position > $1 AND position <= $2 AND ($3::bigint[] IS NULL OR position = ANY($3)) \
             AND ($4::text IS NULL OR collection = $4) AND ($5::text IS NULL OR key = $5) \
             AND ($6::text IS NULL OR name = $6)",
            "$7",
            "$8"
        ))
        .bind(wanted.after)
        .bind(wanted.upto)
        .bind(&wanted.positions)
        .bind(&wanted.collection)
        .bind(&wanted.key)
        .bind(&wanted.name)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(BATCH_BYTES)
        .fetch_all(&self.db)
        .await?;
        rows::events(&rows)
    }

    /// Positions of the events with these ids, as far as they are there. An id tells when it was made, so only the part of
    /// the log around that time is looked through.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn positions_of(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, Error> {
        const NEAR: &str = "SELECT e.id, e.position FROM eventus.events e
            WHERE e.position > coalesce(eventus.position_at($2 - interval '1 minute', $3), 0)
              AND e.position <= coalesce(eventus.position_at($2 + interval '10 minutes', $3), 0) AND e.id = $1";
        let end: i64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT position FROM eventus.events ORDER BY position DESC LIMIT 1), 0)",
        )
        .fetch_one(&self.db)
        .await?;
        let mut found = Vec::new();
        for id in ids {
            let Some((seconds, nanoseconds)) = id.get_timestamp().map(|made| made.to_unix()) else {
                continue;
            };
            let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
            let Ok(made) = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds) else { continue };
            let near: Option<(Uuid, i64)> =
                sqlx::query_as(NEAR).bind(id).bind(made).bind(end).fetch_optional(&self.db).await?;
            found.extend(near);
        }
        Ok(found)
    }

    /// A position up to which everything is settled: nothing can appear at or below it any more. The greatest
    /// position when nobody is appending, else where the relay is; so it never goes too far, and may lag while
    /// the bus is away and writers are busy.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn last_settled(&self) -> Result<i64, Error> {
        // The order matters: whoever has a position below the greatest visible one and is not among the appenders
        // that are looked up afterwards has ended.
        let last: i64 = sqlx::query_scalar(
            "SELECT coalesce((SELECT position FROM eventus.events ORDER BY position DESC LIMIT 1), 0)",
        )
        .fetch_one(&self.db)
        .await?;
        if crate::tail::appenders(&self.db).await?.is_empty() {
            return Ok(last);
        }
        Ok(Mark::load(&self.db).await?.position)
    }

    /// The first and the last visible position; zeros of an empty log.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ends(&self) -> Result<(i64, i64), Error> {
        const ENDS: &str =
            "SELECT coalesce((SELECT position FROM eventus.events ORDER BY position LIMIT 1), 0),
            coalesce((SELECT position FROM eventus.events ORDER BY position DESC LIMIT 1), 0)";
        Ok(sqlx::query_as(ENDS).fetch_one(&self.db).await?)
    }

    /// Where a position stands.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn at_position(&self, position: i64) -> Result<Moment, Error> {
        if position > self.last_settled().await? {
            return Ok(Moment::Unsettled);
        }
        let horizon = Horizon::load(&self.db).await?;
        if position < horizon.position {
            return Ok(Moment::Gone(horizon));
        }
        // Its own position or the one before is where the log begins.
        let first: Option<i64> =
            sqlx::query_scalar("SELECT position FROM eventus.events ORDER BY position LIMIT 1")
                .fetch_optional(&self.db)
                .await?;
        Ok(match first {
            Some(first) if position < first - 1 => Moment::Before,
            _ => Moment::At(position),
        })
    }

    /// Where a time of the database's clock stands: behind the last event that was appended then or before.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn at_time(&self, time: OffsetDateTime) -> Result<Moment, Error> {
        let settled = self.last_settled().await?;
        let (found, past): (Option<i64>, bool) =
            sqlx::query_as("SELECT eventus.position_at($1, $2), $1 <= clock_timestamp()")
                .bind(time)
                .bind(settled)
                .fetch_one(&self.db)
                .await?;
        let horizon = Horizon::load(&self.db).await?;
        Ok(match found {
            _ if !past => Moment::Unsettled,
            _ if found.unwrap_or(0) < horizon.position => Moment::Gone(horizon),
            Some(position) => Moment::At(position),
            None => Moment::Before,
        })
    }
}
