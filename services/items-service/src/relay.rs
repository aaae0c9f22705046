//! The relay: the one road from the log to the bus. One process holds the lease; the others stand by.
//!
//! It publishes what the tail settles, in order, and moves its mark after the ack. After any doubt (a refusal, a
//! reconnect, another holder) it asks the stream what it holds last, finds that event in the log and goes on behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Marks, Publisher, Resume};
use chassis::{Component, Runtime};
use db::{Db, Lease};
use event_store::{Log, Mark, Tail, partitions};
use model::Event;
use tokio_util::sync::CancellationToken;

use crate::state::State;
use crate::{Config, Error};

mod counted;
mod standing;

pub(crate) use counted::Backlog;
use counted::Counted;
use standing::Standing;

/// Events read and published at once.
const BATCH: usize = 1_000;
/// How often an idle relay looks whether the stream is still the one it knows, and stores its mark.
const IDLE: Duration = Duration::from_secs(1);
/// How often the mark is stored under load.
const STORE: Duration = Duration::from_millis(100);
/// How long a reset waits for the lease: longer than a dead relay keeps it.
const RELEASE: Duration = Duration::from_secs(20);
/// How often partitions are looked after.
const PARTITIONS: Duration = Duration::from_secs(60);

/// Starts the relay: holds the lease when nobody else does.
pub fn start(state: &State, config: &Config, runtime: &Runtime) {
    let (state, lease, shutdown) = (state.clone(), config.relay_lease, runtime.shutdown.clone());
    let holder = state.ids.random().to_string();
    // Up where it stands by, too. It never makes the process less ready: writes don't wait for it.
    let component = runtime.health.component("relay");
    component.up();
    runtime.tasks.spawn_to_the_end("relay", async move {
        let soft = shutdown.soft().clone();
        let work = |lease: Lease| hold(state.clone(), lease, soft.clone(), component.clone());
        db::leases::hold(&state.db, "relay", &holder, lease, &shutdown, work).await
    });
}

