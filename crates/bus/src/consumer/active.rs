//! The loop itself: one task that takes messages up, starts lanes, answers the broker and keeps the marks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;
use futures_util::FutureExt as _;
use model::{Event, Ledger};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::attach::Sight;
use super::errands::Errand;
use super::feed::{Feed, Step};
use super::hand::Hand;
use super::lanes::{Lanes, Worked};
use super::source::{Incoming, Source};
use super::work::Work;
use super::{ConsumerConfig, Handler, delivery};
use crate::{Bus, Error};

/// How often connection, marks and timers are looked after.
const BEAT: Duration = Duration::from_millis(100);

/// Messages taken at once before lanes are started, so that batches form.
const GULP: usize = 512;

/// Bytes of bodies in hand, above which no more are asked for.
const ROOM: usize = 32 * 1024 * 1024;

const ACK: &[u8] = b"+ACK";
const TERM: &[u8] = b"+TERM";
const PROGRESS: &[u8] = b"+WPI";

/// A running consumer.
pub(super) struct Loop<L, H> {
    pub(super) bus: Bus,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) work: Arc<Work<L, H>>,
    pub(super) component: chassis::Component,
    pub(super) hand: Hand,
    pub(super) lanes: Lanes,
    pub(super) feed: Feed,
    pub(super) running: JoinSet<Worked>,
    pub(super) errands: JoinSet<Errand>,
    pub(super) source: Option<Source>,
    /// Messages come to us, not to a stand-by.
    pub(super) active: bool,
    pub(super) clock: Beats,
    pub(super) sight: Option<Sight>,
    pub(super) answers: Vec<(Subject, &'static [u8])>,
    /// The only thing left to do is to stop, for this reason.
    pub(super) fatal: Option<Error>,
}

/// When what was last done, and what is under way.
pub(super) struct Beats {
    pub last: Instant,
    pub progress: Instant,
    pub raised_at: Instant,
    pub looked_at: Instant,
    pub attach_at: Instant,
    pub generation: u64,
    /// The mark that the ledger has.
    pub raised: i64,
    pub raising: bool,
    pub looking: bool,
    pub attaching: bool,
    pub created: Option<time::OffsetDateTime>,
    pub failures: u32,
    /// The log has been read to its end because the stream was empty.
    pub combed: bool,
}

impl Beats {
    fn new(generation: u64) -> Self {
        let now = Instant::now();
        Self {
            last: now,
            progress: now,
            raised_at: now,
            looked_at: now,
            attach_at: now,
            generation,
            raised: 0,
            raising: false,
            looking: false,
            attaching: false,
            created: None,
            failures: 0,
            combed: false,
        }
    }
}

impl<L: Ledger, H: Handler> Loop<L, H> {
    pub(super) fn new(bus: Bus, work: Arc<Work<L, H>>, component: chassis::Component) -> Self {
        let clock = Beats::new(bus.generation());
        let config = Arc::clone(&work.config);
        Self {
            bus,
            lanes: Lanes::new(config.lanes, config.batch),
            config,
            work,
            component,
            hand: Hand::default(),
            feed: Feed::default(),
            running: JoinSet::new(),
            errands: JoinSet::new(),
            source: None,
            active: false,
            clock,
            sight: None,
            answers: Vec::new(),
            fatal: None,
        }
    }

