//! When to try again: a list of delays with jitter, slower for receivers that are overloaded, as late as they ask.

use std::time::Duration;

use chassis::{ConfigError, Env};
use http::header::{HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use model::Ids;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::{Class, Error, Response};

/// Delays between attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What stands between one attempt and the next; the first attempt is at once. After the last: given up.
    pub delays: Vec<Duration>,
    /// Least delay after a sign of overload (429, 502, 504, no answer in time).
    pub overload: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Schedule {
    /// What Standard Webhooks recommends: ten attempts over 75 hours, a minute at least after overload.
    pub fn standard() -> Self {
        let delays = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        Self { delays: delays.map(Duration::from_secs).to_vec(), overload: Duration::from_secs(60) }
    }

    /// Reads the delays and the overload delay by these keys. Without an overload delay of its own a short schedule
    /// waits its longest delay at most.
    ///
    /// # Errors
    /// A malformed value, more than 50 delays, one of more than 30 days, or an overload delay of more than a day.
    pub fn from_env(
        env: &Env,
        delays_key: &str,
        overload_key: &str,
        default: &Self,
    ) -> Result<Self, ConfigError> {
        let delays = env.durations(delays_key, &default.delays)?;
        let longest = delays.iter().copied().max().unwrap_or_default();
        if delays.len() > 50 || longest > 30 * DAY {
            return Err(ConfigError::invalid(delays_key, "at most 50 delays of at most 30d"));
        }
        let overload = env.duration(overload_key, default.overload.min(longest))?;
        if overload > DAY {
            return Err(ConfigError::invalid(overload_key, "at most 1d"));
        }
        Ok(Self { delays, overload })
    }

    /// How many attempts there are at most.
    pub fn attempts(&self) -> usize {
        self.delays.len() + 1
    }

    /// How long to wait after this attempt (1 = the first) has failed; `None`: it was the last.
    ///
    /// `draw` in 0..1 moves it by up to a fifth in either direction. An overloaded receiver is left alone for
    /// `overload` at least. A `Retry-After` counts between the delay and twice the delay, and is never undercut.
    pub fn next(&self, attempt: usize, failure: &Failure, draw: f64) -> Option<Duration> {
        let delay = *self.delays.get(attempt.checked_sub(1)?)?;
        let least = if failure.overloaded { delay.max(self.overload) } else { delay };
        if let Some(asked) = failure.retry_after {
            let asked = asked.clamp(least, 2 * least);
            return Some(asked.mul_f64(1.0 + draw * 0.2).min(2 * least));
        }
        let moved = least.mul_f64(0.8 + draw * 0.4);
        Some(if failure.overloaded { moved.max(self.overload) } else { moved })
    }
}

/// What a failed attempt says about the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failure {
    /// The receiver, or something before it, can't keep up.
    pub overloaded: bool,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Of an answer that is no success. `now` for a `Retry-After` that names a time.
    pub fn of_response(response: &Response, now: OffsetDateTime) -> Self {
        let overloaded = matches!(
            response.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        );
        Self { overloaded, retry_after: retry_after(&response.headers, now) }
    }

    /// Of no answer.
    pub fn of_error(error: Error) -> Self {
        Self { overloaded: error.class == Class::Timeout, retry_after: None }
    }
}

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER).map(HeaderValue::to_str)?.ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = PrimitiveDateTime::parse(text, HTTP_DATE).ok()?.assume_utc();
    Some(Duration::try_from(at - now).unwrap_or_default())
}

/// A number in 0..1 for the jitter.
pub fn draw(ids: &dyn Ids) -> f64 {
    // The low bits of a random id are random; a float holds 52 of them exactly.
    let bits = (ids.random().as_u128() & ((1 << 52) - 1)) as u64;
    bits as f64 / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, StatusCode};
    use model::RandomIds;
    use time::macros::datetime;

    use super::{Failure, Schedule, draw};
    use crate::{Class, Response};

    fn seconds(delay: Option<Duration>) -> f64 {
        delay.unwrap().as_secs_f64()
    }

    fn answer(status: u16, retry_after: Option<&str>) -> Failure {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert("retry-after", text.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { status, headers, body: bytes::Bytes::new(), truncated: false };
        Failure::of_response(&response, datetime!(2026-11-06 08:49:37 UTC))
    }

    #[test]
    fn the_standard_schedule_is_followed_within_a_fifth() {
        let schedule = Schedule::standard();
        let expected = [5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0];
        assert_eq!(schedule.attempts(), 10);
        for (index, delay) in expected.into_iter().enumerate() {
            let at = |draw| seconds(schedule.next(index + 1, &Failure::default(), draw));
            assert!((at(0.0) - delay * 0.8).abs() < 1e-6 && (at(0.5) - delay).abs() < 1e-6);
            assert!(at(0.999) < delay * 1.2);
        }
        assert_eq!(schedule.next(10, &Failure::default(), 0.5), None);
    }

    #[test]
    fn overload_is_given_a_minute() {
        let schedule = Schedule::standard();
        for overloaded in [answer(429, None), answer(502, None), answer(504, None)] {
            for draw in [0.0, 0.5, 0.999] {
                let delay = seconds(schedule.next(1, &overloaded, draw));
                assert!((60.0..=72.0).contains(&delay), "{delay}");
            }
            assert!(seconds(schedule.next(2, &overloaded, 0.0)) >= 240.0);
        }
        let timeout = Failure::of_error(Class::Timeout.into());
        assert!(seconds(schedule.next(1, &timeout, 0.0)) >= 60.0);
        let refused = Failure::of_error(Class::Refused.into());
        assert!(seconds(schedule.next(1, &refused, 0.5)) < 6.0);
        assert!(seconds(schedule.next(1, &answer(500, None), 0.5)) < 6.0);
    }

    #[test]
    fn retry_after_counts_between_one_and_two_delays() {
        let schedule = Schedule::standard();
        let delay = |retry_after, draw| seconds(schedule.next(2, &answer(503, Some(retry_after)), draw));
        for draw in [0.0, 0.999] {
            assert!((300.0..=360.0).contains(&delay("1", draw)));
            assert!((400.0..=480.0).contains(&delay("400", draw)));
            assert!((600.0..=600.0).contains(&delay("86400", draw)));
            assert!((420.0..=504.0).contains(&delay("Fri, 06 Nov 2026 08:56:37 GMT", draw)));
            assert!((300.0..=360.0).contains(&delay("Thu, 05 Nov 2026 08:56:37 GMT", draw)));
            assert!((240.0..=360.0).contains(&delay("soon", draw)));
            let overloaded = seconds(schedule.next(1, &answer(429, Some("90")), draw));
            assert!((90.0..=120.0).contains(&overloaded));
        }
    }

    #[test]
    fn the_draw_is_between_nought_and_one() {
        let draws: Vec<f64> = (0..1_000).map(|_| draw(&RandomIds)).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
