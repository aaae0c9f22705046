//! Snapshot, plan and apply on a database, without a running process. Those that run notice by the control row.

use db::Db;
use model::{Errors, Ids};
use rpc::Caller;
use serde_json::Value;

use super::format::{self, Format};
use super::plan::Plan;
use super::{Blueprint, apply, body, compare};
use crate::failure::Failure;
use crate::schema::change;
use crate::snapshot::Snapshot;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document is wrong, or the database does not take it.
    #[error("{}", reasons(.0))]
    Refused(Errors),
    /// There is no schema of ours in the database.
    #[error("the database is not prepared: run `eventus migrate` first")]
    NotPrepared,
    /// PostgreSQL is away.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(errors) => Self::Refused(errors),
            Failure::Sql(error) => {
                let code = error.as_database_error().and_then(|error| error.code());
                match code.as_deref() {
                    Some("42P01") => Self::NotPrepared,
                    Some(_) => Self::Refused(change::refused(&error)),
                    None => Self::Database(error.into()),
                }
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Failure::Sql(error).into()
    }
}

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        Self::Refused(error.into())
    }
}

fn reasons(Errors(errors): &Errors) -> String {
    errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// The schema as a document.
///
/// # Errors
/// The database is away or not prepared.
pub async fn snapshot(db: &Db, format: Format) -> Result<Vec<u8>, Error> {
    let mut transaction = db.begin().await?;
    let present = Snapshot::within(&mut transaction).await?;
    Ok(format::print(&Blueprint::of(&present.catalog, false), format)?)
}

/// What would change if a document were applied. `force` takes one of another version or database.
///
/// # Errors
/// The document is none, or the database is away or not prepared.
pub async fn plan(db: &Db, document: &[u8], force: bool) -> Result<Plan, Error> {
    let wanted = read(document, force)?;
    let mut transaction = db.begin().await?;
    let present = Snapshot::within(&mut transaction).await?;
    Ok(Plan(compare::compare(&Blueprint::of(&present.catalog, true), &wanted)))
}

/// Changes the database into what a document says, all or nothing, and says what it has changed. Processes that run
/// on the database notice.
///
/// # Errors
/// As [`plan`]; or the data don't fit.
pub async fn apply(db: &Db, ids: &dyn Ids, document: &[u8], force: bool) -> Result<Plan, Error> {
    let wanted = read(document, force)?;
    let mut transaction = change::open(db).await?;
    let present = Blueprint::of(&Snapshot::within(&mut transaction).await?.catalog, true);
    let diff = compare::compare(&present, &wanted);
    if !diff.is_empty() {
        let works = apply::works(&present, &diff)?;
        let entries = apply::migrate(&mut transaction, works).await?;
        if !entries.is_empty() {
            change::record(&mut transaction, ids, &Caller::process("schema"), entries).await?;
            transaction.commit().await?;
        }
    }
    Ok(Plan(diff))
}

/// JSON or YAML, as it was exported or as `/schema/snapshot` answered.
fn read(document: &[u8], force: bool) -> Result<Blueprint, model::Error> {
    let is_json = document.trim_ascii_start().first() == Some(&b'{');
    let mut value = format::parse(document, if is_json { Format::Json } else { Format::Yaml })?;
    if let Value::Object(members) = &mut value
        && members.len() == 1
        && let Some(inner) = members.remove("data")
    {
        value = inner;
    }
    body::document(&value, force)
}
