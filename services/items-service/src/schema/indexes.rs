//! Indexes that are made beside the traffic: asked for in the transaction of a definition, made after its commit by
//! whoever holds the lease, and logged as a change of the field once they are there.

use std::time::Duration;

use chassis::{BoxError, Runtime};
use model::{Errors, FieldType};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, Row as _};
use tokio_util::sync::CancellationToken;

use super::change::{Change, Entry};
use super::ddl;
use super::definition::FieldDefinition;
use super::search_indexes::{self, Failed};
use crate::failure::Failure;
use crate::state::State;

/// How often the jobs are looked at when nobody wakes us.
const POLL: Duration = Duration::from_secs(2);
/// How long a dead holder keeps the lease.
const LEASE: Duration = Duration::from_secs(10);

/// Takes the wish for an index out of a definition; gives the field that has it.
pub fn postpone(field: &mut FieldDefinition) -> Option<String> {
    let column = field.schema.as_mut()?;
    let apart = column.is_indexed == Some(true) && column.is_primary_key != Some(true);
    apart.then(|| {
        column.is_indexed = None;
        field.field.clone()
    })
}

/// As [`postpone`], of a change of this field.
pub fn postpone_change(name: &str, changes: &mut Map<String, Value>) -> Option<String> {
    let schema = changes.get_mut("schema")?.as_object_mut()?;
    if schema.get("is_indexed") != Some(&Value::Bool(true)) {
        return None;
    }
    schema.remove("is_indexed");
    Some(name.to_owned())
}

/// Asks for the indexes of some fields.
pub async fn ask(conn: &mut PgConnection, collection: &str, fields: &[String]) -> Result<(), Failure> {
    if fields.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO eventus.index_jobs (collection, field) SELECT $1, unnest($2::text[]) \
         ON CONFLICT (collection, field) DO UPDATE SET attempts = 0, next_attempt = now()",
    )
    .bind(collection)
    .bind(fields)
    .execute(conn)
    .await?;
    Ok(())
}

/// An index that is wanted.
struct Job {
    collection: String,
    field: String,
}

/// Makes what is asked for, where the lease is held.
pub fn start(state: &State, runtime: &Runtime) {
    let (state, shutdown) = (state.clone(), runtime.shutdown.clone());
    let holder = state.ids.random().to_string();
    runtime.tasks.spawn_to_the_end("indexes", async move {
        let soft = shutdown.soft().clone();
        let work = |_| hold(state.clone(), soft.clone());
        db::leases::hold(&state.db, "indexes", &holder, LEASE, &shutdown, work).await
    });
}

