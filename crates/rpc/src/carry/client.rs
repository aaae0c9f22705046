//! The side that calls.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use model::Clock;
use proto::calls::v1::calls_service_client::CallsServiceClient;
use proto::calls::v1::{CarryRequest, CarryResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status, Streaming};

use super::{QUEUE, unpack};
use crate::caller::untraced;
use crate::{Caller, Channel, MAX_MESSAGE, Signer};

/// How long a peer that knows no such streams is called without one, before it is asked again: it may have been
/// replaced by a newer one.
const WITHOUT: Duration = Duration::from_secs(30);

/// Longest message that is carried, in bytes: a longer one goes by itself, so that others need not wait behind it.
pub(crate) const LONGEST: usize = 256 * 1024;

/// How often a call is brought to another stream because the one before it ended before the call was on its way.
const TRIES: usize = 3;

/// The one stream of a channel, opened with the first call and again whenever it ends.
#[derive(Debug, Default)]
pub(crate) struct Carrier {
    live: ArcSwapOption<Live>,
    opening: tokio::sync::Mutex<Opening>,
}

/// How the last attempt to open a stream went.
#[derive(Debug, Default)]
struct Opening {
    /// The peer knows no such streams, and is not asked again before this.
    without_until: Option<Instant>,
    /// When and how it failed: whoever waited for that attempt does not make another.
    failed: Option<(Instant, Status)>,
}

