//! What every Eventus process does before and after its work: configuration, telemetry, lifecycle, health, tracked
//! tasks. A process gets its environment, its stop signal and its place to report from here and makes none itself.

pub mod admin;
mod env;
mod health;
pub mod metrics;
mod runtime;
mod shutdown;
mod tasks;
pub mod telemetry;
pub mod trace;

pub use env::{ConfigError, Env};
pub use health::{Component, Health, State};
pub use runtime::Runtime;
pub use shutdown::Shutdown;
pub use tasks::{Failure, Tasks};

/// Any error that may cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
