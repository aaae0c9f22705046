//! Operation `ListEndpoints`: all of them, oldest first.

use proto::webhooks::v1::ListEndpointsResponse;

use crate::Error;
use crate::endpoints::{columns, read};
use crate::state::State;

const LIST: &str = concat!("SELECT ", columns!(), " FROM eventus.webhook_endpoints ORDER BY created, id");

/// All endpoints, without their secrets.
pub(crate) async fn list_endpoints(state: &State) -> Result<ListEndpointsResponse, Error> {
    let rows = sqlx::query(LIST).fetch_all(&state.db).await?;
    let endpoints: Result<Vec<_>, _> = rows.iter().map(read).collect();
    Ok(ListEndpointsResponse { endpoints: endpoints? })
}
