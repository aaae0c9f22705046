//! What policies allow, in memory: every line of `directus_permissions` as a rule, and what they come to for those who
//! hold the same policies.
//!
//! The process that commits a change loads it before it answers; others learn of it by a ping and by the control row
//! `access`, read each 500 ms. Who can't prove that what he holds is younger than a second asks the database first.

mod least;
mod line;
pub mod mine;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use access::{Access, Side};
use arc_swap::ArcSwap;
use db::Db;
use db::control::Versions;
use model::{Accountability, Error, Schema, ShareScope};
use tokio::sync::watch;
use uuid::Uuid;

pub use least::{LEAST, with_least};
pub use line::Line;

/// How old the knowledge may be that nothing has changed.
const PROOF: Duration = Duration::from_secs(1);

/// Access that is kept for later, so many at most.
const KEPT: usize = 10_000;

/// All rules of all policies, as they stood at one version of the control row.
#[derive(Debug, Default)]
pub struct Permissions {
    version: i64,
    policies: HashMap<Uuid, Vec<Line>>,
    /// By policies in their order and whether the app is granted.
    made: Mutex<HashMap<(Vec<Uuid>, bool), Access>>,
    /// Of shares' guests, by what they were let in to and the version of the schema.
    shared: Mutex<HashMap<(ShareScope, i64), Access>>,
}

impl Permissions {
    /// The lines that make up what somebody may do, in the order of his policies; the app's least ones come last.
    pub fn of<'a>(&'a self, accountability: &Accountability) -> Vec<&'a Line> {
        let held = accountability.policies.iter().filter_map(|policy| self.policies.get(policy));
        let mut lines: Vec<&Line> = held.flatten().collect();
        if accountability.app {
            lines.extend(LEAST.iter().map(|least| &least.line));
        }
        lines
    }

    /// What somebody may do. Who holds the same policies has the same value, so that plans made for one of them are
    /// found again for all.
    fn access(&self, accountability: &Accountability, schema: &Schema) -> Access {
        if accountability.admin {
            return Access::admin();
        }
        if let Some(scope) = &accountability.share_scope {
            return self.guest(scope, schema);
        }
        let key = (accountability.policies.clone(), accountability.app);
        let mut made = lock(&self.made);
        if let Some(access) = made.get(&key) {
            return access.clone();
        }
        let access = Access::by(self.of(accountability).into_iter().filter_map(|line| line.rule.clone()));
        keep(&mut made, key, &access);
        access
    }

    /// What the guests of a share may do. Those of equal shares have the same value, too.
    fn guest(&self, scope: &ShareScope, schema: &Schema) -> Access {
        let key = (scope.clone(), schema.version);
        if let Some(access) = lock(&self.shared).get(&key) {
            return access.clone();
        }
        let side = |who: &Accountability| {
            // Neither of them is a guest himself.
            let who = Accountability { share_scope: None, ..who.clone() };
            Side { access: self.access(&who, schema), who }
        };
        let sides = [side(&scope.role), side(&scope.creator)];
        let access = access::shared(&scope.collection, &scope.item, sides, schema);
        keep(&mut lock(&self.shared), key, &access);
        access
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep<K: Eq + Hash>(made: &mut HashMap<K, Access>, key: K, access: &Access) {
    if made.len() >= KEPT {
        made.clear();
    }
    made.insert(key, access.clone());
}

/// Holds the present rules and loads new ones.
#[derive(Debug)]
pub struct Rights {
    db: Db,
    versions: watch::Receiver<Versions>,
    present: ArcSwap<Permissions>,
    /// One load at a time; a load that waited finds the work done.
    loading: tokio::sync::Mutex<()>,
}

impl Rights {
    /// None yet: the first who asks loads them.
    pub fn new(db: Db, versions: watch::Receiver<Versions>) -> Self {
        let present = ArcSwap::from_pointee(Permissions { version: -1, ..Permissions::default() });
        Self { db, versions, present, loading: tokio::sync::Mutex::new(()) }
    }

    /// The versions of the control rows, as this process sees them.
    pub fn versions(&self) -> watch::Receiver<Versions> {
        self.versions.clone()
    }

    /// What somebody may do, not older than a second.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when that can't be found out now.
    pub async fn access(&self, accountability: &Accountability, schema: &Schema) -> Result<Access, Error> {
        if accountability.admin {
            return Ok(Access::admin());
        }
        Ok(self.present().await?.access(accountability, schema))
    }

    /// The rules, not older than a second.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when that can't be found out now.
    pub async fn present(&self) -> Result<Arc<Permissions>, Error> {
        let (fresh, version) = {
            let known = self.versions.borrow();
            (known.is_fresh(PROOF), known.of("access"))
        };
        let present = self.present.load_full();
        if fresh && present.version >= version {
            return Ok(present);
        }
        self.refresh().await.map_err(|error| {
            tracing::warn!(%error, "permissions could not be loaded");
            Error::unavailable("database")
        })
    }

    /// The rules as they are in the database now.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn refresh(&self) -> Result<Arc<Permissions>, db::Error> {
        const VERSION: &str =
            "SELECT coalesce((SELECT version FROM eventus.control WHERE topic = 'access'), 0)";
        let _one = self.loading.lock().await;
        let begun = Instant::now();
        let version: i64 = sqlx::query_scalar(VERSION).fetch_one(&self.db).await?;
        let present = self.present.load_full();
        if present.version == version {
            return Ok(present);
        }
        // Read after the version: what is newer than it is loaded once more, never missed.
        let lines = line::all(&self.db).await?;
        let mut policies: HashMap<Uuid, Vec<Line>> = HashMap::new();
        let count = lines.len();
        for line in lines {
            policies.entry(line.policy).or_default().push(line);
        }
        let loaded = Arc::new(Permissions { version, policies, ..Permissions::default() });
        let milliseconds = begun.elapsed().as_millis();
        tracing::info!(access_version = version, permissions = count, milliseconds, "permissions loaded");
        self.present.store(Arc::clone(&loaded));
        Ok(loaded)
    }
}
