//! The rule of a bucket, pure: it holds `points` tokens and gets them back evenly over `duration`.
//!
//! All that is kept of a bucket is the time at which it will be full again (the generic cell rate algorithm): its
//! backlog is how far that lies ahead, in microseconds. `shared.rs` has the same rule in Lua.

use std::time::Duration;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket, at least 1.
    pub points: u32,
    /// How long an empty bucket takes to fill, at most a year.
    pub duration: Duration,
}

/// What is done with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A token is taken, if there is one.
    Take,
    /// Nothing: is there one?
    Look,
    /// A token is taken in any case; the bucket may owe as many as it holds.
    Charge,
}

impl Rate {
    /// Microseconds in which a token comes back.
    pub(crate) fn interval(self) -> i64 {
        (self.span() / i64::from(self.points)).max(1)
    }

    /// Microseconds in which an empty bucket fills.
    pub(crate) fn span(self) -> i64 {
        i64::try_from(self.duration.as_micros()).unwrap_or(i64::MAX / 4)
    }

    /// A part of the tokens, at least one, in the same time.
    #[must_use]
    pub fn part(self, of: u32) -> Self {
        Self { points: (self.points / of).max(1), ..self }
    }

    /// Whether a bucket with this backlog has a token.
    pub(crate) fn has_token(self, backlog: i64) -> bool {
        backlog + self.interval() <= self.span()
    }

    /// The backlog after a token was taken.
    pub(crate) fn taken(self, backlog: i64) -> i64 {
        (backlog + self.interval()).min(2 * self.span())
    }

    /// Tokens that are left.
    pub(crate) fn remaining(self, backlog: i64) -> u32 {
        let left = (self.span() - backlog).max(0) / self.interval();
        u32::try_from(left).unwrap_or(u32::MAX).min(self.points)
    }

    /// Until there is a token.
    pub(crate) fn wait(self, backlog: i64) -> Duration {
        micros(backlog + self.interval() - self.span())
    }
}

/// Microseconds as a duration; below zero is none.
pub(crate) fn micros(number: i64) -> Duration {
    Duration::from_micros(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;

    const THREE: Rate = Rate { points: 3, duration: Duration::from_secs(9) };
    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let mut backlog = 0;
        for left in [3, 2, 1] {
            assert_eq!(THREE.remaining(backlog), left);
            assert!(THREE.has_token(backlog));
            backlog = THREE.taken(backlog);
        }
        assert!(!THREE.has_token(backlog));
        assert_eq!((THREE.remaining(backlog), THREE.wait(backlog)), (0, Duration::from_secs(3)));
        backlog -= 3 * SECOND;
        assert!(THREE.has_token(backlog));
        assert_eq!(THREE.wait(backlog), Duration::ZERO);
    }

    #[test]
    fn debts_end() {
        let mut backlog = 0;
        for _ in 0..100 {
            backlog = THREE.taken(backlog);
        }
        assert_eq!((backlog, THREE.remaining(backlog)), (18 * SECOND, 0));
        assert_eq!(THREE.wait(backlog), Duration::from_secs(12));
    }

    #[test]
    fn a_part_is_never_nothing() {
        assert_eq!(THREE.part(4).points, 1);
        assert_eq!(Rate { points: 100, ..THREE }.part(4).points, 25);
    }
}
