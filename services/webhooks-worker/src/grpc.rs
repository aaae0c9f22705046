//! The gRPC face: one line per operation. For admins.

use std::sync::Arc;

use proto::webhooks::v1::webhooks_service_server::WebhooksService;
use proto::webhooks::v1::{
    CreateEndpointRequest, DeleteEndpointResponse, Endpoint, EndpointRequest, ListDeliveriesRequest,
    ListDeliveriesResponse, ListEndpointsRequest, ListEndpointsResponse, UpdateEndpointRequest,
};
use tonic::{Request, Response, Status};

use crate::state::State;
use crate::{
    Error, create_endpoint, delete_endpoint, get_endpoint, list_deliveries, list_endpoints, update_endpoint,
};

/// The service over the state.
pub(crate) struct Service(pub Arc<State>);

fn answer<T>(done: Result<T, Error>) -> Result<Response<T>, Status> {
    done.map(Response::new).map_err(|error| rpc::status(error.public().into()))
}

#[tonic::async_trait]
impl WebhooksService for Service {
    async fn list_endpoints(
        &self,
        request: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(list_endpoints::list_endpoints(&self.0).await)
    }

    async fn get_endpoint(&self, request: Request<EndpointRequest>) -> Result<Response<Endpoint>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(get_endpoint::get_endpoint(&self.0, request.into_inner()).await)
    }

    async fn create_endpoint(
        &self,
        request: Request<CreateEndpointRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(create_endpoint::create_endpoint(&self.0, request.into_inner()).await)
    }

    async fn update_endpoint(
        &self,
        request: Request<UpdateEndpointRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(update_endpoint::update_endpoint(&self.0, request.into_inner()).await)
    }

    async fn delete_endpoint(
        &self,
        request: Request<EndpointRequest>,
    ) -> Result<Response<DeleteEndpointResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(delete_endpoint::delete_endpoint(&self.0, request.into_inner()).await)
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        answer(list_deliveries::list_deliveries(&self.0, request.into_inner()).await)
    }
}
