//! What a consumer of events keeps beside its effects, so that the bus may lose or repeat everything.

use std::future::Future;

use crate::{Event, Replay, ReplayPage, ReplayStep};

/// A consumer's durable memory, kept in the same database as its effects.
///
/// The consumer loop (crate `bus`) asks and tells; crate `event-store` answers from PostgreSQL.
pub trait Ledger: Send + Sync + 'static {
    /// Every event at or below this position has been applied (or buried) by the consumer. 0 at first.
    fn low_water(&self) -> impl Future<Output = Result<i64, LedgerError>> + Send;

    /// Moves the mark up (never down) and forgets inbox entries at or below it.
    fn raise(&self, position: i64) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Settled events after a position, in order, at most `limit`: for a consumer that finds the stream
    /// beginning behind its mark.
    fn read_log(
        &self,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Event>, LedgerError>> + Send;

    /// One event with its bodies, whatever their size: for an event that came `oversized`.
    fn read_event(&self, position: i64) -> impl Future<Output = Result<Option<Event>, LedgerError>> + Send;

    /// Records an event that the consumer has given up, once per (consumer, event id).
    /// Once; and once more in each replay: then attempts add up, and the first error stays beside the last.
    fn bury(&self, letter: DeadLetter) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Takes the oldest replay of the consumer that has not ended, unless another process works on it.
    fn next_replay(&self) -> impl Future<Output = Result<Option<Replay>, LedgerError>> + Send {
        async { Ok(None) }
    }

    /// The next events of a replay, behind what is done of it.
    fn read_replay(&self, _replay: &Replay) -> impl Future<Output = Result<ReplayPage, LedgerError>> + Send {
        async { Ok(ReplayPage::default()) }
    }

    /// Says that we still work on it; `false` when it was cancelled or taken from us.
    fn hold_replay(&self, _replay: &Replay) -> impl Future<Output = Result<bool, LedgerError>> + Send {
        async { Ok(false) }
    }

    /// Writes down what came of a page. Dead letters of events that have had their effect go.
    fn step_replay(
        &self,
        _replay: &Replay,
        _step: ReplayStep,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send {
        async { Ok(false) }
    }

    /// Ends a replay: with a result as JSON, or with the reason why it failed.
    fn end_replay(
        &self,
        _replay: &Replay,
        _outcome: Result<Option<String>, String>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        async { Ok(()) }
    }

    /// Leaves a replay to others, at the stop.
    fn leave_replay(&self, _replay: &Replay) -> impl Future<Output = Result<(), LedgerError>> + Send {
        async { Ok(()) }
    }
}

/// An event that a consumer has given up, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The event, as far as it could be decoded.
    pub event_id: uuid::Uuid,
    /// Its position in the log.
    pub position: i64,
    /// The last error's text.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Trace id of the write, 32 hex digits.
    pub trace_id: Option<String>,
    /// The replay in which it was given up.
    pub replay: Option<uuid::Uuid>,
}

/// The ledger could not be asked; the consumer tries again later.
#[derive(Debug, thiserror::Error)]
#[error("ledger: {0}")]
pub struct LedgerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
