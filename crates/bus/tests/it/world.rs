//! A log in memory, a ledger on it, a relay that publishes it, a worker that applies it, and a nats-server.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bus::{Bus, Config, ConsumerConfig, Failure, Handler, Marks, Publisher, Resume};
use model::{DeadLetter, Event, EventName, Ledger, LedgerError, TraceParent};
use serde_json::value::RawValue;
use testkit::{Nats, eventually};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

pub const SOON: Duration = Duration::from_secs(30);

/// What was committed.
#[derive(Debug, Clone, Default)]
pub struct Log {
    events: Arc<Mutex<Vec<Event>>>,
    grown: Arc<Notify>,
}

impl Log {
    pub fn all(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap()
    }

    /// One more version of an item of `items.update.a`.
    pub fn append(&self, key: &str) -> Event {
        self.append_as("items.update", "a", key, |_| {})
    }

    pub fn append_as(
        &self,
        name: &str,
        collection: &str,
        key: &str,
        change: impl FnOnce(&mut Event),
    ) -> Event {
        let mut events = self.all();
        let position = events.last().map_or(0, |event| event.position) + 1;
        let same = |event: &&Event| event.collection == collection && event.key == key;
        let version = events.iter().rfind(same).map_or(0, |event| event.version) + 1;
        let mut event = event(position, name, collection, key, version);
        change(&mut event);
        events.push(event.clone());
        drop(events);
        self.grown.notify_waiters();
        event
    }

    /// `count` events over `keys` items.
    pub fn fill(&self, count: usize, keys: usize) {
        let mut events = self.all();
        let mut versions: BTreeMap<String, i64> = BTreeMap::new();
        for event in events.iter() {
            versions.insert(event.key.clone(), event.version);
        }
        for n in 0..count {
            let position = events.last().map_or(0, |event| event.position) + 1;
            let key = format!("k{}", (n * 7) % keys);
            let version = versions.entry(key.clone()).or_default();
            *version += 1;
            events.push(event(position, "items.update", "a", &key, *version));
        }
        drop(events);
        self.grown.notify_waiters();
    }

    pub fn last(&self) -> i64 {
        self.all().last().map_or(0, |event| event.position)
    }

    fn behind(&self, position: i64, limit: usize) -> Vec<Event> {
        let events = self.all();
        let start = events.partition_point(|event| event.position <= position);
        events[start..].iter().take(limit).cloned().collect()
    }
}

fn event(position: i64, name: &str, collection: &str, key: &str, version: i64) -> Event {
    Event {
        id: Uuid::from_u128((0x7000 << 64) | position.unsigned_abs() as u128),
        name: EventName::parse(name).unwrap(),
        collection: collection.to_owned(),
        key: key.to_owned(),
        version,
        payload: Some(RawValue::from_string(format!("{{\"title\":\"number {position}\"}}")).unwrap()),
        fields: Some(vec!["title".to_owned()]),
        traceparent: TraceParent::parse(&format!("00-{:032x}-{:016x}-01", position, position)),
        ..testkit::event(position)
    }
}

/// A consumer's memory on the log.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub log: Log,
    mark: Arc<Mutex<i64>>,
    pub buried: Arc<Mutex<Vec<DeadLetter>>>,
    pub away: Arc<Mutex<bool>>,
    pub reads: Arc<Mutex<usize>>,
}

impl Memory {
    pub fn of(log: &Log) -> Self {
        Self { log: log.clone(), ..Self::default() }
    }

    pub fn mark(&self) -> i64 {
        *self.mark.lock().unwrap()
    }

    fn here(&self) -> Result<(), LedgerError> {
        if *self.away.lock().unwrap() { Err(LedgerError("away".into())) } else { Ok(()) }
    }
}

impl Ledger for Memory {
    async fn low_water(&self) -> Result<i64, LedgerError> {
        self.here()?;
        Ok(self.mark())
    }

