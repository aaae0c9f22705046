//! Reports: trees of items, and figures over windows of them.

pub(super) mod tree;

use bytes::Bytes;
use model::{Error, Errors};
use proto::items::v1 as pb;
use query::{Report, TreeReport, WindowReport};
use rpc::Caller;
use serde_json::json;
use sqlx::Row as _;

use super::read::{count, of_the_query};
use super::write::Tries;
use crate::execute;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};

/// Answers a report.
pub async fn read(
    state: &State,
    caller: &Caller,
    request: pb::ReadReportRequest,
) -> Result<pb::ReadReportResponse, Errors> {
    let report = Report::from_bytes(&request.report)?;
    let asking = state.asking(caller).await?;
    let mut tries = Tries::default();
    loop {
        let snapshot = state.snapshots.present();
        let place = (&request.collection[..], &*snapshot);
        let attempt = match &report {
            Report::Tree(report) => tree(state, &asking, report, place).await,
            Report::Window(report) => window(state, &asking, report, place).await,
        };
        match attempt {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

async fn tree(
    state: &State,
    asking: &Asking,
    report: &TreeReport,
    (collection, snapshot): (&str, &Snapshot),
) -> Result<pb::ReadReportResponse, Failure> {
    let collection = snapshot.collection(collection)?;
    let statement = planner::plan_tree(report, collection, asking.reader(snapshot))?;
    let rows = execute::rows_alone(&state.db, &statement).await?;
    if rows.is_empty() && report.root.is_some() {
        // Missing and out of reach are not told apart.
        return Err(Error::forbidden().into());
    }
    let (items, meta) = tree::written(&rows, report)?;
    Ok(pb::ReadReportResponse { items: Bytes::from(items), meta: Bytes::from(meta) })
}

async fn window(
    state: &State,
    asking: &Asking,
    report: &WindowReport,
    (collection, snapshot): (&str, &Snapshot),
) -> Result<pb::ReadReportResponse, Failure> {
    let collection = snapshot.collection(collection)?;
    let (query, reader) = (&report.query, asking.reader(snapshot));
    let plan = planner::plan_window(report, collection, reader)?;
    let rows = execute::rows_alone(&state.db, &plan.statement).await?;
    let row = rows.first().ok_or_else(Error::internal)?;
    let mut meta = serde_json::Map::new();
    for (name, wanted) in [("total_count", query.meta.total_count), ("filter_count", query.meta.filter_count)]
    {
        if let Some(count) = count(row, wanted, name)? {
            meta.insert(name.to_owned(), json!(count));
        }
    }
    let meta = if meta.is_empty() { String::new() } else { serde_json::Value::Object(meta).to_string() };
    Ok(pb::ReadReportResponse {
        items: Bytes::from(row.try_get::<String, _>("items").map_err(Failure::Sql)?),
        meta: Bytes::from(meta),
    })
}
