//! Pings: a word to the other processes that it is worth looking now. Best effort, by core NATS: whoever relies
//! on one polls as well.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::Stream;

use crate::{Bus, Error, subject};

/// Pings of one topic, as they come, on whatever connection. Ends only with the bus.
pub struct Pings {
    subscriber: Subscriber,
}

impl Bus {
    /// Wakes whoever listens to this topic (`log`, `control`). Nothing happens when the broker is away.
    pub async fn ping(&self, topic: &str) {
        // A ping that waits for a reconnect is worth nothing.
        if self.require().is_ok() {
            let _ = self.client().publish(self.ping_subject(topic), Bytes::new()).await;
        }
    }

    /// Listens to a topic, also across reconnects; what was sent meanwhile is missed.
    pub async fn pings(&self, topic: &str) -> Result<Pings, Error> {
        let subscriber = self.client().subscribe(self.ping_subject(topic)).await;
        let subscriber = subscriber.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Pings { subscriber })
    }

    fn ping_subject(&self, topic: &str) -> String {
        subject::prefixed(&self.config().prefix, &format!("eventus.ping.{topic}"))
    }
}

impl Stream for Pings {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        Pin::new(&mut self.subscriber).poll_next(cx).map(|message| message.map(|_| ()))
    }
}

impl std::fmt::Debug for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pings")
    }
}
