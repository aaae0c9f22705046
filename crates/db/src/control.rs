//! The control rows: versions of what processes keep in memory (schema, access, sessions, filters ...).
//!
//! A change bumps its row in its own transaction; every process reads the rows each half second, and at once
//! when it is woken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::Tasks;
use sqlx::PgConnection;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{Db, Error};

/// How often a process reads the rows.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// What the rows said, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Version by topic.
    pub topics: HashMap<String, i64>,
    /// When the last answer was asked for: everything committed before is in it. `None`: no answer yet.
    pub proven: Option<Instant>,
}

impl Versions {
    /// The version of a topic; 0 when it is not known.
    pub fn of(&self, topic: &str) -> i64 {
        self.topics.get(topic).copied().unwrap_or(0)
    }

    /// Whether the rows were read within the last `age`.
    pub fn is_fresh(&self, age: Duration) -> bool {
        self.proven.is_some_and(|proven| proven.elapsed() <= age)
    }
}

/// All versions, by topic.
///
/// # Errors
/// When the database is away.
pub async fn versions(db: &Db) -> Result<HashMap<String, i64>, Error> {
    let rows = sqlx::query_as("SELECT topic, version FROM eventus.control").fetch_all(db).await?;
    Ok(rows.into_iter().collect())
}

/// Raises the version of a topic inside the caller's transaction, and returns it. Its row stays locked until
/// the transaction ends: changes of one topic commit one after the other.
///
/// # Errors
/// When the database is away.
pub async fn bump(connection: &mut PgConnection, topic: &str) -> Result<i64, Error> {
    let version = sqlx::query_scalar(
        "INSERT INTO eventus.control AS known (topic, version) VALUES ($1, 1)
         ON CONFLICT (topic) DO UPDATE SET version = known.version + 1
         RETURNING version",
    )
    .bind(topic)
    .fetch_one(connection)
    .await?;
    Ok(version)
}

/// Reads the rows each `every`, and when `wake` is notified, as a task. The receiver is notified when a version
/// changed; `proven` moves with every answer.
pub fn watch(db: &Db, tasks: &Tasks, every: Duration, wake: Arc<Notify>) -> watch::Receiver<Versions> {
    let (sender, receiver) = watch::channel(Versions::default());
    let db = db.clone();
    tasks.spawn_to_the_end("control watch", async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = wake.notified() => {}
                // Nobody listens any more; the task itself ends at the hard stop.
                () = sender.closed() => std::future::pending().await,
            }
            let asked = Instant::now();
            match versions(&db).await {
                Ok(topics) => {
                    away = false;
                    sender.send_if_modified(|known| {
                        known.proven = Some(asked);
                        let changed = known.topics != topics;
                        known.topics = topics;
                        changed
                    });
                }
                Err(error) if !away => {
                    away = true;
                    tracing::warn!(%error, "the control rows cannot be read");
                }
                Err(_) => {}
            }
        }
        #[expect(unreachable_code, reason = "gives the task its error type")]
        Ok::<(), Error>(())
    });
    receiver
}
