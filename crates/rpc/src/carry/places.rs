//! What a stream's calls are known by while they run, and who has signed for those before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Accountability, Clock};
use time::OffsetDateTime;
use tokio::task::AbortHandle;

use crate::{Error, Signer};

/// Calls that run, by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<u64, AbortHandle>>>);

impl Running {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, AbortHandle>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts a call. What it runs as ends by [`Running::over`].
    pub(super) fn start(&self, id: u64, start: impl FnOnce() -> AbortHandle) {
        // Under the lock, so that a call that is over at once is not put here after that.
        self.with(|running| running.insert(id, start()));
    }

    pub(super) fn over(&self, id: u64) {
        self.with(|running| running.remove(&id));
    }

    /// Nobody waits for it any more.
    pub(super) fn give_up(&self, id: u64) {
        if let Some(call) = self.with(|running| running.remove(&id)) {
            call.abort();
        }
    }

    pub(super) fn give_all_up(&self) {
        for (_, call) in self.with(std::mem::take) {
            call.abort();
        }
    }
}

/// Signed accountabilities that were verified on this stream, each for [`GOOD`]: the same ones come again and again.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, (Accountability, OffsetDateTime)>);

/// How long what was verified is not verified again. Far less than a signature is good for.
const GOOD: Duration = Duration::from_secs(2);
/// How many are remembered.
const MOST: usize = 256;

impl Known {
    pub(super) fn verify(
        &mut self,
        signer: &Signer,
        clock: &dyn Clock,
        signed: &str,
    ) -> Result<Accountability, Error> {
        let now = clock.now();
        if let Some((known, at)) = self.0.get(signed)
            && now >= *at
            && now - *at < GOOD
        {
            return Ok(known.clone());
        }
        let known = signer.verify(signed, now)?;
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(signed.to_owned(), (known.clone(), now));
        Ok(known)
    }
}
