//! Tracked tasks: none is lost sight of. A background task that dies takes the process down; the stop waits
//! for those that run.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::{BoxError, Shutdown};

/// Why the process has to go down.
#[derive(Debug, Clone, thiserror::Error)]
#[error("background task {task}: {reason}")]
pub struct Failure {
    /// Name of the task.
    pub task: &'static str,
    /// What happened to it.
    pub reason: String,
}

/// Where a process (or one role of it) starts its tasks. Clones share tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    tracker: TaskTracker,
    failure: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    first: OnceLock<Failure>,
    filled: Notify,
}

/// How long the hard stop waits for dropped tasks to leave.
const LEAVE: Duration = Duration::from_millis(500);

impl Tasks {
    /// No tasks yet.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, tracker: TaskTracker::new(), failure: Arc::default() }
    }

    /// A group of its own under the same stop signal and the same `failed`: its `drain` waits for its own
    /// tasks only. A role that itself runs as a task needs one, or it would wait for itself.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), ..self.clone() }
    }

    /// Starts a background task. If it fails or panics, or ends before the soft stop, the process goes down:
    /// the soft stop begins and `failed` resolves. The hard stop drops it.
    pub fn spawn<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let watched = self.clone().watch(name, task);
        self.start(self.tracker.track_future(watched));
    }

    /// As `spawn`, for what has to go on until the very end (probes, metrics): `drain` does not wait for it.
    pub fn spawn_to_the_end<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.start(self.clone().watch(name, task));
    }

    /// Starts short work that the stop has to wait for. A panic is logged and counted, and harms nobody else.
    pub fn detach<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.shutdown.hard().clone();
        self.start(self.tracker.track_future(async move {
            tokio::select! {
                _ = AssertUnwindSafe(task).catch_unwind() => {}
                () = hard.cancelled() => {}
            }
        }));
    }

    /// Starts short work that the stop has to wait for and that can be given up. Its panics are its own affair.
    pub fn abortable<F>(&self, task: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(self.tracker.track_future(task))
    }

    /// Resolves with the first failure of a background task; never, if there is none.
    pub async fn failed(&self) -> Failure {
        loop {
            let filled = self.failure.filled.notified();
            if let Some(failure) = self.failure.first.get() {
                return failure.clone();
            }
            filled.await;
        }
    }

    /// The first failure of a background task so far.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.first.get().cloned()
    }

    /// Waits until all tasks are done or dropped by the hard stop. Begin the soft stop first.
    pub async fn drain(&self) {
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => return,
            () = self.shutdown.hard().cancelled() => {}
        }
        if tokio::time::timeout(LEAVE, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "tasks did not leave at the hard stop");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of tasks")]
    fn start(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        tokio::spawn(task).abort_handle()
    }

    async fn watch<F, E>(self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let result = tokio::select! {
            result = AssertUnwindSafe(task).catch_unwind() => result,
            () = self.shutdown.hard().cancelled() => return,
        };
        let reason = match result {
            Ok(Ok(())) if self.shutdown.soft().is_cancelled() => return,
            Ok(Ok(())) => "ended by itself".to_owned(),
            Ok(Err(error)) => chain(error.into().as_ref()),
            Err(_) => "panicked".to_owned(),
        };
        tracing::error!(task = name, reason, "background task died, the process goes down");
        if self.failure.first.set(Failure { task: name, reason }).is_ok() {
            self.failure.filled.notify_waiters();
        }
        self.shutdown.begin();
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Tasks;
    use crate::{BoxError, Shutdown};

    const SOON: Duration = Duration::from_secs(5);

    fn tasks() -> (Shutdown, Tasks) {
        let shutdown = Shutdown::new();
        (shutdown.clone(), Tasks::new(shutdown))
    }

    #[tokio::test]
    async fn a_failing_task_takes_the_process_down() {
        let (shutdown, tasks) = tasks();
        let cause = std::io::Error::other("disk on fire");
        tasks.spawn("relay", async move { Err::<(), _>(cause) });
        let failure = timeout(SOON, tasks.failed()).await.unwrap();
        assert_eq!((failure.task, failure.reason.as_str()), ("relay", "disk on fire"));
        timeout(SOON, shutdown.soft().cancelled()).await.unwrap();
        timeout(SOON, tasks.drain()).await.unwrap();
    }

    #[tokio::test]
    async fn a_panicking_task_takes_the_process_down() {
        let (shutdown, tasks) = tasks();
        tasks.child().spawn::<_, BoxError>("tail", async { panic!("for the test") });
        assert_eq!(timeout(SOON, tasks.failed()).await.unwrap().reason, "panicked");
        timeout(SOON, shutdown.soft().cancelled()).await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_ends_early_takes_the_process_down() {
        let (shutdown, tasks) = tasks();
        tasks.spawn("poll", async { Ok::<(), BoxError>(()) });
        assert_eq!(timeout(SOON, tasks.failed()).await.unwrap().reason, "ended by itself");
        assert!(shutdown.soft().is_cancelled() && !shutdown.hard().is_cancelled());
    }

    #[tokio::test]
    async fn ending_after_the_soft_stop_is_fine_and_waited_for() {
        let (shutdown, tasks) = tasks();
        let done = Arc::new(AtomicBool::new(false));
        let (soft, flag) = (shutdown.soft().clone(), done.clone());
        tasks.spawn("worker", async move {
            soft.cancelled().await;
            tokio::task::yield_now().await;
            flag.store(true, Ordering::SeqCst);
            Ok::<(), BoxError>(())
        });
        shutdown.begin();
        timeout(SOON, tasks.drain()).await.unwrap();
        assert!(done.load(Ordering::SeqCst));
        assert!(tasks.failure().is_none());
    }

    #[tokio::test]
    async fn the_hard_stop_drops_what_will_not_end() {
        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (shutdown, tasks) = tasks();
        let gone = Arc::new(AtomicBool::new(false));
        let guard = Dropped(gone.clone());
        tasks.detach(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        tasks.spawn("deaf", pending::<Result<(), BoxError>>());
        shutdown.begin();
        assert!(timeout(Duration::from_millis(50), tasks.drain()).await.is_err(), "waits for them");
        shutdown.begin_hard();
        timeout(SOON, tasks.drain()).await.unwrap();
        assert!(gone.load(Ordering::SeqCst));
        assert!(tasks.failure().is_none());
    }

    #[tokio::test]
    async fn a_detached_panic_harms_nobody_and_a_child_waits_for_its_own() {
        let (shutdown, tasks) = tasks();
        tasks.detach(async { panic!("for the test") });
        timeout(SOON, async { tasks.drain().await }).await.unwrap();
        assert!(tasks.failure().is_none() && !shutdown.soft().is_cancelled());
        let child = tasks.child();
        tasks.spawn("parent", pending::<Result<(), BoxError>>());
        child.detach(async {});
        timeout(SOON, child.drain()).await.unwrap();
    }
}
