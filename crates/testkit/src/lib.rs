//! What tests stand on: a throw-away database, nats-server, HTTP sink, trace collector, clock, and
//! a world of them in which a process of the fleet can run.
//!
//! Everything is real and private to the test that made it. Whatever goes wrong here panics: a test cannot go on.

mod clock;
mod collector;
mod database;
mod event;
mod nats;
mod ports;
mod postgres;
pub mod process;
mod redis;
mod settings;
mod sink;
mod smtp;
mod template;
mod wait;
mod world;

pub use clock::TestClock;
pub use collector::{CollectedSpan, TraceCollector};
pub use database::{Outcome, TestDatabase, database, empty_database};
pub use event::{TRACE, event, new_event};
pub use nats::{Nats, nats_client, subscribed};
pub use ports::free_address;
pub use postgres::Postgres;
pub use redis::Redis;
pub use sink::{Answer, Recorded, Sink};
pub use smtp::{Received, Smtp};
pub use wait::{eventually, eventually_some};
pub use world::{PATIENCE, World};