/// A stream.
#[derive(Debug)]
struct Live {
    calls: mpsc::Sender<CarryRequest>,
    next: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for an answer of a stream. Dropped, they learn that none comes.
#[derive(Debug, Default)]
struct Waiting {
    by_id: HashMap<u64, Expected>,
    /// Nothing more is asked.
    closed: bool,
    /// Nothing more is answered.
    ended: bool,
}

/// An answer that is waited for.
#[derive(Debug)]
struct Expected {
    tell: oneshot::Sender<CarryResponse>,
    /// What has come of a long one.
    parts: BytesMut,
}

impl Waiting {
    /// What has come; an answer that is whole, and who waits for it. Who has gone away meanwhile needs none.
    fn take(&mut self, mut answer: CarryResponse) -> Option<(Expected, CarryResponse)> {
        if answer.more {
            self.by_id.get_mut(&answer.id)?.parts.extend_from_slice(&answer.message);
            return None;
        }
        let mut expected = self.by_id.remove(&answer.id)?;
        if !expected.parts.is_empty() {
            expected.parts.extend_from_slice(&answer.message);
            answer.message = expected.parts.split().freeze();
        }
        Some((expected, answer))
    }
}

fn with<T>(waiting: &Mutex<Waiting>, act: impl FnOnce(&mut Waiting) -> T) -> T {
    act(&mut waiting.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Carrier {
    /// One call; its id is given here. `None`: the peer takes none so, and has done nothing.
    pub(crate) async fn call(
        &self,
        channel: &Channel,
        signer: &Signer,
        clock: &dyn Clock,
        mut call: CarryRequest,
    ) -> Option<Result<Bytes, Status>> {
        for _ in 0..TRIES {
            let live = match self.live(channel, signer, clock).await {
                Ok(live) => live?,
                Err(status) => return Some(Err(status)),
            };
            match live.ask(call).await {
                Ok(Some(answer)) if answer.unknown => return None,
                Ok(Some(answer)) => return Some(unpack(answer)),
                // It was on its way: what became of it nobody knows.
                Ok(None) => return Some(Err(Status::unavailable("the connection was lost"))),
                Err(back) => call = back,
            }
        }
        Some(Err(Status::unavailable("each connection ended at once")))
    }

    fn open_one(&self) -> Option<Arc<Live>> {
        self.live.load_full().filter(|live| !with(&live.waiting, |waiting| waiting.closed))
    }

    async fn live(
        &self,
        channel: &Channel,
        signer: &Signer,
        clock: &dyn Clock,
    ) -> Result<Option<Arc<Live>>, Status> {
        if let Some(live) = self.open_one() {
            return Ok(Some(live));
        }
        let asked = Instant::now();
        let mut opening = self.opening.lock().await;
        if let Some(live) = self.open_one() {
            return Ok(Some(live));
        }
        match &opening.failed {
            Some((failed, status)) if *failed >= asked => return Err(status.clone()),
            _ => {}
        }
        if opening.without_until.is_some_and(|until| asked < until) {
            return Ok(None);
        }
        match Live::open(channel, signer, clock).await {
            Ok(live) => {
                let live = Arc::new(live);
                self.live.store(Some(Arc::clone(&live)));
                *opening = Opening::default();
                Ok(Some(live))
            }
            Err(status) if status.code() == Code::Unimplemented => {
                opening.without_until = Some(Instant::now() + WITHOUT);
                Ok(None)
            }
            Err(status) => {
                opening.failed = Some((Instant::now(), status.clone()));
                Err(status)
            }
        }
    }
}

impl Live {
    async fn open(channel: &Channel, signer: &Signer, clock: &dyn Clock) -> Result<Self, Status> {
        let (calls, queue) = mpsc::channel(QUEUE);
        let (close, closing) = oneshot::channel();
        let request =
            untraced(signer, clock, &Caller::process("calls"), Queue { queue, closing: Some(closing) });
        let mut client = CallsServiceClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let answers = client.carry(request).await?.into_inner();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let listening = listen(answers, Arc::clone(&waiting), close);
        #[expect(clippy::disallowed_methods, reason = "belongs to the connection, and ends with it")]
        tokio::spawn(listening);
        Ok(Self { calls, next: AtomicU64::new(1), waiting })
    }

    /// One call. None: the stream has ended without an answer.
    ///
    /// # Errors
    /// The call, when it was not sent.
    async fn ask(&self, call: CarryRequest) -> Result<Option<CarryResponse>, CarryRequest> {
        let (tell, told) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let waits = with(&self.waiting, |waiting| {
            if !waiting.ended {
                waiting.by_id.insert(id, Expected { tell, parts: BytesMut::new() });
            }
            !waiting.ended
        });
        if !waits {
            return Err(call);
        }
        let mut asked = Asked { live: self, id, sent: false, over: false };
        if let Err(mpsc::error::SendError(call)) = self.calls.send(CarryRequest { id, ..call }).await {
            return Err(call);
        }
        asked.sent = true;
        let answer = told.await.ok();
        asked.over = true;
        Ok(answer)
    }
}

/// A call under way. Who drops it before its answer gives it up.
struct Asked<'a> {
    live: &'a Live,
    id: u64,
    sent: bool,
    over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let waited = with(&self.live.waiting, |waiting| waiting.by_id.remove(&self.id).is_some());
        if waited && self.sent {
            // Where there is no room the peer works in vain.
            let _ = self.live.calls.try_send(CarryRequest { id: self.id, ..CarryRequest::default() });
        }
    }
}

/// Gives answers to those who wait for them, to the stream's end.
async fn listen(
    mut answers: Streaming<CarryResponse>,
    waiting: Arc<Mutex<Waiting>>,
    close: oneshot::Sender<()>,
) {
    let mut close = Some(close);
    while let Ok(Some(answer)) = answers.message().await {
        if answer.id == 0 {
            with(&waiting, |waiting| waiting.closed = true);
            if let Some(close) = close.take() {
                let _ = close.send(());
            }
            continue;
        }
        if let Some((expected, answer)) = with(&waiting, |waiting| waiting.take(answer)) {
            let _ = expected.tell.send(answer);
        }
    }
    with(&waiting, |waiting| {
        (waiting.closed, waiting.ended) = (true, true);
        waiting.by_id.clear();
    });
}

/// Calls on their way to the peer. Ends when nobody brings any more, or, after what was brought, when it is told to close.
struct Queue {
    queue: mpsc::Receiver<CarryRequest>,
    closing: Option<oneshot::Receiver<()>>,
}

impl Stream for Queue {
    type Item = CarryRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CarryRequest>> {
        let this = &mut *self;
        if let Some(closing) = &mut this.closing
            && Pin::new(closing).poll(context).is_ready()
        {
            this.closing = None;
            this.queue.close();
        }
        this.queue.poll_recv(context)
    }
}
