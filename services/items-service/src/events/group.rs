//! Listeners who are told the same: what is new is judged once for all of them, and handed to each without waiting for any.
//!
//! A group is made for the rules and the schema of a moment. When they move, or the log was not read without a gap, it
//! closes, and its listeners look for another: they know how far they were told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use access::Access;
use model::{Accountability, Event};
use rpc::Caller;
use tokio::sync::{Notify, broadcast, mpsc};
use uuid::Uuid;

use super::judge::{self, Failure, Judge, Told};
use super::live::{BATCH, Batch, Live};
use super::observe::METRICS;
use super::wanted::Wanted;

/// Batches that may wait for one listener, and about how many bytes.
const WAITING: usize = 256;
const WAITING_BYTES: usize = 1 << 20;
/// What is handed to many takes its time, and the rest of a burst comes in one piece: so long at most, and no longer than
/// a tenth of them has not taken it yet, which is looked at so often.
const LONGEST: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);
/// So few need no rest.
const FEW: usize = 16;
/// How often an outage is waited for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Who are told the same: equal rights and equal wishes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub who: Who,
    pub wanted: Arc<Wanted>,
    /// Version of the schema; 0 where it does not matter.
    pub schema: i64,
}

/// Whose rights they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Everything.
    Admin,
    /// What these rules say.
    Ruled {
        /// Which rules they are, as long as they are held.
        rules: usize,
        /// The share that they came in by.
        share: Option<Uuid>,
        /// He himself, where rules look at who asks.
        caller: Option<Box<Himself>>,
    },
}

/// What rules can look at of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Himself {
    user: Option<Uuid>,
    role: Option<Uuid>,
    roles: Vec<Uuid>,
    policies: Vec<Uuid>,
}

impl Who {
    /// Of one with these rules.
    pub fn ruled(access: &Access, who: &Accountability, looks_at_caller: bool) -> Self {
        let Accountability { user, role, roles, policies, share, .. } = who.clone();
        let caller = || Box::new(Himself { user, role, roles, policies });
        Self::Ruled { rules: access.identity(), share, caller: looks_at_caller.then(caller) }
    }
}

/// Events as they are told, up to a position.
#[derive(Debug)]
pub struct Passed {
    pub to: i64,
    pub events: Vec<Told>,
    pub bytes: usize,
}

/// How one listener stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// All up to here was handed over.
    pub reached: AtomicI64,
    /// Bytes that wait.
    pub waiting: AtomicUsize,
}

struct Member {
    sender: mpsc::Sender<Arc<Passed>>,
    standing: Arc<Standing>,
}

/// See the module.
pub struct Group {
    key: Key,
    /// One of them: they have equal rights.
    caller: Caller,
    /// Held, so that the key stays true.
    access: Access,
    members: Mutex<Members>,
    left: Notify,
}

struct Members {
    reached: i64,
    closed: bool,
    all: HashMap<u64, Member>,
    next: u64,
}

/// A place in a group; given up when dropped.
pub struct Membership {
    group: Arc<Group>,
    number: u64,
    pub standing: Arc<Standing>,
    pub news: mpsc::Receiver<Arc<Passed>>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.group.lock();
        members.all.remove(&self.number);
        if members.all.is_empty() {
            self.group.left.notify_one();
        }
    }
}

/// What came of the wish to join.
pub enum Joined {
    Yes(Membership),
    /// The group is farther than the listener: he has to read on by himself first.
    Behind(i64),
    /// It has closed meanwhile.
    Closed,
}

impl Group {
    /// A new one, told everything behind `reached`.
    pub fn new(key: Key, caller: Caller, access: Access, reached: i64) -> Arc<Self> {
        let members = Members { reached, closed: false, all: HashMap::new(), next: 0 };
        Arc::new(Self { key, caller, access, members: Mutex::new(members), left: Notify::new() })
    }

    /// One more listener, who was told everything up to `reached`.
    pub fn join(self: &Arc<Self>, reached: i64) -> Joined {
        let mut members = self.lock();
        if members.closed {
            return Joined::Closed;
        }
        if reached < members.reached {
            return Joined::Behind(members.reached);
        }
        let (sender, news) = mpsc::channel(WAITING);
        let standing = Arc::new(Standing::default());
        standing.reached.store(reached, Ordering::Release);
        let number = members.next;
        members.next += 1;
        members.all.insert(number, Member { sender, standing: Arc::clone(&standing) });
        Joined::Yes(Membership { group: Arc::clone(self), number, standing, news })
    }

