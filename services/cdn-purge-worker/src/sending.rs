//! Sends what is due: takes purges and asks the CDN, several side by side.

mod attempt;
mod claim;
mod record;

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::state::State;

/// Longest pause between two looks: another process may have queued something.
const POLL: Duration = Duration::from_secs(1);

/// After a word of something new or a free slot: others may follow at once, and are taken with it.
const GATHER: Duration = Duration::from_millis(3);

/// How often the purges that wait are counted.
const COUNT: Duration = Duration::from_secs(15);

/// Sends until the soft stop. Requests that run then go on as tasks of the process.
pub(crate) async fn run(state: Arc<State>, runtime: Runtime) -> Result<(), Error> {
    let soft = runtime.shutdown.soft().clone();
    let mut counted: Option<Instant> = None;
    let mut away = false;
    while !soft.is_cancelled() {
        let pause = match look(&state, &runtime).await {
            Ok(pause) => {
                away = false;
                pause
            }
            Err(error) => {
                if !away {
                    tracing::warn!(%error, "purges can't be taken");
                }
                away = true;
                POLL
            }
        };
        if counted.is_none_or(|at| at.elapsed() >= COUNT) {
            counted = Some(Instant::now());
            // Not counted now: counted next time.
            if let Ok(pending) = claim::pending(&state.db).await {
                state.metrics.pending(pending);
            }
        }
        tokio::select! {
            () = soft.cancelled() => break,
            () = state.wake.notified() => sleep(GATHER).await,
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

/// Takes what is due, as much as there is room for, and starts it; gives how long nothing else will be due.
async fn look(state: &Arc<State>, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
    if let Some(held) = state.held() {
        return Ok(held.min(POLL));
    }
    let mut slots = Vec::new();
    while let Ok(slot) = state.slots.clone().try_acquire_owned() {
        slots.push(slot);
    }
    if slots.is_empty() {
        return Ok(POLL);
    }
    let purges = claim::take(&state.db, slots.len(), state.lock).await?;
    for (purge, slot) in purges.into_iter().zip(slots) {
        let state = state.clone();
        runtime.tasks.detach(async move {
            attempt::run(&state, &purge).await;
            drop(slot);
            state.wake.notify_one();
        });
    }
    Ok(claim::next_due(&state.db, POLL).await?.unwrap_or(POLL))
}
