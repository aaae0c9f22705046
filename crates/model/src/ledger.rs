//! What a consumer of events keeps beside its effects, so that the bus may lose or repeat everything.

use std::future::Future;

use crate::Event;

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

    /// Records an event that the consumer has given up. Idempotent by (consumer, event id).
    fn bury(&self, letter: DeadLetter) -> impl Future<Output = Result<(), LedgerError>> + Send;
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
}

/// The ledger could not be asked; the consumer tries again later.
#[derive(Debug, thiserror::Error)]
#[error("ledger: {0}")]
pub struct LedgerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
