//! One client's stream: events as they come, heartbeats, an end when we stop, the credential dies or means something else,
//! or the client is too slow.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use model::Accountability;
use proto::events::v1::EventMessage;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status, Streaming};

use super::frame;
use super::places::Place;
use crate::state::Gateway;

/// Frames that wait for the client; beyond them the log is read no further.
const BUFFER: usize = 8;
/// What is there already goes in one frame, up to about so many bytes.
const FRAME: usize = 32 * 1024;
/// How long a client may leave a full buffer unread.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may leave the last frame unread.
const LAST_WORD: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Access tokens expire without anybody saying so.
const CREDENTIAL: Duration = Duration::from_secs(5);

type Frame = Result<Bytes, std::convert::Infallible>;

/// By what a client came in, and who that made him.
pub struct Credential {
    /// The token; empty for none.
    pub token: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// Who he is.
    pub who: Accountability,
    /// Hears of every change of access and sessions.
    pub changes: watch::Receiver<u64>,
}

/// See the module.
pub struct Feed {
    gateway: Gateway,
    events: Streaming<EventMessage>,
    frames: mpsc::Sender<Frame>,
    credential: Credential,
    /// When the client is to come again, in milliseconds.
    retry: u64,
    _place: Place,
}

/// Why a stream ends.
enum End {
    Said(Bytes),
    Unheard,
}

impl Feed {
    /// The feed of who calls by this credential, and what the client reads.
    pub fn new(
        gateway: Gateway,
        events: Streaming<EventMessage>,
        credential: Credential,
        place: Place,
    ) -> (Self, mpsc::Receiver<Frame>) {
        let (frames, read) = mpsc::channel(BUFFER);
        // Those whom one outage sends away don't all come back in the same moment.
        let retry = 1_000 + u64::from(gateway.ids.random().as_bytes()[0]) * 8;
        (Self { gateway, events, frames, credential, retry, _place: place }, read)
    }

    /// Until the end.
    pub async fn run(mut self) {
        self.gateway.metrics.streams.inc();
        let end = self.feed().await;
        let why = match &end {
            Err(End::Said(last)) => {
                let _ = timeout(LAST_WORD, self.frames.send(Ok(last.clone()))).await;
                std::str::from_utf8(last).unwrap_or_default().trim()
            }
            _ if self.frames.is_closed() => "the client has left",
            _ => "the client does not read",
        };
        tracing::debug!(why, "event stream ended");
        self.gateway.metrics.streams.dec();
    }

    async fn feed(&mut self) -> Result<(), End> {
        let stop = self.gateway.runtime.shutdown.soft().clone();
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        // Streams that were opened together don't all ask in the same moment.
        let first = CREDENTIAL.mul_f64(f64::from(self.gateway.ids.random().as_bytes()[0]) / 256.0);
        let mut credential = tokio::time::interval_at(Instant::now() + first, CREDENTIAL);
        self.send(frame::hello(self.retry)).await?;
        // What changed between the request's own look and `changes`.
        self.check().await?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Said(frame::stopping(self.retry))),
                () = self.frames.closed() => return Err(End::Unheard),
                changed = self.credential.changes.changed() => {
                    changed.map_err(|_| End::Unheard)?;
                    self.check().await?;
                }
                _ = credential.tick() => self.check().await?,
                _ = heartbeat.tick() => self.send(frame::HEARTBEAT).await?,
                event = self.events.message() => {
                    let (frame, end) = self.frame(event);
                    if !frame.is_empty() {
                        self.send(frame.into()).await?;
                    }
                    end?;
                }
            }
        }
    }

    /// A message with those that are there already, and the end, if it is there.
    fn frame(&mut self, first: Result<Option<EventMessage>, Status>) -> (Vec<u8>, Result<(), End>) {
        let mut frame = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Ok(Some(message)) => frame::write(&message, &mut frame),
                Ok(None) => return (frame, Err(End::Said(frame::INTERRUPTED))),
                Err(status) => return (frame, Err(End::Said(last_word(&status)))),
            }
            next = if frame.len() < FRAME { self.events.message().now_or_never() } else { None };
        }
        (frame, Ok(()))
    }

    /// The credential still makes the same of him. That it can't be asked now is no reason to trust it.
    async fn check(&self) -> Result<(), End> {
        let Credential { token, address, who, .. } = &self.credential;
        match self.gateway.authenticator.authenticate(token).await {
            Ok(identity) if is_same(&identity.at(*address), who) => Ok(()),
            Ok(_) => Err(End::Said(frame::CHANGED)),
            Err(errors) if errors.status() == 503 => Err(End::Said(frame::INTERRUPTED)),
            Err(_) => Err(End::Said(frame::DENIED)),
        }
    }

    async fn send(&self, bytes: Bytes) -> Result<(), End> {
        let stop = self.gateway.runtime.shutdown.soft();
        tokio::select! {
            sent = timeout(PATIENCE, self.frames.send(Ok(bytes))) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Unheard),
                Err(_) => {
                    self.gateway.metrics.slow_streams.inc();
                    Err(End::Unheard)
                }
            },
            () = stop.cancelled() => Err(End::Said(frame::stopping(self.retry))),
        }
    }
}

/// Both may do the same, and are the same.
fn is_same(now: &Accountability, then: &Accountability) -> bool {
    let bare =
        |who: &Accountability| Accountability { ip: None, user_agent: None, origin: None, ..who.clone() };
    bare(now) == bare(then)
}

/// What a client is told of the end of his stream.
fn last_word(status: &Status) -> Bytes {
    tracing::debug!(%status, "event stream interrupted");
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => frame::CHANGED,
        _ => frame::INTERRUPTED,
    }
}