    async fn raise(&self, position: i64) -> Result<(), LedgerError> {
        self.here()?;
        let mut mark = self.mark.lock().unwrap();
        *mark = position.max(*mark);
        Ok(())
    }

    async fn read_log(&self, after: i64, limit: usize) -> Result<Vec<Event>, LedgerError> {
        self.here()?;
        *self.reads.lock().unwrap() += 1;
        Ok(self.log.behind(after, limit))
    }

    async fn read_event(&self, position: i64) -> Result<Option<Event>, LedgerError> {
        self.here()?;
        Ok(self.log.all().iter().find(|event| event.position == position).cloned())
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LedgerError> {
        self.here()?;
        self.buried.lock().unwrap().push(letter);
        Ok(())
    }
}

type Judge = Box<dyn Fn(&Event, usize) -> Result<(), Failure> + Send + Sync>;

/// Applies events once each, as a worker with an inbox does, and remembers in which order.
#[derive(Clone, Default)]
pub struct Effects {
    inner: Arc<Mutex<Applied>>,
    judge: Arc<Mutex<Option<Judge>>>,
    /// Calls wait while somebody holds it.
    pub gate: Arc<tokio::sync::RwLock<()>>,
    /// Calls that run now, at the gate or behind it.
    running: Arc<AtomicUsize>,
}

#[derive(Default)]
pub struct Applied {
    inbox: HashSet<Uuid>,
    pub events: Vec<Event>,
    /// How often each position was handed in.
    pub calls: BTreeMap<i64, usize>,
    pub batches: Vec<usize>,
}

impl Effects {
    /// Another handler with the same inbox and effects, as of another process.
    pub fn sharing(other: &Self) -> Self {
        Self { inner: other.inner.clone(), ..Self::default() }
    }

    /// How to answer to an event that is handed in for the n-th time, from 1.
    pub fn judge(&self, judge: impl Fn(&Event, usize) -> Result<(), Failure> + Send + Sync + 'static) {
        *self.judge.lock().unwrap() = Some(Box::new(judge));
    }

    pub fn applied(&self) -> MutexGuard<'_, Applied> {
        self.inner.lock().unwrap()
    }

    pub fn count(&self) -> usize {
        self.applied().events.len()
    }

    pub fn calls(&self, position: i64) -> usize {
        self.applied().calls.get(&position).copied().unwrap_or(0)
    }

    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub fn positions(&self) -> Vec<i64> {
        self.applied().events.iter().map(|event| event.position).collect()
    }

