//! Rows become items: the road of every other write, within a transaction that also moves the job.

use std::collections::HashSet;

use access::Action;
use futures_util::future::BoxFuture;
use model::{Collection, Error, Errors};
use planner::{KeyText, Payload, Stamp};
use query::Query;
use sqlx::{AssertSqlSafe, PgConnection};

use super::findings::Findings;
use super::job::Job;
use crate::execute;
use crate::failure::Failure;
use crate::items::judge::Judging;
use crate::items::{create, nested};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system::payload;

/// Writes rows of one job.
pub struct Writer<'a> {
    pub state: &'a State,
    pub job: &'a Job,
}

/// A collection that files are imported into, for who may create and change its items: a row may do either.
///
/// # Errors
/// 403, as where there is no such collection; 400 for a singleton.
pub fn target<'s>(
    snapshot: &'s Snapshot,
    name: &str,
    access: &access::Access,
) -> Result<&'s Collection, Error> {
    let collection = snapshot.schema.collection(name).filter(|collection| !collection.system);
    let collection = collection.ok_or_else(|| Error::forbidden_collection(name))?;
    for (action, verb) in [(Action::Create, "create"), (Action::Update, "update")] {
        if !access.allows(name, action) {
            let reason = format!(
                "You don't have permission to perform \"{verb}\" for collection \"{name}\" or it does not exist."
            );
            return Err(Error::forbidden().with_message(reason.clone()).with("reason", reason));
        }
    }
    if collection.singleton {
        return Err(Error::invalid_payload(format!("Cannot import into singleton collection {name}")));
    }
    Ok(collection)
}

impl Writer<'_> {
    /// Writes rows, all or none of them in the end: after a failure the transaction is of no use. `first`: their place
    /// in the file. Whether a control row has moved.
    pub async fn write(
        &self,
        conn: &mut PgConnection,
        rows: &[Payload],
        first: usize,
    ) -> Result<bool, Failure> {
        let Self { state, job } = self;
        let snapshot = state.snapshots.present();
        let asking = state.asking(&job.caller).await?;
        let collection = target(&snapshot, &job.collection, &asking.access)?;
        let reader = asking.reader(&snapshot);
        let stamp = Stamp { batch_id: job.id, first_index: first, ..state.stamp(&job.caller) };
        let place = nested::Place { state, caller: &job.caller, snapshot: &snapshot, reader, stamp: &stamp };
        if !is_plain(conn, rows, collection, &snapshot).await? {
            return nested::either(place, conn, collection, rows.to_vec()).await;
        }
        let mut payloads = rows.to_vec();
        let judging = Judging::within(conn, (collection, Action::Create), reader, &stamp).await?;
        judging.admit(&mut payloads)?;
        payload::prepare(&mut payloads, collection, Action::Create, state.storing(judging.reader)).await?;
        let silent = Query { fields: Some(Vec::new()), ..Query::default() };
        for statement in create::statements(state, &payloads, &silent, collection, reader, &stamp)? {
            execute::rows(conn, &statement).await?;
        }
        Ok(false)
    }

    /// Writes rows so that none fails for another: the half in which a row can't be written is taken back and written by
    /// its halves. What is found is added; nothing of such rows is written.
    pub fn write_apart<'w>(
        &'w self,
        conn: &'w mut PgConnection,
        rows: &'w [Payload],
        first: usize,
        (findings, most): (&'w mut Findings, usize),
    ) -> BoxFuture<'w, Result<bool, Failure>> {
        Box::pin(async move {
            if findings.count() >= most || rows.is_empty() {
                return Ok(false);
            }
            run(conn, "SAVEPOINT rows").await?;
            let failure = match self.write(conn, rows, first).await {
                Ok(moves_control) => {
                    run(conn, "RELEASE SAVEPOINT rows").await?;
                    return Ok(moves_control);
                }
                Err(failure) => failure,
            };
            let errors = refused(self.state, failure, &self.job.collection)?;
            run(conn, "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows").await?;
            if rows.len() == 1 {
                findings.add(i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1), errors);
                return Ok(false);
            }
            let (left, right) = rows.split_at(rows.len() / 2);
            let one = self.write_apart(conn, left, first, (&mut *findings, most)).await?;
            let two = self.write_apart(conn, right, first + left.len(), (findings, most)).await?;
            Ok(one || two)
        })
    }
}

async fn run(conn: &mut PgConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(|_| ())
}

/// The rows are new items without others in them, and nobody wants to change them before: one statement makes them.
async fn is_plain(
    conn: &mut PgConnection,
    rows: &[Payload],
    collection: &Collection,
    snapshot: &Snapshot,
) -> Result<bool, Failure> {
    let event = format!("{}.create", collection.scope());
    if nested::any(rows, collection) || snapshot.has_filter(&event, &collection.name) {
        return Ok(false);
    }
    let mut keys: HashSet<KeyText> = HashSet::new();
    for row in rows {
        if let Some(key) = planner::own_key(row, collection)?
            && !keys.insert(key)
        {
            return Ok(false);
        }
    }
    if keys.is_empty() {
        return Ok(true);
    }
    let mut keys: Vec<KeyText> = keys.into_iter().collect();
    keys.sort_unstable();
    let present = execute::rows(conn, &planner::plan_present(&keys, collection)?).await?;
    Ok(present.is_empty())
}

/// What a failure says of the rows themselves.
///
/// # Errors
/// The failure, where it says nothing of them: it is worth trying again.
pub fn refused(state: &State, failure: Failure, collection: &str) -> Result<Errors, Failure> {
    match failure {
        Failure::Refused(errors) if errors.0.iter().any(|error| error.code.status() >= 500) => {
            Err(Failure::Refused(errors))
        }
        Failure::Refused(errors) => Ok(errors),
        Failure::Sql(error) if execute::refusal(&error, collection).is_some() => {
            Ok(state.failure(&error, collection))
        }
        other => Err(other),
    }
}
