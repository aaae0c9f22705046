//! One question: may this be done now? Asked of Redis, and of memory where there is none or while it is away.

use std::convert::Infallible;
use std::time::Duration;

use chassis::metrics::{self, IntCounter, IntCounterVec};
use model::{Clock, Error};

use crate::key::Key;
use crate::memory::{Memory, Outcome};
use crate::rate::{Mode, Rate, micros};
use crate::shared::Shared;

/// How much stricter attempts are limited while nobody knows what others have counted.
const STRICTER: u32 = 4;

/// What a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Ordinary requests: while Redis is away each process counts for itself.
    Requests,
    /// What tries credentials: while Redis is away each process counts for itself, and lets a quarter through.
    Attempts,
}

/// A bucket that is asked.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// The policy's name in headers: `ip`, `global`, `user` ...
    pub name: &'static str,
    /// The bucket's name.
    pub key: Key,
    /// How it fills.
    pub rate: Rate,
}

/// What was decided, and the standing of the bucket that allows least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// It may be done.
    pub allowed: bool,
    /// Of which policy the rest speaks.
    pub name: &'static str,
    /// How its bucket fills.
    pub rate: Rate,
    /// Tokens that are left in it.
    pub remaining: u32,
    /// Until it is full again.
    pub full_in: Duration,
    /// Until it has a token.
    pub wait: Duration,
}

impl Verdict {
    /// 429 as the original tells it; nothing when it is allowed.
    ///
    /// # Errors
    /// REQUESTS_EXCEEDED with `limit` and `reset`.
    pub fn refusal(&self, clock: &dyn Clock) -> Result<(), Error> {
        if self.allowed {
            return Ok(());
        }
        Err(Error::requests_exceeded(self.rate.points, self.wait, clock.now()))
    }
}

/// Buckets, in Redis and in memory.
#[derive(Debug)]
pub struct Limiter {
    shared: Option<Shared>,
    memory: Memory,
    alone: [IntCounter; 2],
    refused: IntCounterVec,
}

impl Limiter {
    pub(crate) fn new(shared: Option<Shared>) -> Self {
        let alone = metrics::counter(
            "eventus_limits_alone_total",
            "Limits that were decided without Redis, because it was away.",
            &["sort"],
        );
        let alone = ["requests", "attempts"].map(|sort| alone.with_label_values(&[sort]));
        let help = "What was refused because of a limit.";
        let refused = metrics::counter("eventus_limits_refused_total", help, &["policy"]);
        Self { shared, memory: Memory::new(), alone, refused }
    }

    /// Holds the connection to Redis, if there is to be one, for as long as it is polled.
    pub async fn keep(&self) -> Infallible {
        match &self.shared {
            Some(shared) => shared.keep().await,
            None => std::future::pending().await,
        }
    }

    /// Asks some buckets (one at least) as one: of none is taken when one of them refuses.
    pub async fn decide(&self, sort: Sort, mode: Mode, buckets: &[Bucket]) -> Verdict {
        let verdict = self.ask(sort, mode, buckets).await;
        if !verdict.allowed {
            self.refused.with_label_values(&[verdict.name]).inc();
        }
        verdict
    }

    async fn ask(&self, sort: Sort, mode: Mode, buckets: &[Bucket]) -> Verdict {
        let asked: Vec<(Key, Rate)> = buckets.iter().map(|bucket| (bucket.key, bucket.rate)).collect();
        let Some(shared) = &self.shared else {
            return verdict(buckets, &self.memory.decide(mode, &asked));
        };
        if let Some(outcome) = shared.decide(mode, &asked).await {
            return verdict(buckets, &outcome);
        }
        self.alone[usize::from(sort == Sort::Attempts)].inc();
        let part = if sort == Sort::Attempts { STRICTER } else { 1 };
        let stricter = |bucket: &Bucket| Bucket { rate: bucket.rate.part(part), ..*bucket };
        let buckets: Vec<Bucket> = buckets.iter().map(stricter).collect();
        let asked: Vec<(Key, Rate)> = buckets.iter().map(|bucket| (bucket.key, bucket.rate)).collect();
        verdict(&buckets, &self.memory.decide(mode, &asked))
    }
}

/// Speaks of the bucket whose token is farthest away, or of which least is left.
fn verdict(buckets: &[Bucket], outcome: &Outcome) -> Verdict {
    let standings =
        buckets.iter().zip(&outcome.backlogs).map(|(Bucket { name, rate, .. }, backlog)| Verdict {
            allowed: outcome.allowed,
            name,
            rate: *rate,
            remaining: rate.remaining(*backlog),
            full_in: micros(*backlog),
            wait: rate.wait(*backlog),
        });
    let tightest = standings.min_by_key(|standing| (std::cmp::Reverse(standing.wait), standing.remaining));
    // Nothing to ask allows everything.
    let rate = Rate { points: 1, duration: Duration::ZERO };
    tightest.unwrap_or(Verdict {
        allowed: true,
        name: "",
        rate,
        remaining: 1,
        full_in: Duration::ZERO,
        wait: Duration::ZERO,
    })
}