    pub async fn until(&self, count: usize) {
        let begun = Instant::now();
        while self.count() < count {
            assert!(begun.elapsed() < SOON, "{} of {count} within {SOON:?}", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Per item, versions were applied in order, each once; gives how many events that were.
    #[track_caller]
    pub fn check_order(&self) -> usize {
        let applied = self.applied();
        let mut last: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for event in &applied.events {
            let version = last.entry((&event.collection, &event.key)).or_default();
            assert!(event.version > *version, "{} {} after {version}", event.key, event.version);
            *version = event.version;
        }
        applied.events.len()
    }
}

/// One call that runs.
struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handler for Effects {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Call(self.running.clone());
        let _open = self.gate.read().await;
        let calls: Vec<usize> = {
            let mut applied = self.applied();
            applied.batches.push(events.len());
            let count = |event: &Event| {
                let calls = applied.calls.entry(event.position).or_default();
                *calls += 1;
                *calls
            };
            events.iter().map(count).collect()
        };
        // All or nothing, as in a transaction.
        if let Some(judge) = self.judge.lock().unwrap().as_ref() {
            for (event, call) in events.iter().zip(calls) {
                judge(event, call)?;
            }
        }
        let mut applied = self.applied();
        for event in events {
            if applied.inbox.insert(event.id) {
                applied.events.push(event.clone());
            }
        }
        Ok(())
    }
}

/// Everything a test needs. Consumers and relay stop with it.
pub struct World {
    pub nats: Nats,
    pub config: Config,
    pub log: Log,
    pub memory: Memory,
    pub effects: Effects,
    pub tasks: JoinSet<()>,
}

impl World {
    pub async fn new() -> Self {
        let nats = Nats::start().await;
        let config = Config::new(nats.url());
        let log = Log::default();
        let memory = Memory::of(&log);
        Self { nats, config, log, memory, effects: Effects::default(), tasks: JoinSet::new() }
    }

    pub async fn bus(&self) -> Bus {
        Bus::connect(&self.config, "test").await.unwrap()
    }

    /// Publishes the log, whatever happens, until the test is over.
    pub async fn relay(&mut self) -> AbortHandle {
        let (bus, log) = (self.bus().await, self.log.clone());
        self.tasks.spawn(relay(bus, log, 0))
    }

    /// Runs a consumer with everything quick; gives its stop.
    pub async fn consumer(&mut self, change: impl FnOnce(&mut ConsumerConfig)) -> Running {
        let (memory, effects) = (self.memory.clone(), self.effects.clone());
        self.consumer_of(memory, effects, change).await
    }

    pub async fn consumer_of(
        &mut self,
        memory: Memory,
        effects: Effects,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> Running {
        let config = quick(change);
        let bus = self.bus().await;
        let (shutdown, health) = (chassis::Shutdown::new(), chassis::Health::new());
        let component = health.component("consumer");
        let stop = shutdown.clone();
        let task = self.tasks.spawn(async move {
            bus::consumer::run(bus, config, memory, effects, stop, component).await.unwrap();
        });
        Running { shutdown, health, task }
    }

    /// Waits until the mark stands at the log's end.
    pub async fn settled(&self) {
        let (memory, end) = (self.memory.clone(), self.log.last());
        eventually(SOON, || {
            let mark = memory.mark();
            async move { mark >= end }
        })
        .await;
    }
}

/// A consumer that runs.
pub struct Running {
    pub shutdown: chassis::Shutdown,
    pub health: chassis::Health,
    pub task: AbortHandle,
}

impl Running {
    /// Waits until it is attached.
    pub async fn attached(&self) {
        eventually(SOON, || async { self.health.ready() }).await;
    }

    /// Soft stop, to the end.
    pub async fn stop(&self) {
        self.shutdown.begin();
        eventually(SOON, || async { self.task.is_finished() }).await;
    }
}

/// Settings with which everything happens within seconds.
pub fn quick(change: impl FnOnce(&mut ConsumerConfig)) -> ConsumerConfig {
    let mut config = ConsumerConfig::new("worker", ["items.>"]);
    config.ack_wait = Duration::from_secs(3);
    config.takeover = Duration::from_millis(1500);
    config.backoff = [50, 100].map(Duration::from_millis).to_vec();
    config.max_attempts = 3;
    change(&mut config);
    config
}

/// A relay over the log in memory; `from` is where a new stream begins.
pub async fn relay(bus: Bus, log: Log, from: i64) {
    let mut publisher = Publisher::new(bus.clone(), Uuid::from_u128(1));
    let mut marks = Marks::default();
    loop {
        let mut position = match publisher.resume(marks).await {
            Ok(Resume::Fresh) => from,
            Ok(Resume::Behind { position, id, .. }) => {
                assert!(log.all().iter().any(|event| event.position == position && event.id == id));
                position
            }
            Ok(Resume::Marked { position }) => position,
            Err(bus::Error::ChainLost(reason)) => panic!("{reason}"),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        loop {
            let grown = log.grown.notified();
            let events = log.behind(position, 1000);
            if events.is_empty() {
                let waited = tokio::time::timeout(Duration::from_millis(250), grown).await;
                if waited.is_err() && !publisher.is_current().await.unwrap_or(false) {
                    break;
                }
                continue;
            }
            let published = publisher.publish(&events).await;
            if let Some(new) = published.marks {
                marks = new;
                position = new.position;
            }
            if published.error.is_some() {
                break;
            }
        }
    }
}
