//! One stream: first what the log holds, read for it alone, then what its group is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use model::{Error, Errors, Event};
use proto::events::v1::EventMessage;
use rpc::Caller;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Status;
use uuid::Uuid;

use super::credential::Credential;
use super::group::{Joined, Membership};
use super::judge::{self, Failure, Judge, Told};
use super::live::{BATCH, Listening, Live, unreadable};
use super::observe::METRICS;
use super::place::{Place, holder};
use super::wanted::Wanted;

/// Messages that wait for a slow client.
pub const BUFFER: usize = 32;
/// How often a client is told how far the log was read, if he asked.
const PROGRESS: Duration = Duration::from_secs(15);
/// How often a look at the past is tried.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Who listens, to what, and where he is told of it.
pub struct Listener {
    pub live: Live,
    pub caller: Caller,
    pub wanted: Arc<Wanted>,
    /// He wants to know how far the log was read.
    pub progress: bool,
    pub sender: mpsc::Sender<Result<EventMessage, Status>>,
    /// What he came in by, where nobody else looks after it.
    pub credential: Option<Credential>,
    /// Which log it is.
    pub epoch: Uuid,
}

/// Why a stream ends.
enum End {
    /// The client is gone.
    Gone,
    /// He is told.
    Refused(Errors),
}

impl From<Errors> for End {
    fn from(errors: Errors) -> Self {
        Self::Refused(errors)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Listener {
    /// From behind a place to the end of the stream; `reset` is why it is not the place that was asked for.
    pub async fn run(mut self, after: i64, reset: Option<&'static str>, listening: Listening) {
        METRICS.listeners.inc();
        let (soft, gone) = (self.live.runtime.shutdown.soft().clone(), self.sender.clone());
        let credential = self.credential.take();
        let invalid = async move {
            match credential {
                Some(credential) => credential.ended().await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            biased;
            () = soft.cancelled() => Some(Error::unavailable("events").into()),
            () = gone.closed() => None,
            error = invalid => Some(Errors::from(error)),
            end = self.follow(after, reset) => match end {
                Err(End::Refused(errors)) => Some(errors),
                Ok(()) | Err(End::Gone) => None,
            },
        };
        if let Some(errors) = end {
            // Who does not even read that has to do without.
            let _ = gone.try_send(Err(rpc::status(errors)));
        }
        METRICS.listeners.dec();
        drop(listening);
    }

    async fn follow(&self, after: i64, reset: Option<&'static str>) -> Result<(), End> {
        if let Some(reason) = reset {
            METRICS.resets.with_label_values(&[reason]).inc();
            let message = EventMessage { reset: reason.to_owned(), ..self.at(after, Bytes::new())? };
            self.send(message).await?;
        }
        let mut reached = after;
        loop {
            let group = self.live.group(&self.caller, &self.wanted).await?;
            match group.join(reached) {
                Joined::Yes(membership) => reached = self.hear(membership, reached).await?,
                Joined::Behind(head) => reached = self.catch_up(reached, head).await?,
                Joined::Closed => tokio::task::yield_now().await,
            }
        }
    }

    /// What the group is told, as long as it goes on; how far that was.
    async fn hear(&self, mut membership: Membership, mut reached: i64) -> Result<i64, End> {
        let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = reached;
        loop {
            tokio::select! {
                passed = membership.news.recv() => {
                    let standing = &membership.standing;
                    let Some(passed) = passed else {
                        return Ok(reached.max(standing.reached.load(Ordering::Acquire)));
                    };
                    standing.waiting.fetch_sub(passed.bytes, Ordering::AcqRel);
                    self.tell(passed.events.iter().filter(|(position, _)| *position > reached)).await?;
                    reached = reached.max(passed.to);
                    said = reached;
                }
                _ = progress.tick(), if self.progress => {
                    // Read in this order: what is handed over is in the channel before it counts.
                    let handed = membership.standing.reached.load(Ordering::Acquire);
                    if membership.news.is_empty() && handed > said {
                        self.send(self.at(handed, Bytes::new())?).await?;
                        said = handed;
                    }
                }
            }
        }
    }

    /// The log behind `reached`, as far as the group was told of it; how far it was read.
    async fn catch_up(&self, mut reached: i64, head: i64) -> Result<i64, End> {
        while reached < head {
            let (told, to) = self.past(reached, head).await?;
            self.tell(told.iter()).await?;
            if told.is_empty() && self.progress {
                self.send(self.at(to, Bytes::new())?).await?;
            }
            reached = to;
        }
        Ok(reached)
    }

    /// A piece of the log as it is told, and its end. Few read at a time; who sends to a slow client is not one of them.
    async fn past(&self, after: i64, head: i64) -> Result<(Vec<Told>, i64), End> {
        let _one = self.live.readers.acquire().await.map_err(|_| Error::unavailable("events"))?;
        let mut events = self.live.log.read(after, BATCH).await.map_err(|error| unreadable(&error))?;
        let read = events.len();
        events.retain(|event| event.position <= head);
        // A piece that ends behind the head holds all up to there.
        let to = match events.last() {
            Some(last) if events.len() == read => last.position,
            _ => head,
        };
        let wanted: Vec<&Event> = events.iter().filter(|event| self.wanted.holds(event)).collect();
        Ok((self.judged(&wanted).await?, to))
    }

    async fn judged(&self, events: &[&Event]) -> Result<Vec<Told>, End> {
        let Self { live, caller, wanted, .. } = self;
        for _ in 0..TRIES {
            // Before the rules: they are judged against one that is not older.
            let snapshot = live.state.snapshots.present();
            let Some(asking) = live.admit(caller, wanted).await? else {
                return Ok(events.iter().filter_map(|event| judge::whole(event)).collect());
            };
            let who = &caller.accountability;
            let judge = Judge { state: &live.state, who, asking: &asking, snapshot: &snapshot };
            match judge.told(events).await {
                Ok(told) => return Ok(told),
                Err(Failure::Moved | Failure::Away) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(Error::unavailable("database").into())
    }

    async fn tell<'t>(&self, told: impl Iterator<Item = &'t Told>) -> Result<(), End> {
        for (position, event) in told {
            self.send(self.at(*position, event.clone())?).await?;
            METRICS.messages.inc();
        }
        Ok(())
    }

    async fn send(&self, message: EventMessage) -> Result<(), End> {
        self.sender.send(Ok(message)).await.map_err(|_| End::Gone)
    }

    /// A message of this place, as the listener may know it.
    fn at(&self, position: i64, event: Bytes) -> Result<EventMessage, Error> {
        message(&self.live, &self.caller, Place { position, epoch: self.epoch }, event)
    }
}

/// A message of a place, as one may know it.
///
/// # Errors
/// When the machine gives no randomness.
pub fn message(live: &Live, caller: &Caller, place: Place, event: Bytes) -> Result<EventMessage, Error> {
    let who = &caller.accountability;
    if who.admin {
        return Ok(EventMessage { position: place.position, event, ..EventMessage::default() });
    }
    let token = place.seal(&live.state.places, &holder(who)).map_err(|error| {
        tracing::error!(%error, "a place can't be sealed");
        Error::internal()
    })?;
    Ok(EventMessage { event, token, ..EventMessage::default() })
}
