//! The stop signal in two steps: soft (take no new work, finish what runs), then hard (drop everything).

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The stop signal of a process. Clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when no new work may begin; what runs is to be finished.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when everything is to be dropped at once. Never before `soft`.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the soft stop.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Begins the hard stop (and the soft one, if it has not begun).
    pub fn begin_hard(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Listens for SIGTERM and SIGINT: the first begins the soft stop, a second one the hard stop. However the
    /// soft stop began, the hard stop follows `grace` later. Needs a tokio runtime.
    pub fn on_signals(&self, grace: Duration) -> std::io::Result<()> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        let follow = async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                () = shutdown.soft.cancelled() => {}
            }
            shutdown.begin();
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                () = tokio::time::sleep(grace) => {}
                () = shutdown.hard.cancelled() => {}
            }
            shutdown.begin_hard();
        };
        #[expect(clippy::disallowed_methods, reason = "lives as long as the process; nothing waits for it")]
        tokio::spawn(follow);
        Ok(())
    }
}
