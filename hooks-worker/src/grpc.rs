//! The gRPC face: one line per operation.

use std::sync::Arc;

use proto::hooks::v1::hooks_service_server::HooksService;
use proto::hooks::v1::{FilterRequest, FilterResponse, ListRunsRequest, ListRunsResponse};
use tonic::{Request, Response, Status};

use crate::state::State;
use crate::{Error, filter, list_runs};

/// The service over the state.
pub(crate) struct Service(pub Arc<State>);

fn answer<T>(done: Result<T, Error>) -> Result<Response<T>, Status> {
    done.map(Response::new).map_err(|error| rpc::status(error.public().into()))
}

#[tonic::async_trait]
impl HooksService for Service {
    async fn filter(&self, request: Request<FilterRequest>) -> Result<Response<FilterResponse>, Status> {
        rpc::require_process(rpc::caller(&request))?;
        let deadline = filter::deadline(request.metadata());
        answer(filter::filter(&self.0, request.into_inner(), deadline).await)
    }

    async fn list_runs(
        &self,
        request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(list_runs::list_runs(&self.0, request.into_inner()).await)
    }
}
