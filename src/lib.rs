//! The all-in-one: any set of Eventus processes in one binary.
//!
//! `platform` starts roles and wires them to each other; `dev` brings a private PostgreSQL and nats-server.

pub mod dev;
pub mod doctor;
pub mod documents;
pub mod nats;
pub mod platform;
pub mod receiver;
pub mod role;
pub mod upkeep;

pub use platform::Error;
pub use role::Role;
