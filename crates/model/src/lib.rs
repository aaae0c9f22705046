//! The nouns every Eventus process speaks: accountability, schema, filter, event, error codes, clock, ids.
//!
//! Nothing here does anything: no runtime, no database, no network. Every other crate may use it.

mod accountability;
mod clock;
mod error;
mod event;
mod filter;
mod geometry;
mod ids;
mod instant;
mod ledger;
mod replay;
mod schema;
mod trace;

pub use accountability::{Accountability, ShareScope};
pub use clock::{Clock, SystemClock, milliseconds};
pub use error::{Error, ErrorCode, Errors};
pub use event::{
    Event, EventName, ReadError, SCHEMA as EVENT_SCHEMA, read as read_event, schema_of as event_schema,
};
pub use filter::{Filter, Function, Operator, Quantifier};
pub use geometry::{Dimensions, GeometryColumn, GeometryKind, SRID};
pub use ids::{Ids, RandomIds};
pub use instant::parse_instant;
pub use ledger::{DeadLetter, Ledger, LedgerError};
pub use replay::{Replay, ReplayKind, ReplayPage, ReplayStep};
pub use schema::{
    Collection, Field, FieldType, KeySource, Link, Past, Schema, SearchIndex, Special, quote_identifier,
};
pub use trace::TraceParent;
