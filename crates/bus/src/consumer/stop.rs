//! The soft stop: what runs is finished, and everything else goes to a successor at once.

use std::time::Duration;

use model::Ledger;

use super::Handler;
use super::active::Loop;
use super::attach;
use super::lanes::Worked;
use super::source::Source;

/// How long each of the last words may take: to the ledger, to the broker's leader, on the connection.
const WORD: Duration = Duration::from_secs(2);

const NAK: &[u8] = b"-NAK";

impl<L: Ledger, H: Handler> Loop<L, H> {
    /// Finishes what runs, keeps the mark, and hands the rest over so that a successor gets it at once.
    pub(super) async fn drain(&mut self, shutdown: &chassis::Shutdown) {
        tokio::select! {
            () = self.end() => {}
            () = shutdown.hard().cancelled() => self.running.abort_all(),
        }
    }

    async fn end(&mut self) {
        let pin = match self.source.take() {
            Some(source) => self.close(source).await,
            None => None,
        };
        self.lanes.drop_waiting();
        while let Some(worked) = self.running.join_next().await {
            self.worked_at_last(worked.ok());
        }
        self.send_answers().await;
        // First the mark: a successor begins behind it.
        let _ = tokio::time::timeout(WORD, self.raise_at_last()).await;
        if self.active {
            self.hand_over(pin.as_deref()).await;
        }
        let _ = tokio::time::timeout(WORD, self.bus.client().flush()).await;
    }

    /// Takes no more messages. Those that the broker has sent count as ours until they are handed over; with one
    /// of them the pin may have come. Gives the pin.
    async fn close(&mut self, source: Source) -> Option<String> {
        let (left, pin) = source.close().await;
        for incoming in left {
            self.came(incoming);
        }
        pin
    }

    /// First the pin, then the messages: what is given back would come to the pinned one, which is us.
    async fn hand_over(&mut self, pin: Option<&str>) {
        if let Some(pin) = pin {
            let unpinned = tokio::time::timeout(WORD, attach::unpin(&self.bus, &self.config, pin)).await;
            match unpinned {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::info!(consumer = self.config.name, %error, "not handed over, a successor waits");
                }
                Err(_) => {
                    tracing::info!(consumer = self.config.name, "not handed over in time, a successor waits")
                }
            }
        }
        let waiting = self.feed.waiting().map(|delivery| delivery.token.reply.clone());
        self.answers = self.hand.replies().chain(waiting).map(|reply| (reply, NAK)).collect();
        self.send_answers().await;
    }

    fn worked_at_last(&mut self, worked: Option<Worked>) {
        for position in worked.iter().flat_map(|worked| &worked.finished) {
            self.finish(*position);
        }
    }
}
