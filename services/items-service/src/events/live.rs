//! The head of the log, as long as anybody listens: one tail per process, whose events go to every group of listeners.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::Access;
use chassis::{BoxError, Runtime};
use event_store::{Log, Tail};
use model::{Collection, Error, Errors, Event};
use rpc::Caller;
use tokio::sync::{Notify, Semaphore, broadcast, watch};

use super::group::{Group, Key, Who};
use super::judge;
use super::place::Extents;
use super::wanted::Wanted;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

/// Events read at once.
pub const BATCH: usize = 500;
/// Batches that a group may be behind.
const AHEAD: usize = 32;
/// Listeners that read the log by themselves at a time.
const READERS: usize = 8;
/// Answers about rules that are kept.
const KEPT: usize = 1_000;
/// How long a listener waits for the log to be read again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a log that can't be read.
const PAUSE: Duration = Duration::from_millis(250);

/// What was settled since the batch before.
#[derive(Debug)]
pub struct Batch {
    /// The end of the batch before.
    pub after: i64,
    /// Nothing can appear at or below it any more.
    pub settled: i64,
    pub events: Vec<Event>,
}

/// Handle of the one tail and the groups that it feeds.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

/// See [`Live`].
pub struct Inner {
    pub state: State,
    pub runtime: Runtime,
    pub log: Log,
    pub extents: Extents,
    /// Who reads the log by himself holds one of these.
    pub readers: Semaphore,
    /// Where the last batch ended. Held while a batch is sent, so that a new group knows where it begins.
    head: Mutex<i64>,
    feed: broadcast::Sender<Arc<Batch>>,
    awake: watch::Sender<bool>,
    listeners: AtomicUsize,
    wanted: Notify,
    groups: Mutex<HashMap<Key, Arc<Group>>>,
    looks: Mutex<HashMap<Rules, Looks>>,
}

/// Wishes, version of the schema, and which rules.
type Rules = (Arc<Wanted>, i64, usize);

/// Whether rules look at who asks.
struct Looks {
    at_caller: bool,
    /// The rules are held, so that it stays true which they are.
    _rules: Access,
}

impl std::ops::Deref for Live {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// A listener; counted while it lives.
pub struct Listening(Live);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Listening {
    /// Where the log was settled when it was asked.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn now(&self) -> Result<i64, Error> {
        let live = &self.0;
        let mut awake = live.awake.subscribe();
        let waiting = tokio::time::timeout(PATIENCE, awake.wait_for(|awake| *awake));
        waiting
            .await
            .map_err(|_| Error::unavailable("database"))?
            .map_err(|_| Error::unavailable("events"))?;
        let settled = live.log.last_settled().await.map_err(|error| unreadable(&error))?;
        Ok(settled.max(live.head()))
    }
}

/// What a client is told of it.
pub fn unreadable(error: &event_store::Error) -> Error {
    tracing::warn!(%error, "the log can't be read");
    Error::unavailable("database")
}

impl Live {
    /// Starts the tail, asleep.
    pub fn start(state: &State, runtime: &Runtime) -> Self {
        let live = Self(Arc::new(Inner {
            state: state.clone(),
            runtime: runtime.clone(),
            log: Log::new(state.db.clone()),
            extents: Extents::new(state.db.clone()),
            readers: Semaphore::new(READERS),
            head: Mutex::new(0),
            feed: broadcast::Sender::new(AHEAD),
            awake: watch::Sender::new(false),
            listeners: AtomicUsize::new(0),
            wanted: Notify::new(),
            groups: Mutex::default(),
            looks: Mutex::default(),
        }));
        let (task, soft) = (live.clone(), runtime.shutdown.soft().clone());
        runtime.tasks.spawn_to_the_end("live", async move {
            tokio::select! {
                () = soft.cancelled() => Ok::<(), BoxError>(()),
                () = task.follow() => Ok(()),
            }
        });
        live
    }

