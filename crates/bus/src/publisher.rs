//! The relay's publisher: a chain in which every message names the one before it, so that the stream can neither
//! get a hole nor a duplicate, however often relay, connection and server die.

mod acks;

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt as _;
use model::Event;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Bus, Error, envelope, topology};

/// Messages under way at once.
const WINDOW: usize = 1000;

/// How much of the stream's end is checked for foreign messages at most.
const CHECK: u64 = 5000;

/// How long the broker may stay silent while it owes answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the log has been published, and which stream that was. The relay stores it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Position of the last event that the broker has acknowledged.
    pub position: i64,
    /// Where its message stands in the stream.
    pub stream_sequence: u64,
    /// When that stream was made, to the microsecond.
    pub stream_created: Option<OffsetDateTime>,
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// The stream is new: begin at the lowest position that any consumer has applied.
    Fresh,
    /// Go on behind this event. The stream says so: check that the log holds this id at this position, else
    /// stop and alarm.
    Behind {
        /// Position of the stream's last message.
        position: i64,
        /// Event id of the stream's last message.
        id: Uuid,
        /// Where it stands in the stream.
        stream_sequence: u64,
    },
    /// Go on behind this position: the stream's last message has expired, and the stored marks name it.
    Marked {
        /// The marks' position.
        position: i64,
    },
}

/// What came of [`Publisher::publish`].
#[derive(Debug)]
pub struct Published {
    /// How many of the events, from the first, are surely in the stream.
    pub acked: usize,
    /// The last of them; `None` when there is none.
    pub marks: Option<Marks>,
    /// What stopped it. Resume, then go on behind what the stream holds; it may hold more than is acked.
    pub error: Option<Error>,
}

/// The one writer of the stream. Not to be shared: there is one chain.
#[derive(Debug)]
pub struct Publisher {
    bus: Bus,
    source: String,
    chain: Option<Chain>,
    /// What we have published ourselves, if anything.
    own: Marks,
}

/// The end of the chain as we know it.
#[derive(Debug)]
struct Chain {
    last_sequence: u64,
    created: OffsetDateTime,
    generation: u64,
    acks: acks::Acks,
}

impl Publisher {
    /// A publisher for the log of this epoch. Call `resume` before anything else.
    pub fn new(bus: Bus, epoch: Uuid) -> Self {
        Self { bus, source: envelope::source(epoch), chain: None, own: Marks::default() }
    }

    /// Finds the end of the stream (and makes the stream if there is none). Call it at the start, after every
    /// error of `publish`, and when `is_current` says no.
    ///
    /// # Errors
    /// [`Error::ChainLost`] when the end can't be told; all others: try again later.
    pub async fn resume(&mut self, stored: Marks) -> Result<Resume, Error> {
        self.chain = None;
        topology::ensure(&self.bus).await?;
        let generation = self.bus.generation();
        let stream = stream(&self.bus).await?;
        let info = stream.cached_info();
        let created = to_micros(info.created);
        let last_sequence = info.state.last_sequence;
        // Marks that name no stream: a new log, or a reset one. Then an empty stream is as good as a new one.
        let unnamed = info.state.messages == 0 && stored.stream_created.is_none();
        let resume = if last_sequence == 0 || unnamed {
            Resume::Fresh
        } else {
            self.find_end(&stream, last_sequence, created, stored).await?
        };
        let acks = acks::Acks::subscribe(&self.bus).await?;
        self.chain = Some(Chain { last_sequence, created, generation, acks });
        Ok(resume)
    }

    async fn find_end(
        &self,
        stream: &Stream,
        last_sequence: u64,
        created: OffsetDateTime,
        stored: Marks,
    ) -> Result<Resume, Error> {
        // Not a direct get: a follower may lag behind its leader.
        match stream.get_raw_message(last_sequence).await {
            Ok(message) => {
                let place = self.place(&message)?;
                let named =
                    [stored, self.own].into_iter().filter(|marks| marks.stream_created == Some(created));
                if let Some(checked) = named.map(|marks| marks.stream_sequence).max() {
                    self.check(stream, checked, last_sequence).await?;
                }
                Ok(Resume::Behind { position: place.position, id: place.id, stream_sequence: last_sequence })
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                if stored.stream_sequence == last_sequence && stored.stream_created == Some(created) {
                    return Ok(Resume::Marked { position: stored.position });
                }
                let (marked, at) = (stored.stream_sequence, last_sequence);
                Err(Error::ChainLost(format!("its last message ({at}) has expired, the marks say {marked}")))
            }
            Err(error) => Err(Error::refused("reading the stream's last message", error)),
        }
    }