/// Works under one lease until the soft stop; what fails is tried again.
async fn hold(
    state: State,
    lease: Lease,
    soft: CancellationToken,
    component: Component,
) -> Result<(), Error> {
    let standing = Standing::begin(component);
    while !soft.is_cancelled() {
        let pause = match session(&state, &lease, &soft, &standing).await {
            Ok(()) => continue,
            Err(error @ (Error::StreamAhead { .. } | Error::Bus(bus::Error::ChainLost(_)))) => {
                standing.stalled(&error);
                Duration::from_secs(5)
            }
            Err(Error::Log(event_store::Error::LeaseLost(_))) => {
                // The lease's own keeper drops this work; until then nothing may be published.
                Duration::from_secs(1)
            }
            Err(error) => {
                tracing::warn!(%error, "the relay starts again");
                Duration::from_millis(250)
            }
        };
        tokio::select! {
            () = soft.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

/// From resuming the chain to the next doubt about it.
async fn session(
    state: &State,
    lease: &Lease,
    soft: &CancellationToken,
    standing: &Standing,
) -> Result<(), Error> {
    partitions::ensure(&state.db).await?;
    tokio::select! {
        () = soft.cancelled() => return Ok(()),
        ready = state.bus.ready() => ready?,
    }
    let mark = Mark::load(&state.db).await?;
    let mut publisher = Publisher::new(state.bus.clone(), mark.epoch);
    let stored = Marks {
        position: mark.position,
        stream_sequence: u64::try_from(mark.stream_sequence).unwrap_or_default(),
        stream_created: mark.stream_created,
    };
    let after = match publisher.resume(stored).await? {
        Resume::Behind { position, id, .. } => {
            verify(&state.db, position, id).await?;
            position
        }
        Resume::Marked { position } => position,
        Resume::Fresh => first_owed(&state.db, state.bus.config().max_age).await?,
    };
    let after = if faults::is_on(faults::Mutant::MarkBeforeAck) { after.max(mark.position) } else { after };
    tracing::info!(after, fence = lease.fence(), "relaying");
    standing.relaying();
    let tail = Tail::with_wake(state.db.clone(), after, Arc::clone(&state.wake.relay));
    Session { state, lease, soft, publisher, tail, mark, dirty: false, stored: Instant::now() }.work().await
}

/// The stream's last event must be one of ours: else log or stream was replaced, and nothing may follow it.
async fn verify(db: &Db, position: i64, id: uuid::Uuid) -> Result<(), Error> {
    match Log::new(db.clone()).get(position).await? {
        Some(stored) if stored.event.id == id => Ok(()),
        _ => Err(Error::StreamAhead { position, id }),
    }
}

/// Where a new stream begins: with all that it would still hold, and all that any consumer still needs.
async fn first_owed(db: &Db, max_age: Duration) -> Result<i64, Error> {
    let lowest = Mark::lowest_applied(db).await?;
    let young: Option<i64> = sqlx::query_scalar(
        "SELECT position - 1 FROM eventus.events WHERE time > now() - $1 * interval '1 second' ORDER BY position LIMIT 1",
    )
    .bind(max_age.as_secs_f64())
    .fetch_optional(db)
    .await?;
    Ok(young.map_or(lowest, |young| young.min(lowest)))
}

struct Session<'a> {
    state: &'a State,
    lease: &'a Lease,
    soft: &'a CancellationToken,
    publisher: Publisher,
    tail: Tail,
    mark: Mark,
    /// The mark has moved since it was stored.
    dirty: bool,
    stored: Instant,
}

impl Session<'_> {
    async fn work(mut self) -> Result<(), Error> {
        let counted = Counted::new();
        let mut partitions_at = Instant::now() + PARTITIONS;
        let mut ahead = Vec::new();
        loop {
            let events = tokio::select! {
                biased;
                () = self.soft.cancelled() => break,
                () = std::future::ready(()), if !ahead.is_empty() => std::mem::take(&mut ahead),
                events = self.tail.next(BATCH, IDLE) => events?,
            };
            if events.is_empty() {
                self.store().await?;
                if !self.publisher.is_current().await? {
                    return Err(Error::Bus(bus::Error::Unavailable("the stream has changed".to_owned())));
                }
            } else {
                if faults::is_on(faults::Mutant::MarkBeforeAck) {
                    self.mark.position = events.last().map_or(self.mark.position, |event| event.position);
                    self.dirty = true;
                    self.store().await?;
                }
                ahead = self.publish(&events, &counted).await?;
                if self.stored.elapsed() >= STORE {
                    self.store().await?;
                }
            }
            if Instant::now() >= partitions_at {
                partitions::ensure(&self.state.db).await?;
                partitions_at = Instant::now() + PARTITIONS;
            }
        }
        self.store().await
    }

    /// Publishes, and moves the mark. While a backlog is worked off the next piece is read meanwhile: it is what this gives.
    async fn publish(&mut self, events: &[Event], counted: &Counted) -> Result<Vec<Event>, Error> {
        let (published, read) = if events.len() < BATCH {
            (self.publisher.publish(events).await, Ok(Vec::new()))
        } else {
            tokio::join!(self.publisher.publish(events), self.tail.next(BATCH, Duration::ZERO))
        };
        faults::point(faults::Point::AfterPublish);
        counted.acknowledged(&events[..published.acked], self.state.clock.now());
        if let Some(marks) = published.marks {
            self.mark.position = marks.position;
            self.mark.stream_sequence = i64::try_from(marks.stream_sequence).unwrap_or(i64::MAX);
            self.mark.stream_created = marks.stream_created;
            self.dirty = true;
        }
        if let Some(error) = published.error {
            self.store().await?;
            return Err(error.into());
        }
        Ok(read?)
    }

    async fn store(&mut self) -> Result<(), Error> {
        if self.dirty {
            faults::point(faults::Point::BeforeMark);
            self.mark.store(&self.state.db, self.lease).await?;
            faults::point(faults::Point::AfterMark);
            self.dirty = false;
        }
        self.stored = Instant::now();
        Ok(())
    }
}

/// `eventus relay reset`: empties the stream, begins a new epoch and lets the relay publish again what is owed.
/// Gives the position behind which it begins. Waits a while for the lease of a relay that has just been stopped.
///
/// # Errors
/// Database or bus are away; a relay is running ([`Error::RelayRunning`]).
pub async fn reset(db: &Db, bus: &bus::Bus) -> Result<i64, Error> {
    bus.ready().await?;
    let begun = Instant::now();
    let lease = loop {
        if begun.elapsed() > RELEASE {
            return Err(Error::RelayRunning);
        }
        if let Some(lease) = Lease::acquire(db, "relay", "reset", Duration::from_secs(30)).await? {
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let from = first_owed(db, bus.config().max_age).await?;
    Publisher::purge(bus, from).await?;
    Mark::reset(db, &lease, from).await?;
    lease.release().await?;
    Ok(from)
}
