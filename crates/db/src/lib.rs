//! How Eventus speaks to PostgreSQL: pool, migrations, error translation, leases, the control row.
//!
//! A server that is away is an error at use, never at start; once it is back, nobody has to do anything.

mod config;
pub mod control;
mod error;
mod executor;
mod kept;
pub mod leases;
mod migrations;
mod pool;
mod reading;

pub use config::Config;
pub use error::{Class, Error, public};
pub use kept::{Connection, Transaction};
pub use leases::Lease;
pub use migrations::{Applied, MIGRATIONS, Migration, migrate, migrate_url, migrated, wait_migrated};
pub use pool::{Db, connect};
pub use reading::Reading;
