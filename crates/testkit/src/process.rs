//! The life of a process of the fleet that runs within a test, by its runtime.

use chassis::Runtime;

use crate::{PATIENCE, eventually};

/// Waits until it is ready: it has reported something, and nothing bad.
#[track_caller]
pub fn ready(runtime: &Runtime) -> impl Future<Output = ()> {
    let health = &runtime.health;
    eventually(PATIENCE, move || async move { health.ready() && !health.report().is_empty() })
}

/// Soft stop; waits until everything has ended, and sees that nothing went wrong.
pub async fn stop(runtime: &Runtime) {
    runtime.shutdown.begin();
    tokio::time::timeout(PATIENCE, runtime.tasks.drain()).await.expect("a soft stop comes to its end");
    assert!(runtime.tasks.failure().is_none(), "{:?}", runtime.tasks.failure());
}

/// Everything is dropped at once, as far as that is possible within a process.
pub async fn kill(runtime: &Runtime) {
    runtime.shutdown.begin_hard();
    runtime.tasks.drain().await;
}
