//! What a process is handed to live by: stop signal, tasks, health.

use crate::{Health, Shutdown, Tasks};

/// Stop signal, tasks and health of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The stop signal.
    pub shutdown: Shutdown,
    /// Where tasks are started.
    pub tasks: Tasks,
    /// Where parts report.
    pub health: Health,
}

impl Runtime {
    /// All anew; the soft stop makes the health not ready. Needs a tokio runtime.
    pub fn new(shutdown: Shutdown) -> Self {
        let health = Health::new();
        let (soft, draining) = (shutdown.soft().clone(), health.clone());
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn_to_the_end("health", async move {
            soft.cancelled().await;
            draining.draining();
            Ok::<(), crate::BoxError>(())
        });
        Self { shutdown, tasks, health }
    }

    /// For one role of several in a process: tasks of its own (`Tasks::child`), the rest shared.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tasks: self.tasks.child(), ..self.clone() }
    }
}
