//! How often somebody may ask: token buckets, shared by a fleet through Redis, in memory where there is none.
//!
//! `rate` decides (pure), `memory` and `shared` keep buckets, `Limiter` asks the one or the other, `Attempts` are the
//! limits of what tries credentials. No text of a client enters a key: keys are hashes.

mod attempts;
mod config;
mod key;
mod limiter;
mod memory;
mod rate;
mod shared;

pub use attempts::{Attempt, Attempts, Tried};
pub use config::{AttemptConfig, Config};
pub use key::{Key, of_address};
pub use limiter::{Bucket, Limiter, Sort, Verdict};
pub use rate::{Mode, Rate};
