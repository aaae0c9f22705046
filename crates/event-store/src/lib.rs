//! Append to and read from the event log; inbox and low-water marks; the relay's ordered tail.
//!
//! Positions are given when rows are appended, not when they commit: only `Tail` (and what is built on it) knows
//! up to where nothing can appear any more.

mod append;
mod error;
pub mod heads;
mod horizon;
pub mod inbox;
mod ledger;
mod log;
mod mark;
pub mod partitions;
mod replays;
mod rows;
mod tail;
pub mod writes;

pub use append::{CHUNK, NewEvent, append};
pub use error::Error;
pub use horizon::Horizon;
pub use ledger::PgLedger;
pub use log::{Log, Moment, StoredEvent, Wanted};
pub use mark::Mark;
pub use replays::NewReplay;
pub use tail::Tail;
