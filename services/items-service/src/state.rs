//! What every call of this process works with; built once, cheap to clone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::Access;
use model::{Accountability, Clock, Error, Errors, FieldType, Ids};
use planner::{Limits, Reader, Stamp, Variables};
use rpc::Caller;
use secrets::{Hasher, Sealer, Signet};
use tokio::sync::{Mutex, Notify};

use crate::config::Config;
use crate::filter::Filters;
use crate::items::once::Idempotency;
use crate::items::together::Together;
use crate::permissions::Rights;
use crate::snapshot::{Snapshot, Snapshots};
use crate::system::payload::Storing;

/// Handles of this process.
#[derive(Clone)]
pub struct State(Arc<Inner>);

/// See [`State`].
pub struct Inner {
    /// PostgreSQL.
    pub db: db::Db,
    /// The same, for reads.
    pub reading: Reading,
    /// JetStream and pings.
    pub bus: bus::Bus,
    /// Schema and registrations.
    pub snapshots: Snapshots,
    /// What policies allow.
    pub rights: Rights,
    /// Filter hooks.
    pub filters: Filters,
    /// Password hashes.
    pub hasher: Hasher,
    /// How much one query may ask for.
    pub limits: Limits,
    /// Encrypted fields.
    pub sealer: Sealer,
    /// Cursors of lists.
    pub cursors: Signet,
    /// Places of the log that listeners know.
    pub places: Sealer,
    /// Held while the item of a singleton is made: one wait for the database per process is enough.
    pub making: Mutex<()>,
    /// Writes under keys of clients'.
    pub idempotency: Idempotency,
    /// Writes that are on their way.
    pub together: Together,
    /// Collections whose items are written under a condition only.
    pub conditional: BTreeSet<String>,
    /// Wakes the log's readers in this process.
    pub wake: Wake,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
}

/// PostgreSQL as readers see it: how long they may make it work.
pub struct Reading {
    admin: db::Db,
    user: db::Db,
    public: db::Db,
    /// What takes longer is told; zero for nothing.
    pub slow: Duration,
}

impl Reading {
    /// With the limits of the settings.
    pub fn new(db: &db::Db, config: &Config) -> Self {
        Self {
            admin: db.clone(),
            user: db.limited(config.user_timeout),
            public: db.limited(config.public_timeout),
            slow: config.slow_query,
        }
    }

    /// For one who acts.
    pub fn of(&self, accountability: &Accountability) -> &db::Db {
        match accountability {
            Accountability { admin: true, .. } => &self.admin,
            Accountability { user: Some(_), .. } => &self.user,
            _ => &self.public,
        }
    }
}

/// Handles of the log's readers in this process.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    /// The relay's tail.
    pub relay: Arc<Notify>,
    /// The tail of live streams.
    pub live: Arc<Notify>,
    /// The reader of the control rows.
    pub control: Arc<Notify>,
}

impl Wake {
    /// The log has grown.
    pub fn all(&self) {
        self.relay.notify_one();
        self.live.notify_one();
    }
}

/// Who asks, as plans need it.
pub struct Asking {
    /// What he may do.
    pub access: Access,
    /// Who he is.
    pub variables: Variables,
    limits: Limits,
}

impl Asking {
    /// One who may do this.
    #[cfg(test)]
    pub fn new(access: Access, variables: Variables) -> Self {
        Self { access, variables, limits: Limits::default() }
    }

    /// Against this schema.
    pub fn reader<'a>(&'a self, snapshot: &'a Snapshot) -> Reader<'a> {
        let (schema, variables) = (&snapshot.schema, &self.variables);
        Reader { schema, access: &self.access, variables, limits: self.limits }
    }
}

impl std::ops::Deref for State {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl State {
    /// Bundles the handles.
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Tells the relay, wherever it is, that the log has grown. After the commit, best effort.
    pub async fn announce(&self) {
        self.wake.all();
        self.bus.ping("log").await;
    }

    /// Tells the fleet that a control row has moved. After the commit, best effort. What this process knows of access
    /// is true from here on.
    pub async fn announce_control(&self) {
        if let Err(error) = self.rights.refresh().await {
            tracing::warn!(%error, "permissions could not be loaded after a change");
        }
        self.bus.ping("control").await;
    }

    /// What the events of one write share.
    pub fn stamp(&self, caller: &Caller) -> Stamp {
        let Accountability { user, role, ip, user_agent, origin, .. } = caller.accountability.clone();
        Stamp {
            user,
            role,
            ip,
            user_agent,
            origin,
            request_id: caller.request_id.clone(),
            traceparent: chassis::trace::current().map(|parent| parent.as_str().to_owned()),
            causation_id: None,
            depth: 0,
            batch_id: self.ids.ordered(),
            first_index: 0,
            silent: caller.silent,
            by_key: caller.accountability.api_key.is_some() && !caller.accountability.admin,
            now: self.clock.now(),
            once: None,
            each: Vec::new(),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when it can't be found out now what he may do.
    pub async fn asking(&self, caller: &Caller) -> Result<Asking, Error> {
        Ok(Asking {
            access: self.rights.access(&caller.accountability, &self.snapshots.present().schema).await?,
            variables: Variables::of(&caller.accountability, self.clock.now()),
            limits: self.limits,
        })
    }

    /// How secrets are stored of what this reader writes.
    pub fn storing<'a>(&'a self, reader: Reader<'a>) -> Storing<'a> {
        let judged = Some((&self.db, reader));
        Storing { hasher: &self.hasher, sealer: &self.sealer, judged, ids: &*self.ids }
    }

    /// What a failed statement means: the client's own mistake, an outage, or ours.
    pub fn failure(&self, error: &sqlx::Error, collection: &str) -> Errors {
        let refused: Option<Error> = crate::execute::refusal(error, collection);
        let shown = refused.map(|refused| self.without_secret(refused));
        shown.unwrap_or_else(|| db::public(error)).into()
    }

    /// PostgreSQL names the value that it refuses; a concealed one is not passed on.
    fn without_secret(&self, mut error: Error) -> Error {
        let text =
            |name: &str| error.extensions.get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let (collection, field) = (text("collection"), text("field"));
        let snapshot = self.snapshots.present();
        let known = snapshot.schema.collection(collection).and_then(|collection| collection.field(field));
        let Some(known) = known else { return error };
        if known.is_concealed() {
            error.message = error.code.message().to_owned();
            error.extensions.remove("value");
        }
        // Of PostgreSQL's texts those of numbers are numbers, as clients send them.
        if matches!(known.kind, FieldType::Integer | FieldType::BigInteger)
            && let Some(value) = error.extensions.get_mut("value")
            && let Some(number) = value.as_str().and_then(|text| text.parse::<i64>().ok())
        {
            *value = number.into();
        }
        error
    }

    /// The statement no longer fits the schema: it is worth planning again once.
    pub fn is_stale(error: &sqlx::Error) -> bool {
        matches!(db::Error::classify(error), db::Class::SchemaMoved)
    }

    /// The transaction stood in another's way and was taken back: it is worth doing again.
    pub fn has_collided(error: &sqlx::Error) -> bool {
        matches!(db::Error::classify(error), db::Class::Serialization)
    }
}