    /// Whether it can be joined.
    pub fn is_open(&self) -> bool {
        !self.lock().closed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until nobody is left, or it has to be made anew.
    pub async fn run(self: Arc<Self>, live: Live, mut feed: broadcast::Receiver<Arc<Batch>>) {
        METRICS.groups.inc();
        let soft = live.runtime.shutdown.soft().clone();
        loop {
            let first = tokio::select! {
                biased;
                () = soft.cancelled() => break,
                () = self.left.notified() => match self.is_deserted() {
                    true => break,
                    false => continue,
                },
                // Who lags has a gap, too.
                batch = feed.recv() => match batch {
                    Ok(batch) => batch,
                    Err(_) => break,
                },
            };
            let mut batches = vec![first];
            while batches.iter().map(|batch| batch.events.len()).sum::<usize>() < BATCH
                && let Ok(more) = feed.try_recv()
            {
                batches.push(more);
            }
            if self.pass(&live, &batches).await.is_none() {
                break;
            }
            self.rest().await;
        }
        live.forget(&self.key, &self);
        self.close();
        METRICS.groups.dec();
    }

    fn is_deserted(&self) -> bool {
        let mut members = self.lock();
        members.closed = members.all.is_empty();
        members.closed
    }

    /// Listeners find out by the end of what was handed to them.
    fn close(&self) {
        let mut members = self.lock();
        members.closed = true;
        members.all.clear();
    }

    /// Until nearly all have taken what was handed to them.
    async fn rest(&self) {
        let begun = Instant::now();
        let waiting = || {
            let members = self.lock();
            let behind = |member: &&Member| member.standing.waiting.load(Ordering::Acquire) > 0;
            (members.all.values().filter(behind).count(), members.all.len())
        };
        while begun.elapsed() < LONGEST {
            let (waiting, all) = waiting();
            if waiting <= FEW.max(all / 10) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Judges what is new and hands it over; nothing where it can't go on.
    async fn pass(&self, live: &Live, batches: &[Arc<Batch>]) -> Option<()> {
        let mut reached = self.lock().reached;
        for batch in batches {
            if batch.after != reached {
                return None;
            }
            reached = batch.settled;
        }
        let wanted = |event: &&Event| self.key.wanted.holds(event);
        let events: Vec<&Event> = batches.iter().flat_map(|batch| &batch.events).filter(wanted).collect();
        let told = match (&self.key.who, events.is_empty()) {
            (_, true) => Vec::new(),
            (Who::Admin, _) => events.iter().filter_map(|event| judge::whole(event)).collect(),
            (Who::Ruled { .. }, _) => self.judged(live, &events).await?,
        };
        let now = live.state.clock.now();
        for event in &events {
            METRICS.seconds.observe((now - event.time).as_seconds_f64().max(0.0));
        }
        self.hand_over(told, reached);
        Some(())
    }

    /// By the rules of now, which must be those of the key. An outage is waited for.
    async fn judged(&self, live: &Live, events: &[&Event]) -> Option<Vec<Told>> {
        for _ in 0..TRIES {
            let snapshot = live.state.snapshots.present();
            if let Ok(asking) = live.state.asking(&self.caller).await {
                if snapshot.schema.version != self.key.schema
                    || asking.access.identity() != self.access.identity()
                {
                    return None;
                }
                let who = &self.caller.accountability;
                let judge = Judge { state: &live.state, who, asking: &asking, snapshot: &snapshot };
                match judge.told(events).await {
                    Ok(told) => return Some(told),
                    Err(Failure::Moved) => return None,
                    Err(Failure::Away) => {}
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(events = events.len(), "a group of listeners ends: nobody can say what they may see");
        None
    }

    /// To each who has room; whoever has none reads the log by himself.
    fn hand_over(&self, events: Vec<Told>, to: i64) {
        let bytes = events.iter().map(|(_, event)| event.len()).sum();
        let nothing = events.is_empty();
        let passed = Arc::new(Passed { to, events, bytes });
        let mut members = self.lock();
        members.reached = to;
        members.all.retain(|_, member| {
            let standing = &member.standing;
            if !nothing {
                let waiting = standing.waiting.fetch_add(bytes, Ordering::AcqRel);
                let room = waiting == 0 || waiting + bytes <= WAITING_BYTES;
                if !room || member.sender.try_send(Arc::clone(&passed)).is_err() {
                    METRICS.behind.inc();
                    return false;
                }
            }
            standing.reached.store(to, Ordering::Release);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use access::Access;
    use bytes::Bytes;
    use rpc::Caller;

    use super::{Group, Joined, Key, Membership, WAITING_BYTES, Wanted, Who};

    fn group(reached: i64) -> Arc<Group> {
        let wanted = Arc::new(Wanted::new(Vec::new(), Vec::new()));
        let key = Key { who: Who::Admin, wanted, schema: 0 };
        Group::new(key, Caller::default(), Access::admin(), reached)
    }

    fn joined(group: &Arc<Group>, reached: i64) -> Membership {
        match group.join(reached) {
            Joined::Yes(membership) => membership,
            Joined::Behind(_) | Joined::Closed => panic!("not joined"),
        }
    }

    #[tokio::test]
    async fn who_does_not_listen_holds_up_nobody_and_little_memory() {
        let group = group(0);
        let (mut eager, mut slow) = (joined(&group, 0), joined(&group, 0));
        let large = Bytes::from(vec![b'x'; WAITING_BYTES / 3]);
        for position in 1..=5 {
            group.hand_over(vec![(position, large.clone())], position);
            let passed = eager.news.recv().await.unwrap();
            assert_eq!(passed.to, position);
            eager.standing.waiting.fetch_sub(passed.bytes, super::Ordering::AcqRel);
        }
        // Three fit; he reads on by himself behind them.
        let mut last = 0;
        while let Some(passed) = slow.news.recv().await {
            last = passed.to;
        }
        assert_eq!((last, slow.standing.reached.load(super::Ordering::Acquire)), (3, 3));
        // One that is larger than all that may wait is handed over where nothing waits.
        let huge = Bytes::from(vec![b'x'; 2 * WAITING_BYTES]);
        group.hand_over(vec![(6, huge)], 6);
        assert_eq!(eager.news.recv().await.unwrap().to, 6);
    }

    #[tokio::test]
    async fn a_group_is_joined_where_it_stands() {
        let group = group(10);
        assert!(matches!(group.join(9), Joined::Behind(10)));
        let mut ahead = joined(&group, 12);
        group.hand_over(vec![(11, Bytes::from_static(b"known"))], 11);
        assert_eq!(ahead.news.recv().await.unwrap().events.len(), 1, "the listener knows what he knows");
        drop(ahead);
        assert!(group.is_deserted());
        assert!(matches!(group.join(12), Joined::Closed));
    }
}
