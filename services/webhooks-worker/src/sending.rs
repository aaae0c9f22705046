//! Sends what is due: takes deliveries, a few of each endpoint, and attempts them side by side.

mod attempt;
mod claim;
mod record;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use tokio::time::{Instant, sleep};

pub(crate) use self::record::Records;
pub(crate) use self::slots::Slots;
use crate::Error;
use crate::state::State;

/// Longest pause between two looks: another process may have queued something.
const POLL: Duration = Duration::from_secs(1);

/// After a word of something new or a free place: others may follow at once, and are taken with it.
const GATHER: Duration = Duration::from_millis(3);

/// How often the deliveries that wait are counted.
const COUNT: Duration = Duration::from_secs(15);

/// Sends until the soft stop. Attempts that run then go on as tasks of the process.
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
                    tracing::warn!(%error, "webhook deliveries can't be taken");
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
            () = state.queued.notified() => sleep(GATHER).await,
            () = state.slots.freed() => sleep(GATHER).await,
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

/// Takes what is due, as much as there is room for, and starts it; gives how long nothing else will be due.
async fn look(state: &Arc<State>, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
    let room = state.slots.room();
    if room.total == 0 {
        return Ok(POLL);
    }
    for delivery in claim::take(&state.db, &room, state.lock).await? {
        let slot = state.slots.take(delivery.endpoint);
        runtime.tasks.detach(attempt::run(state.clone(), delivery, slot));
    }
    Ok(claim::next_due(&state.db, POLL).await?.unwrap_or(POLL))
}
