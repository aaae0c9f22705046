//! One client's stream: events as they come, heartbeats, an end when we stop, the credential dies or the client is
//! too slow.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use proto::events::v1::EventMessage;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::frame;
use crate::state::Gateway;

/// Frames that wait for the client; beyond them the log is read no further.
const BUFFER: usize = 64;
/// How long a client may leave a full buffer unread.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may leave the last frame unread.
const LAST_WORD: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Access tokens expire without anybody saying so.
const CREDENTIAL: Duration = Duration::from_secs(5);

type Frame = Result<Bytes, std::convert::Infallible>;

/// See the module.
pub struct Feed {
    gateway: Gateway,
    events: Streaming<EventMessage>,
    frames: mpsc::Sender<Frame>,
    token: String,
    address: Option<IpAddr>,
    changes: watch::Receiver<u64>,
}

/// Why a stream ends.
enum End {
    Said(Bytes),
    Unheard,
}

impl Feed {
    /// The feed of who calls with this token from this address, and what the client reads.
    pub fn new(
        gateway: Gateway,
        events: Streaming<EventMessage>,
        (token, address): (String, Option<IpAddr>),
        changes: watch::Receiver<u64>,
    ) -> (Self, mpsc::Receiver<Frame>) {
        let (frames, read) = mpsc::channel(BUFFER);
        (Self { gateway, events, frames, token, address, changes }, read)
    }

    /// Until the end.
    pub async fn run(mut self) {
        self.gateway.metrics.streams.inc();
        if let Err(End::Said(last)) = self.feed().await {
            let _ = timeout(LAST_WORD, self.frames.send(Ok(last))).await;
        }
        self.gateway.metrics.streams.dec();
    }

    async fn feed(&mut self) -> Result<(), End> {
        let stop = self.gateway.runtime.shutdown.soft().clone();
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut credential = tokio::time::interval_at(Instant::now() + CREDENTIAL, CREDENTIAL);
        self.send(frame::HELLO).await?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Said(frame::STOPPING)),
                () = self.frames.closed() => return Err(End::Unheard),
                changed = self.changes.changed() => {
                    changed.map_err(|_| End::Unheard)?;
                    self.check().await?;
                }
                _ = credential.tick() => self.check().await?,
                _ = heartbeat.tick() => self.send(frame::HEARTBEAT).await?,
                event = self.events.message() => match event {
                    Ok(Some(event)) => self.send(frame::event(&event)).await?,
                    Ok(None) => return Err(End::Said(frame::INTERRUPTED)),
                    Err(status) => {
                        tracing::debug!(%status, "event stream interrupted");
                        return Err(End::Said(frame::INTERRUPTED));
                    }
                },
            }
        }
    }

    /// The credential still makes an admin. That it can't be asked now is no reason to trust it.
    async fn check(&self) -> Result<(), End> {
        match self.gateway.authenticator.authenticate(&self.token).await {
            Ok(identity) if identity.at(self.address).admin => Ok(()),
            Err(errors) if errors.status() == 503 => Err(End::Said(frame::INTERRUPTED)),
            _ => Err(End::Said(frame::DENIED)),
        }
    }

    async fn send(&self, bytes: Bytes) -> Result<(), End> {
        let stop = self.gateway.runtime.shutdown.soft();
        tokio::select! {
            sent = timeout(PATIENCE, self.frames.send(Ok(bytes))) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Unheard),
            },
            () = stop.cancelled() => Err(End::Said(frame::STOPPING)),
        }
    }
}