    async fn follow(&self) {
        loop {
            while self.listeners.load(Ordering::Acquire) == 0 {
                self.awake.send_replace(false);
                self.wanted.notified().await;
            }
            if let Err(error) = self.tail().await {
                tracing::warn!(%error, "live streams wait for the log");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// As long as anybody listens. An outage leaves no gap: the tail goes on where it was.
    async fn tail(&self) -> Result<(), event_store::Error> {
        let from = self.log.last_settled().await?.max(self.head());
        // Groups of before have missed something, if this is not where they are.
        self.publish(from, from, Vec::new());
        self.awake.send_replace(true);
        let mut tail = Tail::with_wake(self.state.db.clone(), from, Arc::clone(&self.state.wake.live));
        while self.listeners.load(Ordering::Acquire) > 0 {
            match tail.next(BATCH, Duration::from_secs(1)).await {
                Ok(events) => self.publish(self.head(), tail.settled(), events),
                Err(error) => {
                    tracing::warn!(%error, "live streams wait for the log");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    fn publish(&self, after: i64, settled: i64, events: Vec<Event>) {
        let mut head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        if settled > after || after != *head {
            *head = settled;
            // Nobody listens: nothing is lost.
            let _ = self.feed.send(Arc::new(Batch { after, settled, events }));
        }
    }

    fn head(&self) -> i64 {
        *self.0.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener: the log is read as long as it is held.
    pub fn listen(&self) -> Listening {
        self.listeners.fetch_add(1, Ordering::AcqRel);
        self.wanted.notify_one();
        Listening(self.clone())
    }

    /// What one who listens may do now, and the collections that he is told of.
    ///
    /// # Errors
    /// `FORBIDDEN`: a collection that he may not read, or none at all. `SERVICE_UNAVAILABLE`.
    pub async fn admit(&self, caller: &Caller, wanted: &Wanted) -> Result<Option<Asking>, Errors> {
        let snapshot = self.state.snapshots.present();
        if caller.accountability.admin {
            let known =
                |name: &str| snapshot.schema.collection(name).is_some() || name.starts_with("directus_");
            return match wanted.collections().iter().find(|name| !known(name)) {
                Some(missing) => Err(Error::forbidden_collection(missing).into()),
                None => Ok(None),
            };
        }
        let asking = self.state.asking(caller).await?;
        let readable = |name: &str| readable(name, &asking, &snapshot).is_some();
        if let Some(hidden) = wanted.collections().iter().find(|name| !readable(name)) {
            return Err(Error::forbidden_collection(hidden).into());
        }
        if wanted.collections().is_empty() && !snapshot.schema.collections.keys().any(|name| readable(name)) {
            return Err(Error::forbidden().into());
        }
        Ok(Some(asking))
    }

    /// The group of those who are told the same as this one.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub async fn group(&self, caller: &Caller, wanted: &Arc<Wanted>) -> Result<Arc<Group>, Errors> {
        let snapshot = self.state.snapshots.present();
        let asking = self.admit(caller, wanted).await?;
        let (access, who, schema) = match asking {
            None => (Access::admin(), Who::Admin, 0),
            Some(asking) => {
                let looks = self.looks_at_caller(&asking, wanted, &snapshot)?;
                let who = Who::ruled(&asking.access, &caller.accountability, looks);
                (asking.access, who, snapshot.schema.version)
            }
        };
        let key = Key { who, wanted: Arc::clone(wanted), schema };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = groups.get(&key).filter(|group| group.is_open()) {
            return Ok(Arc::clone(known));
        }
        let head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        let (feed, reached) = (self.feed.subscribe(), *head);
        drop(head);
        let group = Group::new(key.clone(), caller.clone(), access, reached);
        groups.insert(key, Arc::clone(&group));
        self.runtime.tasks.detach(Arc::clone(&group).run(self.clone(), feed));
        Ok(group)
    }

    /// This group has ended.
    pub fn forget(&self, key: &Key, group: &Arc<Group>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.get(key).is_some_and(|known| Arc::ptr_eq(known, group)) {
            groups.remove(key);
        }
    }

    fn looks_at_caller(
        &self,
        asking: &Asking,
        wanted: &Arc<Wanted>,
        snapshot: &Snapshot,
    ) -> Result<bool, Error> {
        let key = (Arc::clone(wanted), snapshot.schema.version, asking.access.identity());
        let kept = || self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(looks) = kept().get(&key) {
            return Ok(looks.at_caller);
        }
        let names = snapshot.schema.collections.keys().filter(|name| wanted.has(name));
        let told: Vec<&Arc<Collection>> = names.filter_map(|name| readable(name, asking, snapshot)).collect();
        let at_caller = judge::looks_at_caller(&told, asking, snapshot)?;
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Looks { at_caller, _rules: asking.access.clone() });
        Ok(at_caller)
    }
}

/// A collection of whose items he may be told.
fn readable<'s>(name: &str, asking: &Asking, snapshot: &'s Snapshot) -> Option<&'s Arc<Collection>> {
    let found = snapshot.schema.collection(name).filter(|found| judge::is_told_of(found))?;
    asking.access.allows(name, access::Action::Read).then_some(found)
}
