//! Events of the log, page by page.

use event_store::{Log, Wanted};
use model::{Error, Errors};
use proto::upkeep::v1 as pb;
use serde_json::Value;

use super::selection::{Asked, Stretch};
use super::{Upkeep, away};

/// Entries of a page: when no number is named, and at most.
const LIMIT: (i64, i64) = (100, 1_000);

/// The size of a page.
pub fn limit(given: i64) -> Result<usize, Error> {
    let (default, most) = LIMIT;
    match given {
        0 => Ok(usize::try_from(default).unwrap_or_default()),
        given if (1..=most).contains(&given) => Ok(usize::try_from(given).unwrap_or_default()),
        _ => Err(Error::invalid_query(format!("\"limit\" must be a number from 1 to {most}"))),
    }
}

impl Upkeep {
    /// Events of the log in order, as far as it is settled.
    ///
    /// # Errors
    /// The selection can't be, or lies before the log begins; the database is away.
    pub async fn list_events(&self, request: pb::ListEventsRequest) -> Result<Value, Errors> {
        let limit = limit(request.limit)?;
        let Stretch { after, upto, positions, collection } =
            Asked::read(request.selection)?.stretch(&self.db).await?;
        let wanted = Wanted {
            after: after.max(request.after),
            upto,
            positions,
            collection,
            key: Some(request.key).filter(|key| !key.is_empty()),
            name: Some(request.event).filter(|name| !name.is_empty()),
        };
        let events = Log::new(self.db.clone()).find(&wanted, limit).await.map_err(away)?;
        serde_json::to_value(&events).map_err(|error| {
            tracing::error!(%error, "events have no JSON");
            Error::internal().into()
        })
    }
}
