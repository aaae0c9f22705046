//! Work that is rows in PostgreSQL: takes what is due, tries again, forgets what ended long ago.
//!
//! All processes of a kind share the rows. What the work is, and which row may be taken when, is the worker's own
//! matter: it says so by its [`Work`].

mod forgetting;
mod pauses;
mod taking;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chassis::Runtime;
use db::Db;

pub use forgetting::{forget, retention};
pub use pauses::Pauses;
pub use taking::{POLL, next, run};

/// How much longer than its time-out a piece of work is taken: time to load it before and to record it after.
const MARGIN: Duration = Duration::from_secs(5);

/// So long a row is taken by one process when the work itself may take `timeout`. Then another may take it.
pub fn lock(timeout: Duration) -> Duration {
    timeout + MARGIN
}

/// One kind of work.
pub trait Work: Send + Sync + 'static {
    /// What a log line calls it, in the plural.
    const NAME: &'static str;

    /// A query for the number of rows whose work is neither done nor given up.
    const PENDING: &'static str;

    /// A statement that deletes rows which ended more than `$1` milliseconds ago, `$2` of them at most, and passes
    /// over rows that another process holds.
    const FORGET: &'static str;

    /// Where the rows are.
    fn db(&self) -> &Db;

    /// Takes what is due, as much as there is room for, and starts it; gives how long nothing else will be due
    /// (see [`next`]).
    fn look(&self, runtime: &Runtime) -> impl Future<Output = Result<Duration, sqlx::Error>> + Send;

    /// Resolves when there is something new, or room again. Dropping the future loses no word of it.
    fn woken(&self) -> impl Future<Output = ()> + Send;

    /// So many rows wait, in the whole fleet.
    fn pending(&self, count: i64);
}
