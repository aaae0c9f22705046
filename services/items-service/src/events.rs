//! The EventsService: the log as a stream of committed facts.
//!
//! One tail per process tells how far the log is settled, and only while somebody listens; each stream reads the log
//! up to there by itself, so a slow one holds up nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chassis::{BoxError, Runtime};
use event_store::{Log, Tail};
use futures_util::Stream;
use model::{Error, Event};
use proto::events::v1 as pb;
use proto::events::v1::events_service_server::EventsService;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::state::State;

mod emit;

/// Events read at once for a stream.
const BATCH: usize = 500;
/// Events waiting for a slow listener.
const BUFFER: usize = 64;

/// How far the log is settled, as long as anybody wants to know.
#[derive(Clone)]
pub struct Live {
    settled: watch::Receiver<i64>,
    listeners: Arc<AtomicUsize>,
    wanted: Arc<Notify>,
    runtime: Runtime,
}

/// A listener; counted while it lives.
struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// Starts the tail, asleep.
    pub fn start(state: &State, runtime: &Runtime) -> Self {
        let (sender, settled) = watch::channel(0);
        let live = Self {
            settled,
            listeners: Arc::default(),
            wanted: Arc::new(Notify::new()),
            runtime: runtime.clone(),
        };
        let (task, state, soft) = (live.clone(), state.clone(), runtime.shutdown.soft().clone());
        runtime.tasks.spawn_to_the_end("live", async move {
            tokio::select! {
                () = soft.cancelled() => Ok::<(), BoxError>(()),
                () = task.follow(&state, &sender) => Ok(()),
            }
        });
        live
    }

    async fn follow(&self, state: &State, sender: &watch::Sender<i64>) {
        loop {
            while self.listeners.load(Ordering::Relaxed) == 0 {
                self.wanted.notified().await;
            }
            if let Err(error) = self.tail(state, sender).await {
                tracing::warn!(%error, "live streams wait for the log");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }

    async fn tail(&self, state: &State, sender: &watch::Sender<i64>) -> Result<(), event_store::Error> {
        let from = Log::new(state.db.clone()).last_settled().await?;
        sender.send_if_modified(|settled| std::mem::replace(settled, from.max(*settled)) < from);
        let mut tail = Tail::with_wake(state.db.clone(), from, Arc::clone(&state.wake.live));
        while self.listeners.load(Ordering::Relaxed) > 0 {
            tail.next(BATCH, Duration::from_secs(1)).await?;
            let now = tail.settled();
            sender.send_if_modified(|settled| std::mem::replace(settled, now.max(*settled)) < now);
        }
        Ok(())
    }

    fn listen(&self) -> Listening {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        self.wanted.notify_one();
        Listening(Arc::clone(&self.listeners))
    }
}

/// The service over the process's state.
pub struct Events {
    state: State,
    log: Log,
    live: Live,
}

impl Events {
    /// Events of the log in this database.
    pub fn new(state: State, live: Live) -> Self {
        Self { log: Log::new(state.db.clone()), state, live }
    }
}

/// What a listener wants to see.
struct Wanted {
    events: Vec<String>,
    collections: Vec<String>,
}

impl Wanted {
    fn holds(&self, event: &Event) -> bool {
        let name = event.name.as_str();
        let named = |pattern: &String| match pattern.strip_suffix(".*") {
            Some(start) => name.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
            None => pattern == "*" || pattern == name,
        };
        (self.events.is_empty() || self.events.iter().any(named))
            && (self.collections.is_empty() || self.collections.contains(&event.collection))
    }
}

fn message(event: &Event) -> Result<pb::EventMessage, Status> {
    let json = serde_json::to_vec(event).map_err(|error| Status::internal(error.to_string()))?;
    Ok(pb::EventMessage { position: event.position, event: Bytes::from(json) })
}

fn unavailable(error: &event_store::Error) -> Status {
    tracing::warn!(%error, "the log can't be read");
    rpc::status(Error::unavailable("database").into())
}

#[tonic::async_trait]
impl EventsService for Events {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<pb::EventMessage, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let pb::SubscribeRequest { after, events, collections } = request.into_inner();
        let listening = self.live.listen();
        let after = match after {
            Some(after) => after,
            None => self.log.last_settled().await.map_err(|error| unavailable(&error))?,
        };
        let (sender, receiver) = mpsc::channel(BUFFER);
        let reader = Reader {
            log: self.log.clone(),
            settled: self.live.settled.clone(),
            wanted: Wanted { events, collections },
            sender,
            soft: self.live.runtime.shutdown.soft().clone(),
            _listening: listening,
        };
        self.live.runtime.tasks.detach(reader.read(after));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_event(
        &self,
        request: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::EventMessage>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let stored = self.log.get(request.get_ref().position).await.map_err(|error| unavailable(&error))?;
        let stored = stored.ok_or_else(|| rpc::status(Error::forbidden().into()))?;
        message(&stored.event).map(Response::new)
    }

    async fn emit(&self, request: Request<pb::EmitRequest>) -> Result<Response<pb::EmitResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let (caller, message) = rpc::called(request);
        emit::custom(&self.state, &caller, message).await.map(Response::new).map_err(rpc::status)
    }
}

/// Reads the log for one stream.
struct Reader {
    log: Log,
    settled: watch::Receiver<i64>,
    wanted: Wanted,
    sender: mpsc::Sender<Result<pb::EventMessage, Status>>,
    soft: CancellationToken,
    _listening: Listening,
}

impl Reader {
    async fn read(mut self, after: i64) {
        let soft = self.soft.clone();
        let gone = self.sender.clone();
        tokio::select! {
            () = soft.cancelled() => {}
            () = gone.closed() => {}
            () = self.follow(after) => {}
        }
    }

    async fn follow(&mut self, mut after: i64) {
        loop {
            let settled = match self.settled.wait_for(|settled| *settled > after).await {
                Ok(settled) => *settled,
                Err(_) => return,
            };
            while after < settled {
                let events = match self.log.read(after, BATCH).await {
                    Ok(events) => events,
                    Err(error) => return drop(self.sender.send(Err(unavailable(&error))).await),
                };
                let reached = events.iter().take_while(|event| event.position <= settled);
                let (mut last, mut count) = (settled, 0);
                for event in reached {
                    (last, count) = (event.position, count + 1);
                    if self.wanted.holds(event) && self.sender.send(message(event)).await.is_err() {
                        return;
                    }
                }
                // A short read means that nothing more stands below the settled position.
                after = if count < events.len() || events.is_empty() { settled } else { last };
            }
        }
    }
}
