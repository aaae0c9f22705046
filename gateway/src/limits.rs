//! How often an address, a user and everybody may ask, and what answers say of it (`RateLimit`, draft-ietf-httpapi-ratelimit-headers).
//!
//! Addresses are those that `client` believes, users those whose credential was good: nothing else that a client
//! sends decides which bucket is asked.

use std::net::IpAddr;

use ::limits::{Bucket, Config, Key, Limiter, Mode, Rate, Sort, Verdict, of_address};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::{Clock, Error};
use uuid::Uuid;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// The limits of requests.
#[derive(Debug)]
pub struct Limits {
    limiter: Limiter,
    requests: Option<Rate>,
    global: Option<Rate>,
    user: Option<Rate>,
}

impl Limits {
    /// As configured; `None` when nothing is to be limited.
    pub fn of(config: &Config) -> Option<Self> {
        let Config { requests, global, user, .. } = config.clone();
        let any = requests.or(global).or(user).is_some();
        any.then(|| Self { limiter: config.limiter(), requests, global, user })
    }

    /// Holds what they are kept in, for as long as it is polled.
    pub async fn keep(&self) -> std::convert::Infallible {
        self.limiter.keep().await
    }

    /// One request of this address; `None` when requests are not limited as such.
    pub async fn request(&self, address: Option<IpAddr>) -> Option<Verdict> {
        let of_client = self.requests.map(|rate| {
            let address = address.map(|address| of_address(&address.to_string())).unwrap_or_default();
            Bucket { name: "ip", key: Key::new("requests ip", &address), rate }
        });
        let of_all =
            self.global.map(|rate| Bucket { name: "global", key: Key::new("requests", "all"), rate });
        let buckets: Vec<Bucket> = of_client.into_iter().chain(of_all).collect();
        if buckets.is_empty() {
            return None;
        }
        Some(self.limiter.decide(Sort::Requests, Mode::Take, &buckets).await)
    }

    /// One request of this user.
    ///
    /// # Errors
    /// REQUESTS_EXCEEDED.
    pub async fn user(&self, user: Uuid, clock: &dyn Clock) -> Result<(), Error> {
        let Some(rate) = self.user else { return Ok(()) };
        let key = Key::new("requests user", &user.to_string());
        let bucket = Bucket { name: "user", key, rate };
        self.limiter.decide(Sort::Requests, Mode::Take, &[bucket]).await.refusal(clock)
    }
}

/// Says how the client stands.
pub fn tell(verdict: &Verdict, headers: &mut HeaderMap) {
    let Verdict { name, rate, remaining, .. } = verdict;
    let seconds = verdict.full_in.as_millis().div_ceil(1_000);
    let policy = format!("\"{name}\";q={};w={}", rate.points, rate.duration.as_secs());
    for (header, text) in [(&POLICY, policy), (&STANDING, format!("\"{name}\";r={remaining};t={seconds}"))] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header, value);
        }
    }
}
