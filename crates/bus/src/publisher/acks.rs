//! The broker's answers to a run of messages: one inbox for all, the index of a message in its reply subject.

use std::time::{Duration, Instant};

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::{Bus, Error};

/// How long one look for answers waits. The connection is checked between looks.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes under way at once: the client keeps them in memory.
const BYTES: usize = 8 * 1024 * 1024;

/// The inbox. A new one for every chain: answers of an earlier chain never reach it.
pub(super) struct Acks {
    inbox: String,
    subscriber: Subscriber,
}

impl Acks {
    pub(super) async fn subscribe(bus: &Bus) -> Result<Self, Error> {
        let inbox = bus.client().new_inbox();
        let subscriber = bus.client().subscribe(format!("{inbox}.*")).await;
        let subscriber = subscriber.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self { inbox, subscriber })
    }

    /// Where the answer to this message goes.
    pub(super) fn reply(&self, index: usize) -> String {
        format!("{}.{index}", self.inbox)
    }

    /// Takes all answers that are there, after waiting a moment for the first. False when none came.
    pub(super) async fn gather(&mut self, run: &mut Run) -> bool {
        let Ok(Some(first)) = tokio::time::timeout(LOOK, self.subscriber.next()).await else { return false };
        run.take(&first);
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            run.take(&message);
        }
        true
    }
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acks").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

/// One run of messages, numbered from 0. Message `n` follows stream sequence `base + n`.
pub(super) struct Run {
    base: u64,
    total: usize,
    sent: usize,
    /// Bytes of each message that was sent and is not answered.
    bytes: Vec<usize>,
    /// Their sum.
    under_way: usize,
    /// Which of the sent messages have been answered well.
    good: Vec<bool>,
    /// Messages that are answered without a gap, from the first.
    acked: usize,
    answered: usize,
    error: Option<Error>,
    last_answer: Instant,
}

impl Run {
    pub(super) fn new(base: u64, total: usize) -> Self {
        Self {
            base,
            total,
            sent: 0,
            bytes: Vec::with_capacity(total),
            under_way: 0,
            good: vec![false; total],
            acked: 0,
            answered: 0,
            error: None,
            last_answer: Instant::now(),
        }
    }

    pub(super) fn may_send(&self, window: usize) -> bool {
        self.error.is_none()
            && self.sent < self.total
            && self.sent - self.answered < window
            && self.under_way < BYTES
    }

    /// Index of the next message, and the sequence that it follows.
    pub(super) fn next(&mut self) -> (usize, u64) {
        let index = self.sent;
        self.sent += 1;
        (index, self.base + index as u64)
    }

    /// The message that `next` gave is on its way.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes.push(bytes);
        self.under_way += bytes;
    }

    /// Every message that was sent is answered, and none is to be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.answered == self.sent && (self.sent == self.total || self.error.is_some())
    }

    pub(super) fn silent_for(&self, patience: Duration) -> bool {
        self.last_answer.elapsed() > patience
    }

    pub(super) fn acked(&self) -> usize {
        self.acked
    }

    pub(super) fn error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn take(&mut self, message: &Message) {
        self.last_answer = Instant::now();
        let index = message.subject.rsplit('.').next().and_then(|index| index.parse::<usize>().ok());
        let Some(index) = index.filter(|index| *index < self.sent) else { return };
        self.answered += 1;
        self.under_way -= self.bytes.get_mut(index).map_or(0, std::mem::take);
        let follows = self.base + index as u64;
        match answer(message) {
            // A duplicate that stands where we wanted it is our own, whose answer was lost.
            Ok(ack) if ack.sequence == follows + 1 => {
                self.good[index] = true;
                while self.acked < self.total && self.good[self.acked] {
                    self.acked += 1;
                }
            }
            Ok(ack) => self.stop(follows, format!("it stands at {} already", ack.sequence)),
            Err(reason) => self.stop(follows, reason),
        }
    }

    /// Keeps the first reason: the messages behind it are refused for that one's sake.
    fn stop(&mut self, expected: u64, reason: String) {
        if self.error.is_none() {
            self.error = Some(Error::ChainBroken { expected, reason });
        }
    }
}

fn answer(message: &Message) -> Result<PublishAck, String> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err("no stream takes it".to_owned());
    }
    match serde_json::from_slice(&message.payload) {
        Ok(Response::Ok(ack)) => Ok(ack),
        Ok(Response::Err { error }) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
