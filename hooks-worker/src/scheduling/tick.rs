//! Which tick of a schedule is due: a pure decision about instants.
//!
//! The rule for missed ticks: after a pause only the latest one runs, and only when it is at most an hour old;
//! the ones before it are skipped. A hook that has never run begins with its next tick.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use time::{Duration, OffsetDateTime};

/// A missed tick older than this is skipped.
pub const WINDOW: Duration = Duration::hours(1);

/// A cron expression that has been understood. Times are UTC.
#[derive(Debug, Clone)]
pub struct Schedule(Box<Cron>);

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The tick to run at once.
    pub due: Option<OffsetDateTime>,
    /// Ticks between the last one and now are left out.
    pub skipped: bool,
    /// The first tick after now; `None` when there never is one (30 February).
    pub next: Option<OffsetDateTime>,
}

impl Schedule {
    /// Reads five fields, or six with seconds first.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn parse(text: &str) -> Result<Self, croner::errors::CronError> {
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        parser.parse(text).map(|cron| Self(Box::new(cron)))
    }

    /// What to do at `now` when `last` was the last tick that was taken (or the moment the hook was first seen).
    pub fn decide(&self, last: OffsetDateTime, now: OffsetDateTime) -> Decision {
        let next = self.after(now);
        let Some(latest) = self.at_or_before(now).filter(|latest| *latest > last) else {
            return Decision { due: None, skipped: false, next };
        };
        let due = (now - latest <= WINDOW).then_some(latest);
        let earlier = self.at_or_before(latest - Duration::seconds(1)).is_some_and(|tick| tick > last);
        Decision { due, skipped: earlier || due.is_none(), next }
    }

    fn after(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        from_chrono(self.0.find_next_occurrence(&to_chrono(now)?, false).ok()?)
    }

    fn at_or_before(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        from_chrono(self.0.find_previous_occurrence(&to_chrono(now)?, true).ok()?)
    }
}

/// Whole seconds: no tick lies between them.
fn to_chrono(instant: OffsetDateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(instant.unix_timestamp(), 0)
}

fn from_chrono(instant: DateTime<Utc>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(instant.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    use super::{Decision, Schedule, WINDOW};

    const NOON: OffsetDateTime = datetime!(2026-03-01 12:00:00 UTC);

    fn every_ten_minutes() -> Schedule {
        Schedule::parse("*/10 * * * *").unwrap()
    }

    #[test]
    fn nothing_is_due_before_the_first_tick() {
        let decision = every_ten_minutes().decide(NOON, NOON + Duration::minutes(9));
        let next = Some(NOON + Duration::minutes(10));
        assert_eq!(decision, Decision { due: None, skipped: false, next });
    }

    #[test]
    fn a_tick_is_due_at_its_second_and_once() {
        let schedule = every_ten_minutes();
        let tick = NOON + Duration::minutes(10);
        for late in [Duration::ZERO, Duration::milliseconds(999), Duration::minutes(9)] {
            let decision = schedule.decide(NOON, tick + late);
            assert_eq!((decision.due, decision.skipped), (Some(tick), false), "{late}");
            assert_eq!(schedule.decide(tick, tick + late).due, None);
        }
        let before = schedule.decide(NOON, tick - Duration::milliseconds(1));
        assert_eq!((before.due, before.next), (None, Some(tick)));
    }

    #[test]
    fn after_a_pause_only_the_latest_tick_runs() {
        let decision = every_ten_minutes().decide(NOON, NOON + Duration::minutes(47));
        assert_eq!(decision.due, Some(NOON + Duration::minutes(40)));
        assert!(decision.skipped);
        assert_eq!(decision.next, Some(NOON + Duration::minutes(50)));
    }

    #[test]
    fn a_tick_missed_by_more_than_an_hour_is_skipped() {
        let daily = Schedule::parse("0 12 * * *").unwrap();
        let yesterday = NOON - Duration::days(1);
        assert_eq!(daily.decide(yesterday, NOON + WINDOW).due, Some(NOON));
        let late = daily.decide(yesterday, NOON + WINDOW + Duration::seconds(1));
        assert_eq!((late.due, late.skipped), (None, true));
        assert_eq!(late.next, Some(NOON + Duration::days(1)));
    }

    #[test]
    fn seconds_are_optional_and_nonsense_is_refused() {
        let seconds = Schedule::parse("*/5 * * * * *").unwrap();
        assert_eq!(
            seconds.decide(NOON, NOON + Duration::seconds(12)).due,
            Some(NOON + Duration::seconds(10))
        );
        for bad in ["", "* * * *", "61 * * * *", "x * * * *"] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_that_never_comes_is_never_due() {
        if let Ok(never) = Schedule::parse("0 0 30 2 *") {
            let decision = never.decide(NOON - Duration::days(400), NOON);
            assert_eq!(decision, Decision { due: None, skipped: false, next: None });
        }
    }

    proptest! {
        /// A virtual clock walks for a while, with pauses; the worker takes what is due.
        #[test]
        fn ticks_run_once_in_order_and_none_is_missed_without_a_pause(
            steps in proptest::collection::vec(prop_oneof![8 => 1_i64..40, 1 => 40_i64..20_000], 1..150),
        ) {
            let schedule = Schedule::parse("*/1 * * * *").unwrap();
            let (mut now, mut last) = (NOON, NOON);
            let mut paused = false;
            for step in steps {
                now += Duration::seconds(step);
                paused |= step > 40;
                let decision = schedule.decide(last, now);
                if let Some(due) = decision.due {
                    prop_assert!(due > last && due <= now && now - due <= WINDOW);
                    prop_assert!(paused || due - last == Duration::minutes(1));
                    last = due;
                    paused = false;
                }
                let next = decision.next.unwrap();
                prop_assert!(next > now && next - now <= Duration::minutes(1));
            }
        }
    }
}
