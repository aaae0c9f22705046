//! Password hashing (argon2id) on a bounded pool: it is the dearest thing a stranger can ask for.
//!
//! At most cores - 1 hashes run at once and a bounded number wait; beyond that the answer is 503 at once, so that a
//! flood of logins takes neither all cores nor all memory. Each runs on a thread that is nice to all others: on a busy
//! machine logins wait for requests, not requests for logins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chassis::{ConfigError, Env};
use tokio::sync::{Semaphore, oneshot};

use crate::{Error, random};

/// Hashes that may wait for each one that runs.
const WAITING_PER_WORKER: usize = 32;

/// How much less than others threads that hash have of a busy core: a third.
const NICE: i32 = 5;

/// What a new hash costs (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for HashCost {
    /// 19 MiB, 2 passes, 1 lane: about 40 ms.
    fn default() -> Self {
        Self { memory: 19_456, passes: 2, lanes: 1 }
    }
}

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hasher {
    workers: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    params: Params,
    dummy: Arc<str>,
}

impl HashCost {
    /// Reads `HASH_MEMORY_COST`, `HASH_TIME_COST` and `HASH_PARALLELISM`.
    ///
    /// # Errors
    /// A value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            memory: env.parse("HASH_MEMORY_COST", default.memory)?,
            passes: env.parse("HASH_TIME_COST", default.passes)?,
            lanes: env.parse("HASH_PARALLELISM", default.lanes)?,
        })
    }
}

impl Hasher {
    /// A pool for this machine.
    ///
    /// # Errors
    /// The cost is out of argon2's range.
    pub fn try_new(cost: HashCost) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_workers(cost, cores.saturating_sub(1).max(1), WAITING_PER_WORKER)
    }

    fn with_workers(cost: HashCost, workers: usize, waiting_per_worker: usize) -> Result<Self, Error> {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, None).map_err(Error::HashCost)?;
        Ok(Self {
            workers: Arc::new(Semaphore::new(workers)),
            waiting: Arc::default(),
            most_waiting: workers * (waiting_per_worker + 1),
            params,
            dummy: dummy(cost)?.into(),
        })
    }

    /// A new PHC string for a password.
    ///
    /// # Errors
    /// [`Error::Full`] at once when too many wait.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        self.run(move || argon.hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string()))
            .await?
            .map_err(Error::Hash)
    }

    /// Whether the password fits the stored PHC string (argon2 of any kind and cost). Without a stored one, or with
    /// one that can't be read, a dummy is verified, so that it takes as long; the answer is then always no.
    ///
    /// # Errors
    /// [`Error::Full`] at once when too many wait.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Error> {
        let dummy = self.dummy.clone();
        self.run(move || {
            let known = stored.as_deref().and_then(|text| PasswordHash::new(text).ok());
            let real = known.is_some();
            let Some(hash) = known.or_else(|| PasswordHash::new(&dummy).ok()) else { return false };
            let fits = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
            fits && real
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let place = Place::take(&self.waiting, self.most_waiting)?;
        let permit = self.workers.clone().acquire_owned().await.map_err(|_| Error::Stopped)?;
        let (tell, told) = oneshot::channel();
        // Permit and place go along: a caller who gives up does not free the core that still works for him.
        let hash = move || {
            // Where that is not allowed it hashes as everything else runs.
            let _ = rustix::process::nice(NICE);
            let done = work();
            drop((permit, place));
            let _ = tell.send(done);
        };
        // A hash takes a thousand times as long as to start a thread, and no other thread stays nice.
        std::thread::Builder::new().name("hash".to_owned()).spawn(hash).map_err(|_| Error::Stopped)?;
        told.await.map_err(|_| Error::Stopped)
    }
}

/// One of the bounded places in the pool, running or waiting.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Result<Self, Error> {
        let place = Self(taken.clone());
        if taken.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(place);
        }
        Err(Error::Full)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A well-formed hash of nothing, with the cost of new ones.
fn dummy(cost: HashCost) -> Result<String, Error> {
    let (mut salt, mut output) = ([0u8; 16], [0u8; 32]);
    random(&mut salt)?;
    random(&mut output)?;
    Ok(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        cost.memory,
        cost.passes,
        cost.lanes,
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    ))
}

#[cfg(test)]
mod tests {
    use super::{HashCost, Hasher};
    use crate::Error;

    const CHEAP: HashCost = HashCost { memory: 64, passes: 1, lanes: 1 };

    #[tokio::test]
    async fn verifies_what_it_hashed_and_nothing_else() {
        let hasher = Hasher::try_new(CHEAP).unwrap();
        let hash = hasher.hash("geheim".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(hasher.verify("geheim".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("other".into(), Some(hash)).await.unwrap());
        assert!(!hasher.verify("geheim".into(), None).await.unwrap());
        assert!(!hasher.verify("geheim".into(), Some("plain".into())).await.unwrap());
    }

    /// Parameters of Directus's own hashes: 64 MiB, 3 passes, 4 lanes.
    #[tokio::test]
    async fn verifies_hashes_of_another_cost() {
        let stored = Hasher::try_new(HashCost { memory: 65_536, passes: 3, lanes: 4 })
            .unwrap()
            .hash("pw".into())
            .await
            .unwrap();
        assert!(Hasher::try_new(CHEAP).unwrap().verify("pw".into(), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_pool_refuses_at_once() {
        let hasher = Hasher::with_workers(CHEAP, 1, 1).unwrap();
        let held = hasher.workers.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..2).map(|_| Box::pin(hasher.verify("x".into(), None))).collect();
        let mut waiting = waiting;
        for future in &mut waiting {
            let waker = std::task::Waker::noop();
            let polled = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
            assert!(polled.is_pending());
        }
        let refused = hasher.verify("x".into(), None).await;
        assert!(matches!(refused, Err(Error::Full)));
        drop(held);
        for future in waiting {
            assert!(!future.await.unwrap());
        }
        assert!(!hasher.verify("x".into(), None).await.unwrap());
    }

    #[test]
    fn a_cost_out_of_range_is_refused() {
        assert!(Hasher::try_new(HashCost { memory: 1, passes: 0, lanes: 1 }).is_err());
    }
}
