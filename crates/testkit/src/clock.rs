//! A clock that stands still until it is told to move.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Clock;
use time::OffsetDateTime;

/// A clock in the test's hand. Clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl TestClock {
    /// Shows this instant.
    pub fn at(now: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Shows another instant.
    pub fn set(&self, now: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Default for TestClock {
    /// Noon on the first day of 2026, UTC.
    fn default() -> Self {
        Self::at(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800))
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
