//! Places in the log as listeners name them: a position for administrators; for others a ticket, as a position counts what
//! they may not see. A ticket is good for whom it was given to, and says which log it is of.

use std::time::{Duration, Instant};

use event_store::{Log, Mark};
use model::{Accountability, Error};
use secrets::Sealer;
use tokio::sync::Mutex;
use uuid::Uuid;

/// How long it is believed where the log begins.
const FRESH: Duration = Duration::from_secs(1);

/// For whom a ticket is.
pub fn holder(who: &Accountability) -> String {
    match who {
        Accountability { share: Some(share), .. } => format!("share {share}"),
        Accountability { user: Some(user), .. } => format!("user {user}"),
        Accountability { process: Some(name), .. } => format!("process {name}"),
        _ => "public".to_owned(),
    }
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub position: i64,
    /// Which log: the relay's epoch.
    pub epoch: Uuid,
}

impl Place {
    /// As a text that only `holder` can use.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn seal(self, sealer: &Sealer, holder: &str) -> Result<String, secrets::Error> {
        let mut bytes = self.position.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.epoch.as_bytes());
        sealer.ticket(&bytes, holder)
    }

    /// What was sealed for `holder`.
    ///
    /// # Errors
    /// `INVALID_QUERY`: it was not.
    pub fn open(ticket: &str, sealer: &Sealer, holder: &str) -> Result<Self, Error> {
        let bytes = sealer.open_ticket(ticket, holder).ok();
        let place = bytes.and_then(|bytes| {
            let (position, epoch) = bytes.split_at_checked(8)?;
            let position = i64::from_be_bytes(position.try_into().ok()?);
            Some(Self { position, epoch: Uuid::from_slice(epoch).ok()? })
        });
        place.ok_or_else(|| Error::invalid_query("The id of the last event is none that was given to you"))
    }
}

/// Which log it is, and where it begins and ends.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub epoch: Uuid,
    first: i64,
    last: i64,
}

impl Extent {
    /// Why a stream can't go on behind a place; nothing when it can.
    pub fn lost(&self, after: i64, epoch: Option<Uuid>) -> Option<&'static str> {
        if epoch.is_some_and(|epoch| epoch != self.epoch) || after > self.last {
            return Some("replaced");
        }
        // From the beginning is from wherever it begins.
        (after > 0 && after < self.first - 1).then_some("trimmed")
    }
}

/// Knows the extent of the log.
#[derive(Debug)]
pub struct Extents {
    log: Log,
    db: db::Db,
    known: Mutex<Option<(Instant, Extent)>>,
}

impl Extents {
    /// Of the log in this database.
    pub fn new(db: db::Db) -> Self {
        Self { log: Log::new(db.clone()), db, known: Mutex::default() }
    }

    /// The extent, not older than a second, and new enough for a place behind `after`. Many who ask at a time ask once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn of(&self, after: i64) -> Result<Extent, event_store::Error> {
        let mut known = self.known.lock().await;
        if let Some((_, extent)) = known.filter(|(at, extent)| at.elapsed() < FRESH && after <= extent.last) {
            return Ok(extent);
        }
        let asked = Instant::now();
        let (first, last) = self.log.ends().await?;
        let extent = Extent { epoch: Mark::load(&self.db).await?.epoch, first, last };
        *known = Some((asked, extent));
        Ok(extent)
    }
}

#[cfg(test)]
mod tests {
    use model::{Accountability, ErrorCode};
    use secrets::Sealer;
    use uuid::Uuid;

    use super::{Extent, Place, holder};

    #[test]
    fn a_ticket_is_for_whom_it_was_given_to() {
        let sealer =
            Sealer::with_purpose("a secret of more than 32 characters, as it should be", "x").unwrap();
        let of = |user: u128| {
            holder(&Accountability { user: Some(Uuid::from_u128(user)), ..Accountability::default() })
        };
        let place = Place { position: 47, epoch: Uuid::from_u128(9) };
        let ticket = place.seal(&sealer, &of(1)).unwrap();
        assert_eq!(Place::open(&ticket, &sealer, &of(1)), Ok(place));
        let public = holder(&Accountability::default());
        for (ticket, holder) in [(ticket.as_str(), of(2)), (&ticket, public), ("47", of(1)), ("", of(1))] {
            let refused = Place::open(ticket, &sealer, &holder).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidQuery);
        }
    }

    #[test]
    fn a_place_is_lost_with_what_stood_there() {
        let epoch = Uuid::from_u128(1);
        let extent = Extent { epoch, first: 100, last: 200 };
        for (after, of, lost) in [
            (0, None, None),
            (99, None, None),
            (98, None, Some("trimmed")),
            (200, Some(epoch), None),
            (201, None, Some("replaced")),
            (150, Some(Uuid::from_u128(2)), Some("replaced")),
        ] {
            assert_eq!(extent.lost(after, of), lost, "{after}");
        }
    }
}
