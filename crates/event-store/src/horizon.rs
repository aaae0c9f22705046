//! Where the log begins: what lies at or below was dropped, after what read models need of it was kept.

use db::Db;
use time::OffsetDateTime;

use crate::Error;

/// Where the log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Nothing at or below is part of the log any more.
    pub position: i64,
    /// Time of the last event that was dropped.
    pub time: Option<OffsetDateTime>,
}

impl Horizon {
    /// Where it stands now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn load(db: &Db) -> Result<Self, Error> {
        let (position, time) =
            sqlx::query_as("SELECT position, time FROM eventus.horizon").fetch_one(db).await?;
        Ok(Self { position, time })
    }
}