    /// Runs until the soft stop, then drains.
    pub(super) async fn run(mut self, shutdown: chassis::Shutdown) -> Result<(), Error> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.fatal.is_none() {
            let due = [self.lanes.next_due(), self.feed.next_due()].into_iter().flatten().min();
            tokio::select! {
                () = shutdown.soft().cancelled() => break,
                incoming = next(&mut self.source) => self.receive(incoming),
                Some(worked) = self.running.join_next() => self.worked(worked.ok()),
                Some(errand) = self.errands.join_next() => self.returned(errand.ok()),
                () = wait(due) => self.lanes.stir_due(Instant::now()),
                _ = beat.tick() => self.beat(),
            }
            // Whatever came at the same moment: nothing new begins behind the stop.
            if shutdown.soft().is_cancelled() {
                break;
            }
            self.proceed();
            self.send_answers().await;
        }
        self.drain(&shutdown).await;
        self.fatal.map_or(Ok(()), Err)
    }

    fn receive(&mut self, first: Incoming) {
        self.came(first);
        for _ in 0..GULP {
            let Some(next) = self.source.as_mut().and_then(Source::try_next) else { return };
            self.came(next);
        }
    }

    pub(super) fn came(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(message) => self.message(&message),
            Incoming::PinLost => {
                tracing::info!(consumer = self.config.name, "another process has taken over");
                self.stand_back();
            }
            Incoming::Gone(reason) => self.detach(&reason),
        }
    }

    fn message(&mut self, message: &async_nats::Message) {
        match delivery::read(message) {
            Ok(delivery) => {
                if !self.active {
                    tracing::info!(consumer = self.config.name, pin = delivery.pin, "active");
                    self.active = true;
                    self.feed.distrust();
                }
                self.feed.push(delivery);
            }
            Err((token, error)) => {
                let subject = message.subject.as_str();
                tracing::error!(consumer = self.config.name, subject, %error, "a foreign message is dropped");
                self.work.metrics.garbage.inc();
                self.feed.doubt();
                self.answers.extend(token.map(|token| (token.reply, TERM)));
            }
        }
    }

    /// Takes up and starts whatever can be.
    fn proceed(&mut self) {
        let now = Instant::now();
        // After a long stop (SIGSTOP, a frozen machine) a stand-by has taken over.
        if self.active && now.duration_since(self.clock.last) > self.config.takeover {
            tracing::warn!(consumer = self.config.name, "this process stood still for too long");
            self.clock.last = now;
            self.stand_back();
        }
        loop {
            match self.feed.step(self.hand.frontier(), now) {
                Step::Wait => break,
                Step::AskMark => self.ask_mark(),
                Step::AskLog if self.full() => {
                    self.feed.no_room();
                    break;
                }
                Step::AskLog => self.ask_log(),
                Step::Take(delivery) => {
                    let position = delivery.event.position;
                    let reply = delivery.token.reply;
                    if position > self.hand.frontier() {
                        self.take(delivery.event, Some(reply), now);
                    } else if !self.hand.hold_again(position, Some(&reply), now) {
                        self.work.metrics.duplicate.inc();
                        self.answers.push((reply, ACK));
                    }
                }
            }
        }
        if let Some(source) = &mut self.source {
            source.hold(self.hand.bytes() > ROOM);
        }
        for batch in self.lanes.start(now) {
            self.running.spawn(self.work.clone().run(batch));
        }
    }

    /// Takes up an event behind the frontier.
    fn take(&mut self, event: Event, reply: Option<Subject>, now: Instant) {
        let position = event.position;
        if reply.is_none() && !self.config.concerns(&event) {
            self.hand.advance(position);
            return;
        }
        if !self.hand.take(&event, reply, now) {
            return;
        }
        if event.silent && !self.config.process_silent {
            self.work.metrics.silent.inc();
            self.finish(position);
            return;
        }
        self.lanes.add(event);
    }

    pub(super) fn finish(&mut self, position: i64) {
        self.answers.extend(self.hand.finish(position).map(|reply| (reply, ACK)));
    }

    fn worked(&mut self, worked: Option<Worked>) {
        // Only a task that was aborted gives none.
        let Some(worked) = worked else { return };
        for position in &worked.finished {
            self.finish(*position);
        }
        let config = self.config.clone();
        self.lanes.done(worked, Instant::now(), |attempts| config.pause(attempts));
        if !self.active && !self.feed.is_marked() {
            self.let_go();
        }
    }

    /// Events from the log, in order.
    pub(super) fn took_log(&mut self, events: Vec<Event>) {
        let now = Instant::now();
        // Less than a chunk may mean a gap that is not settled yet; only nothing means the end.
        let end = events.is_empty();
        for event in events {
            // What is left over is read again when there is room.
            if self.full() {
                break;
            }
            while let Some(delivery) = self.feed.overtaken(self.hand.frontier(), event.position) {
                self.take(delivery.event, Some(delivery.token.reply), now);
            }
            if event.position > self.hand.frontier() {
                self.take(event, None, now);
            }
        }
        self.feed.read(end);
    }

    /// No more can be taken from the log.
    fn full(&self) -> bool {
        self.hand.len() >= self.config.max_in_flight || self.hand.bytes() > ROOM
    }

    /// Another process is the active one now, or may be: what has not begun is left to it.
    pub(super) fn stand_back(&mut self) {
        self.active = false;
        self.feed.forget();
        self.let_go();
    }

    fn let_go(&mut self) {
        for position in self.lanes.drop_waiting() {
            self.hand.finish(position);
        }
        self.hand.forget_frontier();
    }

    /// Stream or consumer are gone: begin anew.
    pub(super) fn detach(&mut self, reason: &str) {
        tracing::warn!(consumer = self.config.name, reason, "detached");
        self.component.down(reason);
        self.source = None;
        self.sight = None;
        self.stand_back();
        self.hand.forget_replies();
        self.answers.clear();
    }

    /// Sends what has gathered. While the broker is away answers are dropped: it will deliver again.
    pub(super) async fn send_answers(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        if self.bus.require().is_err() {
            self.answers.clear();
            return;
        }
        let client = self.bus.client();
        for (reply, answer) in self.answers.drain(..) {
            let mut sent = std::pin::pin!(client.publish(reply, Bytes::from_static(answer)));
            if sent.as_mut().now_or_never().is_none() && tokio::time::timeout(BEAT, sent).await.is_err() {
                break;
            }
        }
    }

    /// Tells the broker that what we hold is being worked on.
    pub(super) fn tell_progress(&mut self, now: Instant) {
        let patience = self.config.ack_wait / 3;
        let neglected = self.hand.neglected(patience, now).into_iter();
        let waiting = self.feed.waiting().map(|delivery| delivery.token.reply.clone());
        self.answers.extend(neglected.chain(waiting).map(|reply| (reply, PROGRESS)));
    }
}

async fn next(source: &mut Option<Source>) -> Incoming {
    match source {
        Some(source) => source.next().await,
        None => std::future::pending().await,
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
