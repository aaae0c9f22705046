//! What tests stand on: a throw-away database, nats-server, HTTP sink, trace collector, clock.
//!
//! Everything is real and private to the test that made it. Whatever goes wrong here panics: a test cannot go on.

mod clock;
mod collector;
mod database;
mod nats;
mod ports;
mod postgres;
mod settings;
mod sink;
mod template;
mod wait;

pub use clock::TestClock;
pub use collector::{CollectedSpan, TraceCollector};
pub use database::{Outcome, TestDatabase, database, empty_database};
pub use nats::Nats;
pub use ports::free_address;
pub use postgres::Postgres;
pub use sink::{Answer, Recorded, Sink};
pub use wait::{eventually, eventually_some};
