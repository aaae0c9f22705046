//! Where messages come from: pull requests, kept up without a pause so that the pin stays with us, and one inbox.

use std::time::{Duration, Instant};

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Serialize;

use super::delivery;
use crate::{Bus, Error};

/// The one priority group.
pub(super) const GROUP: &str = "active";

/// How long an answer to an expired request may be late.
const GRACE: Duration = Duration::from_secs(1);

/// Times in a row without an answer before the consumer counts as gone: a cluster may be electing.
const PATIENCE: u32 = 5;

/// Between questions that nobody answers.
const PAUSE: Duration = Duration::from_millis(200);

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    /// Another process is the active one now.
    PinLost,
    /// There is no such consumer any more, or nobody answers for it.
    Gone(String),
}

/// Pull requests and their inbox.
pub(super) struct Source {
    client: Client,
    subscriber: Subscriber,
    inbox: String,
    subject: String,
    batch: usize,
    expires: Duration,
    pin: Option<String>,
    /// Messages asked for and not yet delivered.
    outstanding: usize,
    /// A request is answered by then, by messages or by a status.
    deadline: Instant,
    /// When we last asked.
    asked: Instant,
    /// There is no room for more: ask only as much as keeps the pin.
    held: bool,
    /// Not to ask before.
    pause: Option<Instant>,
    /// Times in a row that nobody answered.
    silences: u32,
}

#[derive(Serialize)]
struct Request<'a> {
    batch: usize,
    /// Nanoseconds.
    expires: u64,
    group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl Source {
    pub(super) async fn open(
        bus: &Bus,
        stream: &str,
        consumer: &str,
        batch: usize,
        expires: Duration,
    ) -> Result<Self, Error> {
        let client = bus.client().clone();
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self {
            client,
            subscriber,
            inbox,
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            batch,
            expires,
            pin: None,
            outstanding: 0,
            deadline: Instant::now() + expires + GRACE,
            asked: Instant::now(),
            held: false,
            pause: None,
            silences: 0,
        })
    }

    /// The next message or news. Loses nothing when it is dropped halfway.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            if let Some(pause) = self.pause {
                tokio::time::sleep_until(pause.into()).await;
                self.pause = None;
            }
            let again = self.asked + self.expires;
            if self.held && self.outstanding == 0 && Instant::now() >= again {
                self.pull(1).await;
            } else if !self.held && self.outstanding <= self.batch / 2 {
                self.pull(self.batch).await;
            }
            let until = if self.held && self.outstanding == 0 { again } else { self.deadline };
            match tokio::time::timeout_at(until.into(), self.subscriber.next()).await {
                Ok(Some(message)) => {
                    if let Some(incoming) = self.take(message) {
                        return incoming;
                    }
                }
                Ok(None) => return Incoming::Gone("the connection is closed".to_owned()),
                Err(_) if until < self.deadline => {}
                Err(_) => {
                    if let Some(gone) = self.unanswered("the broker does not answer") {
                        return gone;
                    }
                }
            }
        }
    }

    /// The next one, if it is there already.
    pub(super) fn try_next(&mut self) -> Option<Incoming> {
        loop {
            let message = self.subscriber.next().now_or_never().flatten()?;
            if let Some(incoming) = self.take(message) {
                return Some(incoming);
            }
        }
    }

    /// Ends it: the broker delivers nothing more, and what was on its way comes out, with the pin. A message that the broker sent
    /// while it was being told may be missed; a successor finds that one in the log.
    pub(super) async fn close(mut self) -> (Vec<Incoming>, Option<String>) {
        let mut left = Vec::new();
        let rest = async {
            if self.subscriber.drain().await.is_err() {
                return;
            }
            while let Some(message) = self.subscriber.next().await {
                left.extend(self.take(message));
            }
        };
        // While the connection is away there is nothing to wait for.
        let _ = tokio::time::timeout(GRACE, rest).await;
        (left, self.pin)
    }

    /// The pin that we hold.
    pub(super) fn pin(&self) -> Option<&str> {
        self.pin.as_deref()
    }

    /// Whether there is no room for more.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Requests that were under way are lost (on another connection): ask again.
    pub(super) fn again(&mut self) {
        self.outstanding = 0;
        self.deadline = Instant::now() + self.expires + GRACE;
    }

    fn unanswered(&mut self, reason: &str) -> Option<Incoming> {
        self.silences += 1;
        self.again();
        self.pause = Some(Instant::now() + PAUSE);
        (self.silences >= PATIENCE).then(|| Incoming::Gone(reason.to_owned()))
    }

    async fn pull(&mut self, batch: usize) {
        let expires = u64::try_from(self.expires.as_nanos()).unwrap_or(u64::MAX);
        let request = Request { batch, expires, group: GROUP, id: self.pin.as_deref() };
        let Ok(request) = serde_json::to_vec(&request) else { return };
        let sent = self.client.publish_with_reply(self.subject.clone(), self.inbox.clone(), request.into());
        // When the connection takes nothing, the deadline ends the waiting.
        if let Ok(Ok(())) = tokio::time::timeout(self.expires, sent).await {
            self.outstanding += batch;
            self.asked = Instant::now();
            self.deadline = Instant::now() + self.expires + GRACE;
        }
    }

    fn take(&mut self, message: Message) -> Option<Incoming> {
        if message.status != Some(StatusCode::NO_RESPONDERS) {
            self.silences = 0;
        }
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK) else {
            self.outstanding = self.outstanding.saturating_sub(1);
            if let Some(pin) = delivery::pin(&message) {
                self.pin = Some(pin);
            }
            return Some(Incoming::Message(message));
        };
        let description = message.description.as_deref().unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => None,
            StatusCode::NO_RESPONDERS => self.unanswered("nobody answers for the consumer"),
            _ if description.contains("Consumer Deleted") || description.contains("Stream Deleted") => {
                Some(Incoming::Gone(description.to_owned()))
            }
            _ => {
                self.outstanding = self.outstanding.saturating_sub(self.rest(&message));
                (status == StatusCode::PIN_ID_MISMATCH && self.pin.take().is_some())
                    .then_some(Incoming::PinLost)
            }
        }
    }

    /// How much of an ended request is left; all of it, when the server does not say.
    fn rest(&self, message: &Message) -> usize {
        let headers = message.headers.as_ref();
        let pending = headers.and_then(|headers| headers.get("Nats-Pending-Messages"));
        pending.and_then(|pending| pending.as_str().parse().ok()).unwrap_or(self.batch)
    }
}
