//! Plain reading of the log, where it does not matter that a row may still appear below what was read.

use db::Db;
use model::Event;
use sqlx::Row as _;
use time::OffsetDateTime;

use crate::rows::{self, BATCH_BYTES, bounded, columns};
use crate::{Error, Mark};

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
            ip: row.try_get(20)?,
            user_agent: row.try_get(21)?,
            origin: row.try_get(22)?,
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
        Ok(match found {
            _ if !past => Moment::Unsettled,
            Some(position) => Moment::At(position),
            None => Moment::Before,
        })
    }
}
