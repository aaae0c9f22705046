//! Which events an operator means: ids, positions, a range, a time, a collection, as a stretch of the log.

use event_store::{Horizon, Log, Moment};
use model::{Error, Errors};
use proto::upkeep::v1 as pb;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::away;

/// Most ids of one request: each is looked for by itself.
const IDS: usize = 1_000;
/// Most positions of one request.
const POSITIONS: usize = 10_000;

/// A stretch of the log, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Behind this position.
    pub after: i64,
    /// Up to this one.
    pub upto: i64,
    /// These only, in order.
    pub positions: Option<Vec<i64>>,
    /// Of this collection only.
    pub collection: Option<String>,
}

/// What a selection says, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub ids: Vec<Uuid>,
    pub positions: Vec<i64>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub since: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
    pub collection: Option<String>,
}

impl Asked {
    /// Reads a selection.
    ///
    /// # Errors
    /// It says something that can't be.
    pub fn read(selection: Option<pb::Selection>) -> Result<Self, Error> {
        let given = selection.unwrap_or_default();
        let ids = given.ids.iter().map(|id| {
            Uuid::try_parse(id)
                .map_err(|_| Error::invalid_payload(format!("\"{id}\" is not the id of an event")))
        });
        let asked = Self {
            ids: ids.collect::<Result<_, _>>()?,
            positions: given.positions,
            from: given.from,
            to: given.to,
            since: moment("since", &given.since)?,
            until: moment("until", &given.until)?,
            collection: Some(given.collection).filter(|name| !name.is_empty()),
        };
        if asked.ids.len() > IDS {
            return Err(Error::invalid_payload(format!("\"ids\" may name {IDS} events at most")));
        }
        if asked.positions.len() > POSITIONS {
            return Err(Error::invalid_payload(format!("\"positions\" may name {POSITIONS} events at most")));
        }
        let named = asked.positions.iter().chain(&asked.from).chain(&asked.to);
        if named.into_iter().any(|position| *position < 1) {
            return Err(Error::invalid_payload("Positions are numbers from 1"));
        }
        if asked.from.zip(asked.to).is_some_and(|(from, to)| from > to)
            || asked.since.zip(asked.until).is_some_and(|(since, until)| since > until)
        {
            return Err(Error::invalid_payload("The selection ends before it begins"));
        }
        Ok(asked)
    }

    /// Whether nothing is said: everything is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Finds out what of the log is meant; nothing of it is dropped, and all of it settled.
    ///
    /// # Errors
    /// An event that is not there, a place before the log begins; the database is away.
    pub async fn stretch(&self, db: &db::Db) -> Result<Stretch, Errors> {
        let log = Log::new(db.clone());
        let settled = log.last_settled().await.map_err(away)?;
        let horizon = Horizon::load(db).await.map_err(away)?.position;
        let mut after = self.from.map_or(horizon, |from| from - 1);
        let mut upto = self.to.unwrap_or(settled).min(settled);
        if let Some(since) = self.since {
            // The moment itself is meant, too.
            match log.at_time(since - Duration::microseconds(1)).await.map_err(away)? {
                Moment::At(position) => after = after.max(position),
                Moment::Before => {}
                Moment::Gone(_) => return Err(Error::history_gone(horizon).into()),
                Moment::Unsettled => after = after.max(settled),
            }
        }
        if let Some(until) = self.until {
            match log.at_time(until).await.map_err(away)? {
                Moment::At(position) => upto = upto.min(position),
                Moment::Before => upto = horizon,
                Moment::Gone(_) => return Err(Error::history_gone(horizon).into()),
                Moment::Unsettled => {}
            }
        }
        let positions = self.named(&log).await?;
        if let Some((first, last)) = positions.as_ref().and_then(|named| named.first().zip(named.last())) {
            if self.from.is_none() && self.since.is_none() {
                after = first - 1;
            }
            upto = upto.min(*last);
        }
        if after < horizon {
            return Err(Error::history_gone(horizon).into());
        }
        Ok(Stretch { after, upto: upto.max(after), positions, collection: self.collection.clone() })
    }

    /// The events that are named one by one.
    async fn named(&self, log: &Log) -> Result<Option<Vec<i64>>, Errors> {
        if self.ids.is_empty() && self.positions.is_empty() {
            return Ok(None);
        }
        let mut named = self.positions.clone();
        let found = log.positions_of(&self.ids).await.map_err(away)?;
        if let Some(missing) = self.ids.iter().find(|id| !found.iter().any(|(other, _)| other == *id)) {
            return Err(Error::invalid_payload(format!("There is no event {missing} in the log")).into());
        }
        named.extend(found.into_iter().map(|(_, position)| position));
        named.sort_unstable();
        named.dedup();
        Ok(Some(named))
    }
}

fn moment(name: &str, text: &str) -> Result<Option<OffsetDateTime>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Error::invalid_payload(format!("\"{name}\" is not a time such as 2026-01-31T12:00:00Z"));
    model::parse_instant(text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{Asked, pb};

    fn read(selection: pb::Selection) -> Result<Asked, model::Error> {
        Asked::read(Some(selection))
    }

    #[test]
    fn nothing_means_everything() {
        assert!(Asked::read(None).unwrap().is_empty());
        let one = pb::Selection { collection: "articles".to_owned(), ..Default::default() };
        assert!(!read(one).unwrap().is_empty());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let day = |text: &str| text.to_owned();
        let wrong = [
            pb::Selection { ids: vec!["7".to_owned()], ..Default::default() },
            pb::Selection { positions: vec![0], ..Default::default() },
            pb::Selection { from: Some(-1), ..Default::default() },
            pb::Selection { from: Some(5), to: Some(4), ..Default::default() },
            pb::Selection { since: "yesterday".to_owned(), ..Default::default() },
            pb::Selection { since: day("2026-02-01"), until: day("2026-01-01"), ..Default::default() },
            pb::Selection { positions: vec![1; 10_001], ..Default::default() },
        ];
        for selection in wrong {
            assert!(read(selection.clone()).is_err(), "{selection:?}");
        }
        assert!(read(pb::Selection { from: Some(5), to: Some(5), ..Default::default() }).is_ok());
    }
}
