//! Time is handed in, so that tests can hold it.

use time::OffsetDateTime;

/// Gives the present instant, in UTC.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one home of the present")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}
