//! `/reports/:collection/tree` and `/reports/:collection/window`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use proto::items::v1::ReadReportRequest;
use query::Report;

use crate::answer;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

/// GET /reports/:collection/tree
pub async fn tree(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let report = Report::tree(uri.query().unwrap_or_default())?;
    read(&gateway, &caller, collection, &report).await
}

/// GET /reports/:collection/window
pub async fn window(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let report = Report::window(uri.query().unwrap_or_default())?;
    read(&gateway, &caller, collection, &report).await
}

async fn read(
    gateway: &Gateway,
    caller: &Caller,
    collection: String,
    report: &Report,
) -> Result<Response, Failure> {
    let request = gateway.call(caller, ReadReportRequest { collection, report: report.to_bytes().into() });
    let found = gateway.items().read_report(request).await?.into_inner();
    Ok(answer::with_meta(&found.items, &found.meta))
}
