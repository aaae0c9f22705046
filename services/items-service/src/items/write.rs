//! What all writes share: several statements in one transaction, and their answer.

use std::borrow::Cow;

use bytes::Bytes;
use model::{Collection, ErrorCode, Errors};
use planner::{Once, Reader, Stamp, Statement};
use proto::items::v1::{Condition, WriteItemsResponse};
use query::Query;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::judge::Held;
use super::{condition, once};
use crate::execute;
use crate::failure::Failure;
use crate::state::State;
use crate::system::rules::Rules;

/// Items per statement: a transaction that holds positions holds up the log's readers.
pub const CHUNK: usize = 1_000;

/// What one write statement gave back.
#[derive(Debug, Default)]
pub struct Written {
    /// JSON array of the items, or empty.
    pub items: String,
    /// Keys that were written.
    pub keys: Vec<String>,
    /// The version of the item, if it was one.
    pub version: Option<i64>,
}

impl Written {
    /// Of the row that a write statement gives.
    pub fn of(rows: Vec<PgRow>) -> Result<Self, sqlx::Error> {
        let Some(row) = rows.into_iter().next() else { return Ok(Self::default()) };
        // Deletions have none.
        let items = match row.try_get::<Option<String>, _>("items") {
            Err(sqlx::Error::ColumnNotFound(_)) => String::new(),
            items => items?.unwrap_or_default(),
        };
        let keys = row.try_get::<Option<Vec<String>>, _>("keys")?.unwrap_or_default();
        let version = if keys.len() == 1 { row.try_get("version")? } else { None };
        Ok(Self { items, keys, version })
    }
}

impl From<Written> for WriteItemsResponse {
    fn from(written: Written) -> Self {
        let version = written.version.unwrap_or_default();
        Self { items: Bytes::from(written.items), keys: written.keys, version, replayed: false }
    }
}

/// What is to be true of a write's end.
#[derive(Clone, Copy, Default)]
pub struct Ending<'a> {
    /// Read the items back so.
    pub read_back: Option<(&'a Query, &'a Collection, Reader<'a>)>,
    /// So many items must have been reached, else nothing is written and the answer is 403.
    pub reached: Option<usize>,
    /// The present items must be judged with their changes before these are made.
    pub held: Option<&'a Held<'a>>,
    /// The one item must have been so before, else nothing is written and the answer is 412.
    pub condition: Option<&'a Condition>,
    /// The answer is kept under this key.
    pub once: Option<&'a Once>,
    /// The answer looks at the collection that is written, so only a statement after the write sees it whole.
    pub sees_itself: bool,
}

impl Ending<'_> {
    /// Nothing has to be found out between the statement and its commit: it may be a transaction by itself.
    fn is_plain(&self, rules: &Rules) -> bool {
        let nothing_asked = self.reached.is_none() && self.condition.is_none() && self.held.is_none();
        nothing_asked && !self.sees_itself && rules.is_empty()
    }

    /// It may be one statement with the writes of others.
    pub fn goes_together(&self, rules: &Rules) -> bool {
        self.is_plain(rules) && self.once.is_none()
    }

    /// The stamp for the statements of this write, so many of them: one that is alone keeps its own answer.
    pub fn stamp<'s>(&self, stamp: &'s Stamp, statements: usize, rules: &Rules) -> Cow<'s, Stamp> {
        match self.once {
            Some(once) if statements == 1 && self.is_plain(rules) => {
                Cow::Owned(Stamp { once: Some(once.clone()), ..stamp.clone() })
            }
            _ => Cow::Borrowed(stamp),
        }
    }
}

/// Runs write statements, all or none. One statement is its own transaction; several share one, and the items are
/// read back at its end in a statement of their own.
pub async fn run(
    state: &State,
    statements: &[Statement],
    ending: Ending<'_>,
    rules: Rules,
) -> Result<Written, Failure> {
    let moves_control = rules.moves_control();
    let written = match statements {
        [] => {
            // Nothing was to be written, which is not the same as being told nothing.
            let items = ending.read_back.map_or("", |_| "[]").to_owned();
            let written = Written { items, ..Written::default() };
            condition::hold(ending.condition, None)?;
            unchanged(state, written, ending.once).await?
        }
        [only] if ending.is_plain(&rules) && only.keeps_answer == ending.once.is_some() => {
            let rows = execute::rows_alone(&state.db, only).await?;
            if only.keeps_answer && !rows.first().map_or(Ok(true), |row| row.try_get("free"))? {
                return Err(once::in_flight().into());
            }
            Written::of(rows)?
        }
        several => run_several(state, several, ending, rules).await?,
    };
    if !written.keys.is_empty() {
        if moves_control {
            state.announce_control().await;
        }
        state.announce().await;
    }
    Ok(written)
}

