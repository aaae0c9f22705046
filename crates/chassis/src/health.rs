//! What the probes say: each part of the process reports itself up or down, the sum decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// How one component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Works.
    Up,
    /// Does not, with the reason.
    Down(String),
}

/// The health of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    components: Mutex<Vec<Entry>>,
    started: AtomicBool,
    draining: AtomicBool,
    ready: watch::Sender<bool>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    state: State,
    /// What an operator has to see to although the component is up.
    warning: Option<String>,
    was_up: bool,
}

/// One part's place to report. Keep it as long as the part lives.
#[derive(Debug, Clone)]
pub struct Component {
    inner: Arc<Inner>,
    index: usize,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Without components: ready. Register all of them before the first probe.
    pub fn new() -> Self {
        let inner = Inner {
            components: Mutex::default(),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            ready: watch::Sender::new(true),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A new component; down ("starting") until it says otherwise. Names may repeat: each is counted.
    pub fn component(&self, name: impl Into<String>) -> Component {
        let mut components = self.inner.components();
        let state = State::Down("starting".to_owned());
        components.push(Entry { name: name.into(), state, warning: None, was_up: false });
        self.inner.judge(&components);
        Component { inner: self.inner.clone(), index: components.len() - 1 }
    }

    /// All components were up at least once. Stays true.
    pub fn started(&self) -> bool {
        let components = self.inner.components();
        self.inner.started.load(Ordering::Relaxed) || components.iter().all(|entry| entry.was_up)
    }

    /// All components are up and the process is not on its way out.
    pub fn ready(&self) -> bool {
        *self.inner.ready.borrow()
    }

    /// From now on not ready: the process is on its way out.
    pub fn draining(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
        self.inner.judge(&self.inner.components());
    }

    /// `draining` was called.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    /// `ready`, with news.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// Every component's name and state, in the order of registration.
    pub fn report(&self) -> Vec<(String, State)> {
        self.inner.components().iter().map(|entry| (entry.name.clone(), entry.state.clone())).collect()
    }

    /// Name and reason of each component that is up and still asks for an operator.
    pub fn warnings(&self) -> Vec<(String, String)> {
        let components = self.inner.components();
        let warned = components.iter().filter(|entry| entry.state == State::Up);
        warned.filter_map(|entry| Some((entry.name.clone(), entry.warning.clone()?))).collect()
    }
}

impl Component {
    /// Works.
    pub fn up(&self) {
        self.set(State::Up, None);
    }

    /// Serves its callers, but an operator has to do something: shown, without making the process less ready.
    pub fn warn(&self, reason: impl Into<String>) {
        self.set(State::Up, Some(reason.into()));
    }

    /// Does not work, with the reason; it is shown to operators.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(State::Down(reason.into()), None);
    }

    fn set(&self, state: State, warning: Option<String>) {
        let mut components = self.inner.components();
        let entry = &mut components[self.index];
        if entry.state == state && entry.warning == warning {
            return;
        }
        match (&state, &warning) {
            (State::Up, None) => tracing::info!(component = entry.name, "up"),
            (State::Up, Some(reason)) => tracing::warn!(component = entry.name, reason, "up, with a warning"),
            (State::Down(reason), _) => tracing::warn!(component = entry.name, reason, "down"),
        }
        entry.warning = warning;
        entry.was_up |= state == State::Up;
        entry.state = state;
        self.inner.judge(&components);
    }
}

impl Inner {
    fn components(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works out the sum; called with the lock held, so that sums are published in order.
    fn judge(&self, components: &[Entry]) {
        if !components.is_empty() && components.iter().all(|entry| entry.was_up) {
            self.started.store(true, Ordering::Relaxed);
        }
        let up = components.iter().all(|entry| entry.state == State::Up);
        let ready = up && !self.draining.load(Ordering::Relaxed);
        self.ready.send_if_modified(|old| std::mem::replace(old, ready) != ready);
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, State};

    #[test]
    fn all_components_decide() {
        let health = Health::new();
        let (db, bus) = (health.component("db"), health.component("bus"));
        assert!(!health.ready() && !health.started());
        db.up();
        assert!(!health.ready() && !health.started());
        bus.up();
        assert!(health.ready() && health.started());
        db.down("connection refused");
        assert!(!health.ready() && health.started(), "started stays");
        let down = State::Down("connection refused".to_owned());
        assert_eq!(health.report(), [("db".to_owned(), down), ("bus".to_owned(), State::Up)]);
        db.warn("almost full");
        assert!(health.ready(), "a warning takes nothing away");
        assert_eq!(health.warnings(), [("db".to_owned(), "almost full".to_owned())]);
        db.up();
        assert_eq!(health.warnings(), []);
        let news = health.watch();
        health.draining();
        assert!(!health.ready() && news.has_changed().unwrap());
    }
}
