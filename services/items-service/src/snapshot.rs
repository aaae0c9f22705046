//! The snapshot: immutable schema and filter registrations in memory, swapped as a whole.
//!
//! The process that commits a change swaps its own before it answers; others learn of it by a ping and, at the
//! latest, by polling the control row each 500 ms.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use db::Db;
use model::{Collection, Error, Past, Schema};
use sqlx::{PgConnection, Row as _};
use tokio::sync::Mutex;

use crate::catalog::{self, Catalog};
use crate::items::moment;
use crate::plans::Plans;

mod assemble;
pub mod introspect;

#[cfg(test)]
pub use assemble::schema as schema_of;

/// One filter hook's wish to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `items.create` ...
    pub event: String,
    /// Collection, or `*` for every user collection.
    pub collection: String,
}

/// Everything that plans are made against.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Collections, fields, relations, as plans need them.
    pub schema: Schema,
    /// The same as clients see it.
    pub catalog: Catalog,
    /// What PostgreSQL's catalogs were like when it was read.
    pub fingerprint: String,
    /// Filter hooks to ask.
    pub filters: Vec<Registration>,
    /// Version of the control row `filters`.
    pub filters_version: i64,
    /// Plans that were made against it.
    pub plans: Plans,
    /// The schema by which collections are read as they stood once, at no position yet; made when it is asked for.
    past: OnceLock<Schema>,
}

impl Snapshot {
    /// The schema as the transaction of this connection sees it, its own changes included, without registrations.
    pub async fn within(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let catalog = catalog::assemble::catalog(introspect::all(conn).await?);
        Ok(Self { catalog, ..Self::default() })
    }

    /// The schema by which collections are read as they stood at a position of the log.
    pub fn at(&self, position: i64) -> Schema {
        let past = self.past.get_or_init(|| {
            let present = Arc::new(self.schema.clone());
            let collections = present.collections.iter();
            let collections = collections.map(|(name, one)| (name.clone(), moment::of(one))).collect();
            Schema { version: present.version, collections, past: Some(Past { position, present }) }
        });
        let Some(Past { present, .. }) = &past.past else { return past.clone() };
        Schema { past: Some(Past { position, present: Arc::clone(present) }), ..past.clone() }
    }

    /// A collection that clients may name; missing ones are 403.
    pub fn collection(&self, name: &str) -> Result<&Arc<Collection>, Error> {
        self.schema.collection(name).ok_or_else(|| Error::forbidden_collection(name))
    }

    /// Is any filter hook registered for this?
    pub fn has_filter(&self, event: &str, collection: &str) -> bool {
        self.filters.iter().any(|filter| {
            filter.event == event && matches!(&*filter.collection, c if c == "*" || c == collection)
        })
    }
}

/// Holds the present snapshot and loads new ones.
#[derive(Debug)]
pub struct Snapshots {
    db: Db,
    present: ArcSwap<Snapshot>,
    /// One load at a time; a load that waited finds the work done.
    loading: Mutex<()>,
}

impl Snapshots {
    /// An empty one; [`Self::refresh`] fills it.
    pub fn new(db: Db) -> Self {
        Self { db, present: ArcSwap::default(), loading: Mutex::new(()) }
    }

    /// The present snapshot.
    pub fn present(&self) -> Arc<Snapshot> {
        self.present.load_full()
    }

    /// Loads the schema as it is now and swaps it in.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, db::Error> {
        let _one = self.loading.lock().await;
        self.load().await
    }

    /// Loads only if a newer version is known than the present one.
    pub async fn refresh_to(&self, schema: i64, filters: i64) -> Result<Arc<Snapshot>, db::Error> {
        let _one = self.loading.lock().await;
        let present = self.present();
        if present.schema.version >= schema && present.filters_version >= filters {
            return Ok(present);
        }
        self.load().await
    }

    /// Loads if the database's catalogs are no longer what the present one was read from: someone has changed the
    /// schema without telling us, by SQL or by a Directus that runs on the same database.
    pub async fn refresh_if_moved(&self) -> Result<(), db::Error> {
        let fingerprint = introspect::fingerprint(&self.db).await?;
        let _one = self.loading.lock().await;
        if self.present().fingerprint != fingerprint {
            self.load().await?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<Arc<Snapshot>, db::Error> {
        let begun = Instant::now();
        let mut tx = self.db.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *tx).await?;
        let version = "SELECT coalesce((SELECT version FROM eventus.control WHERE topic = 'schema'), 0) AS schema, \
                       coalesce((SELECT version FROM eventus.control WHERE topic = 'filters'), 0) AS filters";
        let versions = sqlx::query(version).fetch_one(&mut *tx).await?;
        let rows = introspect::all(&mut tx).await?;
        let fingerprint = introspect::fingerprint(&mut *tx).await?;
        let filters = sqlx::query("SELECT DISTINCT event, collection FROM eventus.filter_registrations")
            .fetch_all(&mut *tx)
            .await?
            .iter()
            .map(|row| {
                Ok(Registration { event: row.try_get("event")?, collection: row.try_get("collection")? })
            })
            .collect::<Result<Vec<_>, sqlx::Error>>()?;
        tx.commit().await?;
        let catalog = catalog::assemble::catalog(rows);
        let snapshot = Arc::new(Snapshot {
            schema: assemble::schema(&catalog, versions.try_get("schema")?),
            catalog,
            fingerprint,
            filters,
            filters_version: versions.try_get("filters")?,
            plans: Plans::default(),
            past: OnceLock::new(),
        });
        tracing::info!(
            schema_version = snapshot.schema.version,
            collections = snapshot.schema.collections.len(),
            filters = snapshot.filters.len(),
            milliseconds = begun.elapsed().as_millis(),
            "snapshot loaded"
        );
        self.present.store(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
