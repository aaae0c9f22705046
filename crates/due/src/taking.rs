//! The loop that takes rows: it looks when somebody says so, when the next row becomes due, and now and then.

use std::convert::Infallible;
use std::time::Duration;

use chassis::Runtime;
use db::Db;
use tokio::time::{Instant, sleep};

use crate::Work;

/// Longest pause between two looks: another process may have queued something.
pub const POLL: Duration = Duration::from_secs(1);

/// After a word of something new or of room: others may follow at once, and are taken with it.
const GATHER: Duration = Duration::from_millis(3);

/// How often the rows that wait are counted.
const COUNT: Duration = Duration::from_secs(15);

/// Takes and starts work until the soft stop. What runs then goes on as tasks of the process.
///
/// # Errors
/// None: without a database it waits for one.
pub async fn run<W: Work>(work: W, runtime: Runtime) -> Result<(), Infallible> {
    let soft = runtime.shutdown.soft().clone();
    let mut counted: Option<Instant> = None;
    let mut away = false;
    while !soft.is_cancelled() {
        let pause = match work.look(&runtime).await {
            Ok(pause) => {
                away = false;
                pause
            }
            Err(error) => {
                if !away {
                    tracing::warn!(%error, "{} can't be taken", W::NAME);
                }
                away = true;
                POLL
            }
        };
        if counted.is_none_or(|at| at.elapsed() >= COUNT) {
            counted = Some(Instant::now());
            // Not counted now: counted next time.
            if let Ok(pending) = sqlx::query_scalar(W::PENDING).fetch_one(work.db()).await {
                work.pending(pending);
            }
        }
        tokio::select! {
            () = soft.cancelled() => break,
            () = work.woken() => sleep(GATHER).await,
            () = sleep(pause) => {}
        }
    }
    Ok(())
}

/// How long until the next row becomes due, a [`POLL`] at most. `query` gives the milliseconds, or nothing, for rows
/// that become due within the next `$1` milliseconds.
///
/// # Errors
/// The database is away.
pub async fn next(db: &Db, query: &'static str) -> Result<Duration, sqlx::Error> {
    let wait: Option<i64> = sqlx::query_scalar(query).bind(model::milliseconds(POLL)).fetch_one(db).await?;
    // Rounded up: a look that comes too early finds nothing.
    Ok(wait.map_or(POLL, |wait| Duration::from_millis(wait.max(0).unsigned_abs() + 1)))
}