/// The answer of a write that came to nothing, kept if it comes under a key: it will be the same again.
pub async fn unchanged(state: &State, written: Written, key: Option<&Once>) -> Result<Written, Failure> {
    if key.is_some() {
        let mut tx = execute::begin(&state.db).await?;
        once::claim(&mut tx, key).await?;
        once::keep(&mut tx, key, &written).await?;
        execute::commit(tx).await?;
    }
    Ok(written)
}

async fn run_several(
    state: &State,
    statements: &[Statement],
    ending: Ending<'_>,
    mut rules: Rules,
) -> Result<Written, Failure> {
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, ending.once).await?;
    rules.before(&mut tx).await?;
    if let Some(held) = ending.held {
        held.check(&mut tx).await?;
    }
    let (mut keys, mut version) = (Vec::new(), None);
    for statement in statements {
        let written = Written::of(execute::rows(&mut tx, statement).await?)?;
        keys.extend(written.keys);
        version = version.max(written.version);
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    if ending.reached.is_some_and(|reached| keys.len() < reached) {
        return Err(model::Error::forbidden().into());
    }
    version = version.filter(|_| keys.len() == 1);
    // The write has counted it up by one, under the item's lock.
    condition::hold(ending.condition, version.map(|version| version - 1))?;
    rules.after(&mut tx).await?;
    let items = read_back(&mut tx, &keys, ending).await?;
    let written = Written { items, keys, version };
    once::keep(&mut tx, ending.once, &written).await?;
    execute::commit(tx).await?;
    Ok(written)
}

/// The items as they are now, at the end of their transaction; nothing when nobody asks for them.
pub async fn read_back(
    conn: &mut PgConnection,
    keys: &[String],
    ending: Ending<'_>,
) -> Result<String, Failure> {
    let Some((query, collection, reader)) = ending.read_back else { return Ok(String::new()) };
    let plan = shown(planner::plan_read_keys(keys, query, collection, reader), reader)?;
    let Some(plan) = plan else { return Ok(String::new()) };
    let rows = execute::rows(conn, &plan.statement).await?;
    Ok(rows.first().map_or(Ok(String::new()), |row| row.try_get("items"))?)
}

/// The plan by which written items are shown; nothing for who may write them but may not see what he asks of them.
pub fn shown<P>(plan: Result<P, model::Error>, reader: Reader<'_>) -> Result<Option<P>, Errors> {
    match plan {
        Err(error) if error.code == ErrorCode::Forbidden && !reader.access.is_admin() => Ok(None),
        plan => Ok(Some(plan?)),
    }
}

/// A plan that no longer fits the schema is made again, against the new snapshot; a write that stood in another's way
/// (a deadlock, a failed serialization) was taken back whole and is done again.
#[derive(Debug, Default)]
pub struct Tries {
    again: u32,
    collided: u32,
}

/// How often a plan is made again while the schema keeps moving.
const AGAIN: u32 = 3;

/// How often a write is done again that PostgreSQL took back for another's sake. Each time one of the two gets through,
/// so only a crowd on the same items uses them up.
const COLLISIONS: u32 = 5;

impl Tries {
    /// After a failure: `Ok` when it is worth planning again, else what the client is told.
    pub async fn after(&mut self, failure: Failure, state: &State, collection: &str) -> Result<(), Errors> {
        match failure {
            Failure::Refused(errors) => Err(errors),
            // Another process has just written under the same key.
            Failure::Sql(error) if once::is_taken(&error) => Err(once::in_flight().into()),
            Failure::Sql(error) if self.again < AGAIN && State::is_stale(&error) => {
                tracing::info!(collection, %error, "the schema moved: planning again");
                self.again += 1;
                match state.snapshots.refresh().await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        tracing::warn!(%error, "the schema could not be loaded");
                        Err(model::Error::unavailable("database").into())
                    }
                }
            }
            Failure::Sql(error) if self.collided < COLLISIONS && State::has_collided(&error) => {
                tracing::info!(collection, %error, "two writes stood in each other's way: once more");
                self.collided += 1;
                Ok(())
            }
            Failure::Sql(error) => Err(state.failure(&error, collection)),
        }
    }
}
