//! What every part uses; made once, cheap to clone.

use std::sync::Arc;

use bus::Bus;
use db::Db;

use crate::acting::Acting;
use crate::filtering::Filtering;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::scheduling::Scheduling;
use crate::{Config, Links};

/// Shared by all parts.
pub(crate) struct State {
    /// PostgreSQL.
    pub db: Db,
    /// For pings and the consumer.
    pub bus: Bus,
    /// The hooks.
    pub registry: Arc<Registry>,
    /// Runs filter hooks.
    pub filtering: Filtering,
    /// Runs action hooks.
    pub acting: Acting,
    /// Runs schedule hooks.
    pub scheduling: Scheduling,
}

impl State {
    /// Builds it.
    pub fn new(registry: Registry, config: &Config, links: &Links) -> Self {
        let registry = Arc::new(registry);
        let metrics = Metrics::new();
        let (db, clock) = (links.db.clone(), links.clock.clone());
        Self {
            filtering: Filtering::new(registry.clone(), config.filter_timeout, metrics.clone()),
            acting: Acting { db: db.clone(), registry: registry.clone(), metrics: metrics.clone() },
            scheduling: Scheduling { db: db.clone(), registry: registry.clone(), clock, metrics },
            bus: links.bus.clone(),
            registry,
            db,
        }
    }
}
