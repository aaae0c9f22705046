//! Writes of one item that come at the same time are one statement: while some are on their way, those that come wait for
//! the next one and go in it together. Nobody waits when nothing is on its way. A statement that is refused is nobody's:
//! each of its writes is then done by itself, and who is to blame is told so.

mod batch;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use chassis::Tasks;
use chassis::metrics::{self, Histogram};
use model::{Collection, Errors};
use planner::{Payload, Stamp};
use rpc::Caller;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use uuid::Uuid;

use super::write::Written;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

/// Statements of one lane that are on their way at most.
const RUNNING: usize = 2;

/// Writes of one statement at most.
const LARGEST: usize = 100;

static SIZES: LazyLock<Histogram> = LazyLock::new(|| {
    let help = "Writes of one item that went in one statement.";
    let buckets = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0];
    metrics::histogram("eventus_write_together_items", help, &[], &buckets).with_label_values::<&str>(&[])
});

/// What is done to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Create,
    Update,
    Delete,
}

/// What writes must have in common to be one statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    kind: Kind,
    collection: String,
    /// What is read back.
    query: Bytes,
    /// Fields that a change names.
    fields: Vec<String>,
    /// Version of the schema.
    schema: i64,
    user: Option<Uuid>,
    role: Option<Uuid>,
    policies: Vec<Uuid>,
    process: Option<String>,
    /// Which rules: those of before a change and those of after it are not the same.
    access: usize,
    silent: bool,
}

/// A write of one item.
struct One {
    /// The key of a present item.
    key: String,
    /// Its values, ready for planning; none for a deletion.
    payload: Payload,
    /// What its event says beside.
    stamp: Stamp,
    /// Who asks.
    asking: Arc<Asking>,
}

/// A write that may go with others. Nothing of it is copied unless it has to wait for them.
pub struct Offer<'a> {
    lane: Lane,
    key: &'a str,
    payload: Option<&'a Payload>,
    stamp: &'a Stamp,
    asking: &'a Arc<Asking>,
}

impl Offer<'_> {
    fn one(&self) -> One {
        One {
            key: self.key.to_owned(),
            payload: self.payload.cloned().unwrap_or_default(),
            stamp: self.stamp.clone(),
            asking: Arc::clone(self.asking),
        }
    }
}

/// Who writes, against what.
#[derive(Clone, Copy)]
pub struct By<'a> {
    /// On whose behalf.
    pub caller: &'a Caller,
    /// The same, as plans need it.
    pub asking: &'a Arc<Asking>,
    /// What plans are made against.
    pub snapshot: &'a Snapshot,
    /// Whose item.
    pub collection: &'a Collection,
    /// What is read back.
    pub query: &'a Bytes,
    /// What the event says beside.
    pub stamp: &'a Stamp,
}

impl<'a> By<'a> {
    /// The creation of an item whose key nobody gives.
    pub fn create(self, payload: &'a Payload) -> Option<Offer<'a>> {
        let own_key = payload.get(&self.collection.primary_key).is_some();
        (!own_key).then(|| self.offer(Kind::Create, "", Some(payload), Vec::new()))
    }

    /// The change of an item.
    pub fn update(self, key: &'a str, payload: &'a Payload) -> Option<Offer<'a>> {
        let mut fields: Vec<String> = payload.iter().map(|(name, _)| name.to_owned()).collect();
        fields.sort_unstable();
        (!fields.is_empty()).then(|| self.offer(Kind::Update, key, Some(payload), fields))
    }

    /// The deletion of an item.
    pub fn delete(self, key: &'a str) -> Offer<'a> {
        self.offer(Kind::Delete, key, None, Vec::new())
    }

    fn offer(self, kind: Kind, key: &'a str, payload: Option<&'a Payload>, fields: Vec<String>) -> Offer<'a> {
        let Self { caller, asking, snapshot, collection, query, stamp } = self;
        let by = &caller.accountability;
        let lane = Lane {
            kind,
            collection: collection.name.clone(),
            query: query.clone(),
            fields,
            schema: snapshot.schema.version,
            user: by.user,
            role: by.role,
            policies: by.policies.clone(),
            process: by.process.clone(),
            access: asking.access.identity(),
            silent: stamp.silent,
        };
        Offer { lane, key, payload, stamp, asking }
    }
}

/// What becomes of a write.
pub enum Turn {
    /// It is to be done by itself, now. The place is held until then.
    Alone(Option<Place>),
    /// It was done with others.
    Done(Result<Written, Errors>),
}

/// A write that waits.
struct Waiting {
    one: One,
    told: oneshot::Sender<Turn>,
}

/// What goes on in one lane.
#[derive(Default)]
struct Traffic {
    running: usize,
    waiting: VecDeque<Waiting>,
}

/// All lanes of this process.
pub struct Together {
    lanes: Mutex<HashMap<Lane, Traffic>>,
    tasks: Tasks,
}

/// A statement on its way. When it is done, those that wait go next.
pub struct Place {
    state: State,
    lane: Lane,
}

impl Together {
    /// Nothing is on its way. What goes together runs in `tasks`: no request that goes away takes others with it.
    pub fn new(tasks: Tasks) -> Self {
        Self { lanes: Mutex::default(), tasks }
    }

    fn lanes<T>(&self, act: impl FnOnce(&mut HashMap<Lane, Traffic>) -> T) -> T {
        act(&mut self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next writes of a lane; none gives its place up.
    fn next(&self, lane: &Lane) -> Vec<Waiting> {
        self.lanes(|lanes| {
            let Some(traffic) = lanes.get_mut(lane) else { return Vec::new() };
            traffic.waiting.retain(|waiting| !waiting.told.is_closed());
            let next = batch::take(&mut traffic.waiting, lane.kind, LARGEST);
            if next.is_empty() {
                traffic.running -= 1;
                if traffic.running == 0 {
                    lanes.remove(lane);
                }
            }
            next
        })
    }
}

/// The turn of a write: at once and by itself if it can't go with others or little is on its way, else when it is done.
pub async fn turn(state: &State, offer: Option<Offer<'_>>) -> Turn {
    let Some(offer) = offer else { return Turn::Alone(None) };
    let waiting = state.together.lanes(|lanes| {
        let traffic = lanes.entry(offer.lane.clone()).or_default();
        if traffic.running < RUNNING {
            traffic.running += 1;
            return None;
        }
        let (told, turn) = oneshot::channel();
        traffic.waiting.push_back(Waiting { one: offer.one(), told });
        Some(turn)
    });
    let Some(waiting) = waiting else {
        SIZES.observe(1.0);
        return Turn::Alone(Some(Place { state: state.clone(), lane: offer.lane }));
    };
    // Dropped unanswered only at the hard stop: nobody can say whether it was stored.
    waiting.await.unwrap_or_else(|_| Turn::Done(Err(model::Error::unavailable("items").into())))
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = self.state.together.next(&self.lane);
        if next.is_empty() {
            return;
        }
        let (state, lane) = (self.state.clone(), self.lane.clone());
        let work = async move {
            let mut next = next;
            while !next.is_empty() {
                #[expect(clippy::cast_precision_loss, reason = "a few")]
                SIZES.observe(next.len() as f64);
                batch::write(&state, &lane, next).await;
                next = state.together.next(&lane);
            }
        };
        self.state.together.tasks.detach(work.instrument(tracing::info_span!("items.together")));
    }
}