async fn hold(state: State, soft: CancellationToken) -> Result<(), BoxError> {
    let mut failed = Failed::default();
    loop {
        let made = async { Ok(next(&state).await? || search_indexes::next(&state, &mut failed).await?) };
        let made: Result<bool, sqlx::Error> = tokio::select! {
            () = soft.cancelled() => return Ok(()),
            made = made => made,
        };
        match made {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "indexes can't be looked after"),
        }
        tokio::select! {
            () = soft.cancelled() => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Sees to one job; `false` when none is due.
async fn next(state: &State) -> Result<bool, sqlx::Error> {
    const DUE: &str = "SELECT collection, field FROM eventus.index_jobs WHERE next_attempt <= now() ORDER BY next_attempt LIMIT 1";
    let Some(row) = sqlx::query(DUE).fetch_optional(&state.db).await? else { return Ok(false) };
    let job = Job { collection: row.try_get("collection")?, field: row.try_get("field")? };
    let (collection, field) = (job.collection.as_str(), job.field.as_str());
    let Some(kind) = state.snapshots.present().catalog.field(collection, field).map(|field| field.kind)
    else {
        forget(&state.db, &job).await?;
        return Ok(true);
    };
    match make(state, &job, kind).await {
        Ok(()) => match settle(state, &job).await {
            Ok(()) => tracing::info!(collection, field, "index made"),
            Err(errors) => {
                let reason = errors.0.first().map(|error| error.message.clone()).unwrap_or_default();
                postpone_job(state, &job, &reason).await?;
            }
        },
        Err(error) => {
            tracing::warn!(collection, field, %error, "an index could not be made");
            postpone_job(state, &job, &error.to_string()).await?;
        }
    }
    Ok(true)
}

/// `CREATE INDEX CONCURRENTLY`, without time-outs: it waits for every transaction that might still write without it.
async fn make(state: &State, job: &Job, kind: FieldType) -> Result<(), db::Error> {
    let mut conn = state.db.acquire().await?;
    // Nobody else gets a session without time-outs, however this ends.
    conn.close_on_drop();
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut *conn).await?;
    Ok(create(&mut conn, job, kind).await?)
}

async fn create(conn: &mut PgConnection, job: &Job, kind: FieldType) -> Result<(), sqlx::Error> {
    let name = ddl::index_name(&job.collection, &job.field, "index");
    let valid: Option<bool> = sqlx::query_scalar(
        "SELECT i.indisvalid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid \
         WHERE c.relname = $1 AND c.relnamespace = 'public'::regnamespace",
    )
    .bind(&name)
    .fetch_optional(&mut *conn)
    .await?;
    if valid == Some(true) {
        return Ok(());
    }
    if valid == Some(false) {
        // Left over from an attempt that died: PostgreSQL keeps it up and never uses it.
        sqlx::raw_sql(AssertSqlSafe(ddl::drop_index_concurrently(&name))).execute(&mut *conn).await?;
    }
    let sql = ddl::create_index_concurrently(&job.collection, &job.field, kind);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    Ok(())
}

/// The job is done: its row goes with the event that says so.
async fn settle(state: &State, job: &Job) -> Result<(), Errors> {
    let mut change = Change::begin(state).await?;
    let done = forget(change.conn(), job).await;
    let key = format!("{}.{}", job.collection, job.field);
    let entry = Entry::new("fields", "update", "directus_fields", &key);
    let entry = entry.payload(json!({"schema": {"is_indexed": true}})).fields(["schema"]);
    let work = done.map(|()| vec![entry]).map_err(Failure::from);
    change.finish(state, &Caller::process("items"), work).await?;
    Ok(())
}

async fn forget(executor: impl PgExecutor<'_>, job: &Job) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM eventus.index_jobs WHERE collection = $1 AND field = $2")
        .bind(&job.collection)
        .bind(&job.field)
        .execute(executor)
        .await?;
    Ok(())
}

async fn postpone_job(state: &State, job: &Job, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE eventus.index_jobs SET attempts = attempts + 1, error = $3, \
         next_attempt = now() + least(power(2, attempts), 300) * interval '1 second' \
         WHERE collection = $1 AND field = $2",
    )
    .bind(&job.collection)
    .bind(&job.field)
    .bind(reason)
    .execute(&state.db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{postpone, postpone_change};
    use crate::schema::definition::FieldDefinition;

    #[test]
    fn only_plain_indexes_wait() {
        let wish = |definition: serde_json::Value| {
            let mut field: FieldDefinition = serde_json::from_value(definition).unwrap();
            (postpone(&mut field), field.schema.and_then(|column| column.is_indexed))
        };
        let indexed = json!({"field": "a", "type": "string", "schema": {"is_indexed": true}});
        assert_eq!(wish(indexed), (Some("a".to_owned()), None));
        let key =
            json!({"field": "a", "type": "uuid", "schema": {"is_indexed": true, "is_primary_key": true}});
        assert_eq!(wish(key), (None, Some(true)));
        assert_eq!(wish(json!({"field": "a", "type": "string"})), (None, None));
        let mut change =
            json!({"schema": {"is_indexed": true, "is_nullable": false}}).as_object().cloned().unwrap();
        assert_eq!(postpone_change("a", &mut change), Some("a".to_owned()));
        assert_eq!(json!(change), json!({"schema": {"is_nullable": false}}));
        let mut away = json!({"schema": {"is_indexed": false}}).as_object().cloned().unwrap();
        assert_eq!(postpone_change("a", &mut away), None);
    }
}
