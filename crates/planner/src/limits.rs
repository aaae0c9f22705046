//! How much one query may ask for, and how much one request may change.

use model::Error;
use query::Query;

/// Bounds of a query. The defaults are those of Directus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items of a list whose query names no limit (`QUERY_LIMIT_DEFAULT`, 100); none: all of them.
    pub default: Option<u32>,
    /// Items of a list at most (`QUERY_LIMIT_MAX`); none: as many as there are. Also what `limit=-1` means then.
    pub max: Option<u32>,
    /// Names in a path at most, and levels of `deep` (`MAX_RELATIONAL_DEPTH`, 10).
    pub depth: usize,
    /// Items that one request may make, change or delete (`MAX_BATCH_MUTATION`); none: as many as it names.
    pub batch: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { default: Some(100), max: None, depth: 10, batch: None }
    }
}

impl Limits {
    /// How many items a query may get; none: as many as there are.
    ///
    /// # Errors
    /// `INVALID_QUERY`: it asks for more than the most.
    pub fn items(self, query: &Query) -> Result<Option<i64>, Error> {
        let max = self.max.map(i64::from);
        match (query.limit, max) {
            (Some(limit), Some(max)) if limit > max => {
                Err(Error::invalid_query(format!("\"limit\" must be less than or equal to {max}")))
            }
            (Some(limit), _) if limit >= 0 => Ok(Some(limit)),
            (Some(_), max) => Ok(max),
            (None, max) => Ok(match (self.default.map(i64::from), max) {
                (Some(default), Some(max)) => Some(default.min(max)),
                (default, max) => default.or(max),
            }),
        }
    }

    /// What can be said of a query before it is planned.
    ///
    /// # Errors
    /// `INVALID_QUERY`: it asks for too many items, or `deep` goes too deep.
    pub(crate) fn check(self, query: &Query) -> Result<(), Error> {
        self.items(query)?;
        self.check_depth(levels(query))
    }

    /// One request changes so many items.
    ///
    /// # Errors
    /// `INVALID_PAYLOAD`: they are more than the most.
    pub fn check_batch(self, items: usize) -> Result<(), Error> {
        match self.batch {
            Some(most) if u32::try_from(items).is_ok_and(|items| items <= most) => Ok(()),
            Some(most) => Err(Error::invalid_payload(format!("Exceeded max batch mutation limit of {most}"))),
            None => Ok(()),
        }
    }

    /// A path of so many names is within bounds.
    pub(crate) fn check_depth(self, names: usize) -> Result<(), Error> {
        if names > self.depth {
            return Err(Error::invalid_query("Max relational depth exceeded"));
        }
        Ok(())
    }
}

/// Levels of `deep`; how deep they can be is the parser's to say.
fn levels(query: &Query) -> usize {
    query.deep.values().map(|below| levels(below) + 1).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use query::Query;

    use super::Limits;

    #[test]
    fn a_query_gets_what_it_may() {
        let query = |limit| Query { limit, ..Query::default() };
        let items = |limits: Limits, limit| limits.items(&query(limit)).map_err(|error| error.message);
        let free = Limits::default();
        assert_eq!(items(free, None), Ok(Some(100)));
        assert_eq!(items(free, Some(-1)), Ok(None));
        assert_eq!(items(free, Some(5_000)), Ok(Some(5_000)));
        let bound = Limits { default: Some(5), max: Some(20), depth: 3, batch: None };
        assert_eq!(items(bound, None), Ok(Some(5)));
        assert_eq!(items(bound, Some(-1)), Ok(Some(20)));
        assert_eq!(items(bound, Some(0)), Ok(Some(0)));
        let refused = "Invalid query. \"limit\" must be less than or equal to 20.";
        assert_eq!(items(bound, Some(21)), Err(refused.to_owned()));
        assert_eq!(items(Limits { default: None, ..bound }, None), Ok(Some(20)));
        assert_eq!(items(Limits { default: Some(50), ..bound }, None), Ok(Some(20)));
        assert_eq!(items(Limits { default: None, ..free }, None), Ok(None));
        let deep = |text: &str| bound.check(&Query::from_query_string(&format!("deep={text}")).unwrap());
        assert!(deep(r#"{"a":{"b":{"c":{"_limit":1}}}}"#).is_ok());
        assert!(deep(r#"{"a":{"b":{"c":{"d":{"_limit":1}}}}}"#).is_err());
    }

    #[test]
    fn a_request_changes_what_it_may() {
        let bound = Limits { batch: Some(2), ..Limits::default() };
        assert!(bound.check_batch(2).is_ok() && Limits::default().check_batch(1_000_000).is_ok());
        let refused = bound.check_batch(3).unwrap_err();
        assert_eq!(refused.message, "Invalid payload. Exceeded max batch mutation limit of 2.");
    }
}
