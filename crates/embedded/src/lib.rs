//! A private PostgreSQL and a private nats-server as children that die with us.
//! `tools` finds the programs, `keep` is the small step between fork and exec (death signal, identity), `Postgres` and `Nats`
//! are the running servers. Nothing here reads the environment: what it may use is handed in.
mod child;
mod error;
mod folder;
mod identity;
pub mod keep;
mod leftover;
pub mod nats;
pub mod postgres;
pub mod throwaway;
pub mod tools;

pub use child::Launcher;
pub use error::Error;
pub use folder::FolderLock;
pub use nats::Nats;
pub use postgres::Postgres;
pub use tools::{Search, Tools};
