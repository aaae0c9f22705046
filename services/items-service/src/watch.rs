//! Keeps the snapshot in step with the control row: by pings, and by polling each 500 ms. What was changed without us
//! is found by looking at PostgreSQL's catalogs each second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::{BoxError, Runtime};
use db::control::Versions;
use futures_util::StreamExt as _;
use tokio::sync::{Notify, watch};

use crate::state::State;

/// How often the control row is read.
const EVERY: Duration = Duration::from_millis(500);

/// How often the catalogs are looked at; a look that takes long is followed by a rest that takes longer, up to a limit.
const LOOK: Duration = Duration::from_secs(1);
const REST: u32 = 20;
const LONGEST_REST: Duration = Duration::from_secs(3);

/// Watches the control rows, also whenever `wake` is notified.
pub fn versions(db: &db::Db, runtime: &Runtime, wake: &Arc<Notify>) -> watch::Receiver<Versions> {
    db::control::watch(db, &runtime.tasks, EVERY, Arc::clone(wake))
}

/// Starts the watch.
pub fn start(state: &State, runtime: &Runtime) {
    look(state, runtime);
    let wake = Arc::clone(&state.wake.control);
    forward(state, runtime, "control", move || wake.notify_one());
    let readers = state.wake.clone();
    forward(state, runtime, "log", move || readers.all());
    let mut versions = state.rights.versions();
    let (state, soft) = (state.clone(), runtime.shutdown.soft().clone());
    runtime.tasks.spawn_to_the_end("snapshot", async move {
        loop {
            tokio::select! {
                () = soft.cancelled() => return Ok::<(), BoxError>(()),
                changed = versions.changed() => changed?,
            }
            let (schema, filters) = {
                let known = versions.borrow_and_update();
                (known.of("schema"), known.of("filters"))
            };
            if let Err(error) = state.rights.present().await {
                tracing::debug!(%error, "permissions are not known now: whoever asks tries again");
            }
            while let Err(error) = state.snapshots.refresh_to(schema, filters).await {
                tracing::warn!(%error, "the snapshot could not be refreshed");
                tokio::select! {
                    () = soft.cancelled() => return Ok(()),
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        }
    });
}

/// Looks at the catalogs for what others have changed.
fn look(state: &State, runtime: &Runtime) {
    let (state, soft) = (state.clone(), runtime.shutdown.soft().clone());
    runtime.tasks.spawn_to_the_end("catalogs", async move {
        let mut rest = LOOK;
        loop {
            tokio::select! {
                () = soft.cancelled() => return Ok::<(), BoxError>(()),
                () = tokio::time::sleep(rest) => {}
            }
            let begun = Instant::now();
            if let Err(error) = state.snapshots.refresh_if_moved().await {
                tracing::debug!(%error, "the catalogs could not be looked at");
            }
            rest = (begun.elapsed() * REST).clamp(LOOK, LONGEST_REST);
        }
    });
}

/// Does something at each ping of a topic.
fn forward(state: &State, runtime: &Runtime, topic: &'static str, wake: impl Fn() + Send + Sync + 'static) {
    let (bus, soft) = (state.bus.clone(), runtime.shutdown.soft().clone());
    runtime.tasks.spawn_to_the_end("pings", async move {
        let listen = async {
            loop {
                if let Ok(mut pings) = bus.pings(topic).await {
                    while pings.next().await.is_some() {
                        wake();
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = soft.cancelled() => Ok::<(), BoxError>(()),
            () = listen => Ok(()),
        }
    });
}
