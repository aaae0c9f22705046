//! What a hook is: three traits, and the values that hooks are given.
//!
//! Bundled hooks and those of users implement the same traits and stand in the same registry.

mod payload;

use std::collections::BTreeSet;
use std::sync::Arc;

use chassis::BoxError;
use model::{Clock, Event, EventName};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub use self::payload::Payload;

/// May change or refuse payloads before they are planned and written.
///
/// Runs inside the client's request: it must be quick, must not block its thread, and has no effects of its own
/// (the write may still be refused after it). A panic or an overrun of the deadline fails the write.
#[tonic::async_trait]
pub trait FilterHook: Send + Sync {
    /// Unique among filter hooks; stands in `eventus.filter_registrations` and in metrics.
    fn name(&self) -> &str;

    /// When it wants to be asked. The set is fixed while the process lives.
    fn registrations(&self) -> Vec<Registration>;

    /// New entries in the same number and order, or `None` when nothing changes.
    ///
    /// # Errors
    /// [`FilterError::Refused`] reaches the client; [`FilterError::Broken`] is logged and the client gets a 500.
    async fn run(&self, call: &FilterCall) -> Result<Option<Vec<Box<RawValue>>>, FilterError>;
}

/// One event and collection that a filter hook is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registration {
    /// `items.create`, `items.update` or `items.delete`.
    pub event: String,
    /// A collection, or `*` for every user collection.
    pub collection: String,
    /// Lower ones run first; equal ones by the hook's name. 100 is the usual one.
    pub priority: i32,
}

/// What a filter hook gets.
#[derive(Debug)]
pub struct FilterCall {
    /// `items.create` ...
    pub event: EventName,
    /// Collection of the items.
    pub collection: String,
    /// Keys of the items (update only).
    pub keys: Vec<String>,
    /// Create: one payload per item. Update: the one change, or each item's own. Delete: the keys.
    /// JSON as the client wrote it, so that numbers keep their digits.
    pub entries: Vec<Box<RawValue>>,
}

/// Why a filter hook gave no entries.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The hook does not want this write; the client sees this error.
    #[error("refused: {0}")]
    Refused(#[source] model::Error),
    /// The hook could not do its work; the client sees a 500.
    #[error("broken: {0}")]
    Broken(#[source] BoxError),
}

impl FilterError {
    /// A refusal with a reason for the client: FAILED_VALIDATION.
    pub fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let error = model::Error::new(model::ErrorCode::FailedValidation)
            .with_message(format!("Validation failed. {reason}"))
            .with("reason", reason);
        Self::Refused(error)
    }
}

/// Reacts to committed events; never sees silent ones.
#[tonic::async_trait]
pub trait ActionHook: Send + Sync {
    /// Unique among action hooks; the key of its runs.
    fn name(&self) -> &str;

    /// Names of events: whole (`users.create`) or with `*` for one part (`items.*`), as [`fits`] says.
    fn patterns(&self) -> &[&str];

    /// Does its work for events that it has not yet run for, in order per item, and writes its effects through
    /// `conn`: they commit together with the record of the run, so each event has them once. Effects elsewhere
    /// happen at least once.
    ///
    /// # Errors
    /// [`bus::Failure::Retry`] has the events tried again, later one by one; [`bus::Failure::Fail`] gives them up
    /// as dead letters.
    async fn run(&self, events: &[&Event], conn: &mut PgConnection) -> Result<(), bus::Failure>;
}

/// Does something at given times, in one process of the fleet.
#[tonic::async_trait]
pub trait ScheduleHook: Send + Sync {
    /// Unique among schedule hooks; the key of its runs.
    fn name(&self) -> &str;

    /// Cron expression in UTC with five fields, or six with seconds first.
    fn cron(&self) -> &str;

    /// Does the work of one tick.
    ///
    /// A tick is taken again only when the process that ran it died before it ended. The future is dropped when
    /// the lease is lost.
    ///
    /// # Errors
    /// The text is kept with the run; the tick is not tried again.
    async fn run(&self, tick: &Tick) -> Result<(), BoxError>;
}

/// What a schedule hook gets.
#[derive(Debug, Clone)]
pub struct Tick {
    /// When the tick was due.
    pub scheduled_at: OffsetDateTime,
    /// Fence of the lease it runs under; grows with each change of holder.
    pub fence: i64,
    /// The database.
    pub db: db::Db,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

/// Whether an event's name fits a pattern: part by part, `*` stands for any one part. Custom events have names of any
/// length: in their patterns a `*` at the end stands for all parts that follow.
///
/// ```text
/// items.*   fits items.create, not users.create and not items.create.draft
/// custom.*  fits custom.imported and custom.article.created
/// ```
pub fn fits(pattern: &str, name: &EventName) -> bool {
    let mut parts = name.as_str().split('.');
    let all =
        pattern.split('.').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part));
    let open = pattern.starts_with("custom.") && pattern.ends_with(".*");
    all && (open || parts.next().is_none())
}

/// Names that stand more than once.
pub(crate) fn doubled<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use model::EventName;

    use super::{doubled, fits};

    #[test]
    fn a_star_stands_for_one_part() {
        let create = EventName::new("items", "create");
        for pattern in ["items.*", "*.create", "*.*", "items.create"] {
            assert!(fits(pattern, &create), "{pattern}");
        }
        for pattern in ["", "*", "items", "items.*.*", "users.*", "items.creat", "items.create."] {
            assert!(!fits(pattern, &create), "{pattern}");
        }
        let custom = EventName::parse("custom.article.created").unwrap();
        for pattern in ["custom.*", "custom.article.*", "custom.*.created", "custom.article.created"] {
            assert!(fits(pattern, &custom), "{pattern}");
        }
        for pattern in ["custom.page.*", "custom.article", "custom.article.created.*", "*.*", "custom"] {
            assert!(!fits(pattern, &custom), "{pattern}");
        }
    }

    #[test]
    fn doubled_names_are_found() {
        assert_eq!(doubled(["a", "b", "a"].into_iter()), ["a"]);
        assert!(doubled(["a", "b"].into_iter()).is_empty());
    }
}
