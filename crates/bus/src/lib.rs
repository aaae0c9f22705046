//! JetStream: topology as data, envelope, publisher, the one consumer loop with retry and dead letter.
//!
//! The stream is a rebuildable copy of the event log. Nothing here may lose an event when the broker forgets
//! everything, and nothing here talks to PostgreSQL: a consumer's memory is a [`model::Ledger`].

mod config;
mod connection;
pub mod consumer;
pub mod envelope;
pub mod erasing;
mod error;
pub mod letters;
mod ping;
mod publisher;
pub mod subject;
pub mod topology;
pub mod users;

pub use config::Config;
pub use connection::{Bus, State};
pub use consumer::{ConsumerConfig, Failure, Handler};
pub use error::Error;
pub use ping::Pings;
pub use publisher::{Marks, Published, Publisher, Resume};
pub use subject::subject;
