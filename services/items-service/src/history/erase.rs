//! Erasure: what people's items held, or who acted from where, leaves the log and everything that was made of it.
//!
//! The call decides and writes that down together with an event that has no values; the work is done in chunks, by the
//! call itself as long as it may wait, and by whoever holds the lease of redactions.

use std::time::{Duration, Instant};

use model::{Error, Errors};
use proto::history::v1 as pb;
use rpc::Caller;
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use crate::failure::Failure;
use crate::state::State;
use wish::Wish;

pub use chunk::step;

mod begin;
mod chunk;
mod counts;
mod wish;

/// How long a call waits for the end of the work.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks while it waits.
const LOOK: Duration = Duration::from_millis(50);

/// Erases, or counts what would be erased.
pub async fn run(state: &State, caller: &Caller, request: pb::EraseRequest) -> Result<Value, Errors> {
    let told = |failure: Failure| failure.told(state, &request.collection);
    let wish = Wish::checked(state, &request).await.map_err(told)?;
    if request.dry_run {
        return counts::without_doing(state, caller, &wish).await.map_err(told);
    }
    let deleted = begin::delete(state, caller, &wish).await?;
    let id = begin::write_down(state, caller, &wish, deleted).await.map_err(told)?;
    state.announce().await;
    follow(state, id).await;
    counts::of(state, id).await.map_err(told)?.ok_or_else(|| Error::internal().into())
}

/// How an erasure stands.
pub async fn read(state: &State, id: &str) -> Result<Value, Errors> {
    let id = Uuid::parse_str(id).map_err(|_| Error::forbidden())?;
    let found = counts::of(state, id).await.map_err(|failure| failure.told(state, ""))?;
    Ok(found.ok_or_else(Error::forbidden)?)
}

/// Works on it until it is done or the time is over. It goes on without us.
async fn follow(state: &State, id: Uuid) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match step(state, Some(id)).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%id, %error, "an erasure waits"),
        }
        if matches!(is_done(state, id).await, Ok(true)) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_done(state: &State, id: Uuid) -> Result<bool, sqlx::Error> {
    const DONE: &str = "SELECT bool_and(stage = 'done') AS done FROM eventus.erasures WHERE id = $1";
    let row = sqlx::query(DONE).bind(id).fetch_one(&state.db).await?;
    Ok(row.try_get::<Option<bool>, _>("done")?.unwrap_or(true))
}
