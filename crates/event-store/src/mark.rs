//! How far the one relay has come: a single row, written under its lease.

use db::{Db, Lease};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// The relay's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Last position that the bus has acknowledged.
    pub position: i64,
    /// Sequence of that message in the stream.
    pub stream_sequence: i64,
    /// When that stream was made; another time means another stream.
    pub stream_created: Option<OffsetDateTime>,
    /// Part of `ce-source`; a reset makes a new one.
    pub epoch: Uuid,
}

type Row = (i64, i64, Option<OffsetDateTime>, Uuid);

impl Mark {
    /// The stored mark.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn load(db: &Db) -> Result<Self, Error> {
        let row: Row =
            sqlx::query_as("SELECT position, stream_sequence, stream_created, epoch FROM eventus.relay")
                .fetch_one(db)
                .await?;
        let (position, stream_sequence, stream_created, epoch) = row;
        Ok(Self { position, stream_sequence, stream_created, epoch })
    }

    /// Stores position, sequence and stream, if the lease is still ours; the epoch is left as it is.
    ///
    /// # Errors
    /// `LeaseLost` when another holds it (nothing is written then); when the database is away.
    pub async fn store(&self, db: &Db, lease: &Lease) -> Result<(), Error> {
        // The share lock makes a new holder wait until this is written: it never reads a mark that we then overtake.
        let done = sqlx::query(
            "WITH ours AS MATERIALIZED (
                 SELECT 1 FROM eventus.leases WHERE name = $4 AND fence = $5 FOR SHARE
             )
             UPDATE eventus.relay SET position = $1, stream_sequence = $2, stream_created = $3, updated = now()
             WHERE EXISTS (SELECT 1 FROM ours)",
        )
        .bind(self.position)
        .bind(self.stream_sequence)
        .bind(self.stream_created)
        .bind(lease.name())
        .bind(lease.fence())
        .execute(db)
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::LeaseLost(lease.name().to_owned())) }
    }

    /// Starts again behind `position`, for a stream that was made anew: no stream known, a new epoch. Under the
    /// relay's lease, as `store`.
    ///
    /// # Errors
    /// As `store`.
    pub async fn reset(db: &Db, lease: &Lease, position: i64) -> Result<Self, Error> {
        let mut transaction = db.begin().await?;
        if !lease.confirm(&mut transaction).await? {
            return Err(Error::LeaseLost(lease.name().to_owned()));
        }
        sqlx::query(
            "UPDATE eventus.relay SET position = $1, stream_sequence = 0, stream_created = NULL,
                 epoch = gen_random_uuid(), updated = now()",
        )
        .bind(position)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Self::load(db).await
    }

    /// The lowest position that any consumer has applied: from behind it a new stream has to be filled. 0 when
    /// there is no consumer.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lowest_applied(db: &Db) -> Result<i64, Error> {
        Ok(sqlx::query_scalar("SELECT coalesce(min(low_water), 0) FROM eventus.consumers")
            .fetch_one(db)
            .await?)
    }
}
