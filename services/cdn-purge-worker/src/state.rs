//! What every part uses; made once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::Bus;
use db::Db;
use model::{Clock, Ids};
use outbound::Schedule;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::config::Cdn;
use crate::metrics::Metrics;
use crate::target::Targets;
use crate::{Config, Links};

/// Shared by all parts.
pub(crate) struct State {
    /// PostgreSQL.
    pub db: Db,
    /// For the consumer.
    pub bus: Bus,
    /// The CDN.
    pub cdn: Cdn,
    /// What is purged.
    pub targets: Targets,
    /// The world outside.
    pub outbound: outbound::Client,
    /// When to try again.
    pub schedule: Schedule,
    /// A change waits so long for others.
    pub window: Duration,
    /// Requests that may run.
    pub slots: Arc<Semaphore>,
    /// So long a purge is taken by one sender.
    pub lock: Duration,
    /// The CDN wants to be left alone until then.
    hold: Mutex<Option<Instant>>,
    /// There is something new, or a free slot.
    pub wake: Notify,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub ids: Arc<dyn Ids>,
    /// What operators see.
    pub metrics: Metrics,
}

impl State {
    /// Builds it.
    pub fn new(config: &Config, cdn: Cdn, links: &Links) -> Self {
        let nothing =
            || Targets::new(&[]).unwrap_or_else(|| unreachable!("no collection is no system collection"));
        Self {
            db: links.db.clone(),
            bus: links.bus.clone(),
            cdn,
            targets: Targets::new(&config.collections).unwrap_or_else(nothing),
            outbound: outbound::Client::new(config.outbound.clone()),
            schedule: config.schedule.clone(),
            window: config.window,
            slots: Arc::new(Semaphore::new(config.concurrency)),
            lock: due::lock(config.outbound.timeout),
            hold: Mutex::default(),
            wake: Notify::new(),
            clock: links.clock.clone(),
            ids: links.ids.clone(),
            metrics: Metrics::new(),
        }
    }

    /// Nothing is sent for a while.
    pub fn hold(&self, span: Duration) {
        let until = Instant::now() + span;
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        *hold = Some(hold.map_or(until, |before| before.max(until)));
    }

    /// How long nothing may be sent.
    pub fn held(&self) -> Option<Duration> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.and_then(|until| until.checked_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}
