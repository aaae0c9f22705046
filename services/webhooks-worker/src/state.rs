//! What every part uses; made once, cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use db::Db;
use event_store::Log;
use model::{Clock, Ids};
use outbound::Schedule;
use tokio::sync::Notify;

use crate::endpoints::Known;
use crate::metrics::Metrics;
use crate::sending::{Records, Slots};
use crate::{Config, Links};

/// Shared by all parts.
pub(crate) struct State {
    /// PostgreSQL.
    pub db: Db,
    /// For pings and the consumer.
    pub bus: Bus,
    /// Bodies of events.
    pub log: Log,
    /// The world outside.
    pub outbound: outbound::Client,
    /// When to try again.
    pub schedule: Schedule,
    /// Attempts that run.
    pub slots: Slots,
    /// Outcomes that are to be written down.
    pub records: Records,
    /// So long a delivery is taken by one sender.
    pub lock: Duration,
    /// Endpoints as the consumer knows them.
    pub known: Known,
    /// There are new deliveries.
    pub queued: Notify,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// What operators see.
    pub metrics: Metrics,
}

impl State {
    /// Builds it.
    pub fn new(config: &Config, links: &Links) -> Self {
        Self {
            db: links.db.clone(),
            bus: links.bus.clone(),
            log: Log::new(links.db.clone()),
            outbound: outbound::Client::new(config.outbound.clone()),
            schedule: config.schedule.clone(),
            slots: Slots::new(config.concurrency, config.endpoint_concurrency),
            records: Records::default(),
            lock: due::lock(config.outbound.timeout),
            known: Known::default(),
            queued: Notify::new(),
            clock: links.clock.clone(),
            ids: links.ids.clone(),
            metrics: Metrics::new(),
        }
    }

    /// Tells the other processes that the endpoints have changed.
    pub async fn endpoints_changed(&self) {
        self.bus.ping("control").await;
    }
}
