//! A schema change: DDL, metadata and its events in one transaction, then the new snapshot, then the answer.

use std::sync::Arc;

use event_store::{NewEvent, heads};
use model::{Error, Errors, EventName, Ids};
use rpc::Caller;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::State;

/// What happened to a collection, field or relation, for the event log.
#[derive(Debug)]
pub struct Entry {
    scope: &'static str,
    action: String,
    table: &'static str,
    key: String,
    payload: Option<Value>,
    previous: Option<Value>,
    fields: Option<Vec<String>>,
}

impl Entry {
    /// `<scope>.<action>` of a row of `table`.
    pub fn new(scope: &'static str, action: &str, table: &'static str, key: &str) -> Self {
        let (action, key) = (action.to_owned(), key.to_owned());
        Self { scope, action, table, key, payload: None, previous: None, fields: None }
    }

    /// What it is now.
    pub fn payload(self, payload: Value) -> Self {
        Self { payload: Some(payload), ..self }
    }

    /// What it was.
    pub fn previous(self, previous: Value) -> Self {
        Self { previous: Some(previous), ..self }
    }

    /// What changed of it.
    pub fn fields<'a>(self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fields: Some(fields.into_iter().map(str::to_owned).collect()), ..self }
    }

    async fn event(
        self,
        conn: &mut PgConnection,
        ids: &dyn Ids,
        caller: &Caller,
    ) -> Result<NewEvent, Failure> {
        let version = match self.action.as_str() {
            "create" => heads::created(conn, self.table, &self.key).await,
            _ => heads::changed(conn, self.table, &self.key).await,
        };
        let name = EventName::new(self.scope, &self.action);
        let mut event = NewEvent::new(ids.ordered(), name, self.table, &self.key, version.map_err(log)?);
        event = event.by(&caller.accountability);
        event.payload = self.payload.map(raw).transpose()?;
        event.previous = self.previous.map(raw).transpose()?;
        event.fields = self.fields;
        event.request_id.clone_from(&caller.request_id);
        event.traceparent = chassis::trace::current();
        Ok(event)
    }
}

fn raw(value: Value) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(&value).map_err(|_| Error::internal())
}

fn log(error: event_store::Error) -> Failure {
    tracing::error!(%error, "a schema change could not be logged");
    Error::unavailable("database").into()
}

/// The advisory lock that schema changes queue for. Not the one that appenders of the log share (migration 2): whoever
/// holds that alone makes every write fail.
const QUEUE: i64 = 7_306_085_841;

/// Begins a transaction that changes the schema: such transactions go one after the other, and one that has to wait
/// too long for its locks is refused.
pub async fn open(db: &db::Db) -> Result<db::Transaction, db::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '30s'").execute(&mut *transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(QUEUE).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Logs what was done and tells the fleet; the last thing before the commit.
pub async fn record(
    conn: &mut PgConnection,
    ids: &dyn Ids,
    caller: &Caller,
    entries: Vec<Entry>,
) -> Result<(), Failure> {
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        events.push(entry.event(conn, ids, caller).await?);
    }
    db::control::bump(conn, "schema").await?;
    // Permissions name collections and fields.
    db::control::bump(conn, "access").await?;
    event_store::append(conn, &events).await.map_err(log)?;
    Ok(())
}

/// The transaction of a schema change.
pub struct Change {
    transaction: db::Transaction,
    snapshot: Arc<Snapshot>,
}

impl Change {
    /// Begins it.
    pub async fn begin(state: &State) -> Result<Self, Errors> {
        let begin = async {
            let mut transaction = open(&state.db).await?;
            // Nobody changes the schema now; what another process changed before is committed.
            let version: i64 = sqlx::query_scalar(
                "SELECT coalesce((SELECT version FROM eventus.control WHERE topic = 'schema'), 0)",
            )
            .fetch_one(&mut *transaction)
            .await?;
            let snapshot = state.snapshots.refresh_to(version, 0).await?;
            Ok::<_, db::Error>((transaction, snapshot))
        };
        match begin.await {
            Ok((transaction, snapshot)) => Ok(Self { transaction, snapshot }),
            Err(error) => {
                tracing::warn!(%error, "a schema change could not begin");
                Err(Error::unavailable("database").into())
            }
        }
    }

    /// The connection to do the work on.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The schema as it is before the change.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Logs what was done, commits, and swaps this process's snapshot before it returns it. Work that failed leaves
    /// nothing.
    pub async fn finish(
        self,
        state: &State,
        caller: &Caller,
        work: Result<Vec<Entry>, Failure>,
    ) -> Result<Arc<Snapshot>, Errors> {
        let done = match work {
            Ok(entries) => self.commit(state, caller, entries).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => {
                let present = state.snapshots.refresh().await;
                state.announce_control().await;
                state.announce().await;
                present.map_err(|error| {
                    // It is committed; the watch loads the snapshot as soon as the database answers.
                    tracing::warn!(%error, "the schema could not be loaded after a change");
                    Error::unavailable("database").into()
                })
            }
            Err(Failure::Refused(errors)) => Err(errors),
            Err(Failure::Sql(error)) => Err(refused(&error)),
        }
    }

    async fn commit(mut self, state: &State, caller: &Caller, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            // Nothing to do: nobody needs to look.
            self.transaction.rollback().await?;
            return Ok(());
        }
        record(&mut self.transaction, &*state.ids, caller, entries).await?;
        self.transaction.commit().await?;
        Ok(())
    }
}

/// What PostgreSQL's refusal of a definition means.
pub fn refused(error: &sqlx::Error) -> Errors {
    if let Some(reason) = reason(error) {
        return Error::invalid_payload(reason).into();
    }
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some("55P03") {
        return Error::unavailable("database").into();
    }
    crate::execute::refusal(error, "").unwrap_or_else(|| db::public(error)).into()
}

/// The same, in words; none when it is not the definition that is wrong.
pub fn reason(error: &sqlx::Error) -> Option<&'static str> {
    let error = error.as_database_error()?;
    if error.try_downcast_ref().is_some_and(crate::execute::is_postgis) {
        return Some("A value or the default is no geometry that the field can hold");
    }
    let code = error.code()?;
    Some(match &*code {
        "42P07" | "42701" | "42710" => "The name is already taken",
        "54011" => "A collection has at most 1600 fields",
        "42704" => "A field of this type can't be a key, unique or indexed",
        "42703" | "42P01" => "It is not there any more",
        "2BP01" => "Something else in the database depends on it",
        "0A000" | "428C9" | "42601" | "42P16" | "55000" => {
            "The database can't change it: a view or a computed column uses it"
        }
        "42804" | "42846" | "22P02" | "22007" | "22003" | "22001" => {
            "The present values don't fit the definition"
        }
        "22023" => "The length or precision is out of range",
        "23502" => "The field holds null values",
        "23505" => "The field holds values that are not unique",
        "23503" => "The field holds values that the related collection doesn't",
        _ => return None,
    })
}