    /// Reads what stands between the last known mark and the end. A foreign message there takes the sequence of one of
    /// ours: that one is refused, while those behind it find the sequence that they were to follow.
    async fn check(&self, stream: &Stream, checked: u64, last_sequence: u64) -> Result<(), Error> {
        let first = (checked + 1).max(last_sequence.saturating_sub(CHECK));
        let mut messages = futures_util::stream::iter(first..last_sequence)
            .map(|sequence| stream.get_raw_message(sequence))
            .buffer_unordered(64);
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    self.place(&message)?;
                }
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(Error::refused("reading the stream's end", error)),
            }
        }
        Ok(())
    }

    /// Where a message of the stream stands in our log.
    fn place(&self, message: &StreamMessage) -> Result<envelope::Place, Error> {
        let sequence = message.sequence;
        let place = envelope::place(&message.headers)
            .map_err(|error| Error::ChainLost(format!("message {sequence} is foreign: {error}")))?;
        if place.source != self.source {
            return Err(Error::ChainLost(format!("message {sequence} is of {}", place.source)));
        }
        Ok(place)
    }

    /// Publishes events behind the last one, in order, many at a time, and waits for all answers.
    /// Stops at the first refusal, silence or reconnect; then call `resume`.
    pub async fn publish(&mut self, events: &[Event]) -> Published {
        let Some(mut chain) = self.chain.take() else {
            let reason = "not resumed".to_owned();
            return Published {
                acked: 0,
                marks: None,
                error: Some(Error::ChainBroken { expected: 0, reason }),
            };
        };
        let base = chain.last_sequence;
        let (acked, error) = self.run(&mut chain, events).await;
        let marks = acked.checked_sub(1).map(|last| Marks {
            position: events[last].position,
            stream_sequence: base + acked as u64,
            stream_created: Some(chain.created),
        });
        self.own = marks.unwrap_or(self.own);
        chain.last_sequence = base + acked as u64;
        if error.is_none() {
            self.chain = Some(chain);
        }
        Published { acked, marks, error }
    }

    /// Sends and gathers; gives how many are acknowledged without a gap, and what stopped it.
    async fn run(&self, chain: &mut Chain, events: &[Event]) -> (usize, Option<Error>) {
        let base = chain.last_sequence;
        let mut run = acks::Run::new(base, events.len());
        loop {
            if let Err(error) = self.same_connection(chain) {
                return (run.acked(), Some(run.error().unwrap_or(error)));
            }
            let mut sent = Ok(());
            while sent.is_ok() && run.may_send(WINDOW) {
                let (index, follows) = run.next();
                sent = self.send(chain, &events[index], index, follows).await.map(|bytes| run.sent(bytes));
            }
            if let Err(error) = sent {
                return (run.acked(), Some(run.error().unwrap_or(error)));
            }
            if run.is_over() {
                return (run.acked(), run.error());
            }
            if !chain.acks.gather(&mut run).await && run.silent_for(PATIENCE) {
                let silence = Error::Unavailable("no answer to a publish".to_owned());
                return (run.acked(), Some(run.error().unwrap_or(silence)));
            }
        }
    }

    async fn send(&self, chain: &Chain, event: &Event, index: usize, follows: u64) -> Result<usize, Error> {
        let mut message = envelope::encode(&self.bus.config().prefix, &self.source, event)?;
        message.headers.insert(async_nats::header::NATS_EXPECTED_LAST_SEQUENCE, follows.to_string());
        let reply = chain.acks.reply(index);
        let bytes = message.body.len();
        let send = self.bus.client().publish_with_reply_and_headers(
            message.subject,
            reply,
            message.headers,
            message.body,
        );
        match tokio::time::timeout(PATIENCE, send).await {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(error)) => Err(Error::Unavailable(error.to_string())),
            Err(_) => Err(Error::Unavailable("the connection takes nothing".to_owned())),
        }
    }

    /// Answers to what was sent on another connection never come.
    fn same_connection(&self, chain: &Chain) -> Result<(), Error> {
        self.bus.require()?;
        if self.bus.generation() == chain.generation {
            return Ok(());
        }
        Err(Error::Unavailable("the connection was lost".to_owned()))
    }

    /// Whether the stream still ends where we left it. A relay without work asks now and then, or it would
    /// notice a wiped stream only at the next event.
    pub async fn is_current(&self) -> Result<bool, Error> {
        let Some(chain) = &self.chain else { return Ok(false) };
        self.bus.require()?;
        let Some(stream) = topology::look(&self.bus).await? else { return Ok(false) };
        let info = stream.cached_info();
        Ok(chain.generation == self.bus.generation()
            && to_micros(info.created) == chain.created
            && info.state.last_sequence == chain.last_sequence)
    }

    /// Empties the stream for `relay reset`, while no relay runs. Gives the marks to store, with the position behind
    /// which all is to be published again; make a new epoch for it. Marks that name no stream do as well.
    pub async fn purge(bus: &Bus, position: i64) -> Result<Marks, Error> {
        topology::ensure(bus).await?;
        let last = topology::last_id(bus).await?;
        stream(bus).await?.purge().await.map_err(|error| Error::refused("emptying the stream", error))?;
        // The server still remembers the ids and would swallow the same events as duplicates.
        topology::forget_ids(bus, last).await?;
        topology::ensure(bus).await?;
        let stream = stream(bus).await?;
        let info = stream.cached_info();
        let stream_created = Some(to_micros(info.created));
        Ok(Marks { position, stream_sequence: info.state.last_sequence, stream_created })
    }
}

async fn stream(bus: &Bus) -> Result<Stream, Error> {
    let stream = topology::look(bus).await?;
    stream.ok_or_else(|| Error::Unavailable("the stream has just been deleted".to_owned()))
}

/// PostgreSQL keeps microseconds.
fn to_micros(time: OffsetDateTime) -> OffsetDateTime {
    let nanos = time.nanosecond() / 1000 * 1000;
    time.replace_nanosecond(nanos).unwrap_or(time)
}
