//! The gRPC face: one line per operation.

use std::sync::Arc;

use proto::analytics::v1::analytics_service_server::AnalyticsService;
use proto::analytics::v1::{MetricsRequest, MetricsResponse};
use tonic::{Request, Response, Status};

use crate::metrics;
use crate::state::State;

/// The service over the state.
pub(crate) struct Service(pub Arc<State>);

#[tonic::async_trait]
impl AnalyticsService for Service {
    async fn metrics(&self, request: Request<MetricsRequest>) -> Result<Response<MetricsResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let done = metrics::metrics(&self.0, request.into_inner()).await;
        done.map(Response::new).map_err(|error| rpc::status(error.public().into()))
    }
}
