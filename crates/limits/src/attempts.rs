//! Limits of what tries credentials, per account and per address: only what fails is counted, after the answer.
//!
//! So many right logins at once are all let in, and many wrong ones at once are not: of one account a few are under
//! way at a time, the others wait and are judged when it is their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::{Clock, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::AttemptConfig;
use crate::key::{Key, of_address};
use crate::limiter::{Bucket, Limiter, Sort};
use crate::rate::Mode;

/// Attempts on one account that are under way at a time.
const AT_ONCE: usize = 4;
/// Accounts remembered before those with nothing under way are forgotten.
const ACCOUNTS: usize = 1_000;

/// What is tried. Each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Credentials.
    Credentials,
    /// To have somebody written to.
    Mails,
}

impl Tried {
    /// Names of the keys that accounts and addresses are counted under.
    fn kinds(self) -> [&'static str; 2] {
        match self {
            Self::Credentials => ["attempts account", "attempts ip"],
            Self::Mails => ["mails account", "mails ip"],
        }
    }
}

/// Limits of attempts.
#[derive(Debug)]
pub struct Attempts {
    limiter: Limiter,
    config: Option<AttemptConfig>,
    under_way: Mutex<HashMap<Key, Weak<Semaphore>>>,
}

/// An attempt that may be made. Dropped, it costs nothing.
#[derive(Debug)]
pub struct Attempt<'a> {
    of: &'a Attempts,
    buckets: Vec<Bucket>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Attempts {
    /// As configured; each part of a process may have its own.
    pub fn new(config: &crate::Config) -> Self {
        Self { limiter: config.limiter(), config: config.attempts, under_way: Mutex::default() }
    }

    /// Holds the connection to Redis for as long as it is polled.
    pub async fn keep(&self) -> std::convert::Infallible {
        self.limiter.keep().await
    }

    /// Begins an attempt from an address on an account, whose name is written here as it is compared there (an e-mail
    /// address in lower case). Waits while enough others are under way.
    ///
    /// # Errors
    /// REQUESTS_EXCEEDED when too many have failed.
    pub async fn begin(
        &self,
        tried: Tried,
        address: Option<&str>,
        account: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Attempt<'_>, Error> {
        let Some(config) = &self.config else {
            return Ok(Attempt { of: self, buckets: Vec::new(), _turn: None });
        };
        let [by_account, by_address] = tried.kinds();
        let of_account = account.map(|account| Key::new(by_account, account));
        let of_address = address.map(|address| Key::new(by_address, &of_address(address)));
        let account = of_account.map(|key| Bucket { name: "attempts-account", key, rate: config.account });
        let address = of_address.map(|key| Bucket { name: "attempts-ip", key, rate: config.address });
        let buckets: Vec<Bucket> = account.into_iter().chain(address).collect();
        let turn = match of_account {
            // Never closed.
            Some(key) => self.queue(key).acquire_owned().await.ok(),
            None => None,
        };
        if !buckets.is_empty() {
            self.limiter.decide(Sort::Attempts, Mode::Look, &buckets).await.refusal(clock)?;
        }
        Ok(Attempt { of: self, buckets, _turn: turn })
    }

    fn queue(&self, account: Key) -> Arc<Semaphore> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = under_way.get(&account).and_then(Weak::upgrade) {
            return queue;
        }
        if under_way.len() >= ACCOUNTS {
            under_way.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(Semaphore::new(AT_ONCE));
        under_way.insert(account, Arc::downgrade(&queue));
        queue
    }
}

impl Attempt<'_> {
    /// It failed: it counts.
    pub async fn failed(self) {
        if !self.buckets.is_empty() {
            self.of.limiter.decide(Sort::Attempts, Mode::Charge, &self.buckets).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;
    use model::SystemClock;

    use super::{Attempts, Tried};
    use crate::Config;

    fn attempts(pairs: &[(&str, &str)]) -> Attempts {
        Attempts::new(&Config::from_env(&Env::from_pairs(pairs.iter().copied())).unwrap())
    }

    #[tokio::test]
    async fn only_what_fails_counts_per_account_and_per_address() {
        let attempts =
            attempts(&[("EVENTUS_LOGIN_LIMITER_POINTS", "2"), ("EVENTUS_LOGIN_LIMITER_IP_POINTS", "3")]);
        let begin = |ip, account| attempts.begin(Tried::Credentials, Some(ip), Some(account), &SystemClock);
        for _ in 0..50 {
            drop(begin("10.0.0.1", "a").await.unwrap());
        }
        begin("10.0.0.1", "a").await.unwrap().failed().await;
        begin("10.0.0.2", "a").await.unwrap().failed().await;
        let refused = begin("10.0.0.3", "a").await.unwrap_err();
        assert_eq!(refused.code.as_str(), "REQUESTS_EXCEEDED");
        assert!(refused.retry_after.is_some_and(|seconds| seconds >= 1));
        begin("10.0.0.1", "b").await.unwrap().failed().await;
        begin("10.0.0.1", "c").await.unwrap().failed().await;
        assert!(begin("10.0.0.1", "d").await.is_err());
        assert!(begin("10.0.0.9", "d").await.is_ok());
    }

    #[tokio::test]
    async fn many_wrong_ones_at_once_are_few_guesses() {
        let attempts = attempts(&[("EVENTUS_LOGIN_LIMITER_POINTS", "5")]);
        let guess = || async {
            let attempt = attempts.begin(Tried::Credentials, None, Some("a"), &SystemClock).await?;
            tokio::task::yield_now().await;
            attempt.failed().await;
            Ok::<(), model::Error>(())
        };
        let mut guesses: Vec<_> = (0..100).map(|_| Box::pin(guess())).collect();
        let mut made = 0;
        while !guesses.is_empty() {
            let mut left = Vec::new();
            for mut one in guesses {
                match tokio::time::timeout(std::time::Duration::ZERO, &mut one).await {
                    Ok(done) => made += usize::from(done.is_ok()),
                    Err(_) => left.push(one),
                }
            }
            guesses = left;
        }
        assert!((5..5 + super::AT_ONCE).contains(&made), "{made}");
    }
}
