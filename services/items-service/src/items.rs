//! The ItemsService: each call extracts, plans, executes and answers.

use proto::items::v1 as pb;
use proto::items::v1::items_service_server::ItemsService;
use tonic::{Request, Response, Status};

use crate::state::State;

pub use stream::Streams;

mod cascade;
mod create;
mod cursor;
mod delete;
mod read;
mod report;
#[cfg(test)]
mod rights;
mod singleton;
mod stream;
mod update;
mod write;

/// The service over the process's state and its streams.
#[derive(Clone)]
pub struct Items(pub State, pub Streams);

#[tonic::async_trait]
impl ItemsService for Items {
    async fn read_items(
        &self,
        request: Request<pb::ReadItemsRequest>,
    ) -> Result<Response<pb::ReadItemsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        read::items(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    type StreamItemsStream = stream::Parts;

    async fn stream_items(
        &self,
        request: Request<pb::StreamItemsRequest>,
    ) -> Result<Response<stream::Parts>, Status> {
        let caller = rpc::caller(&request).clone();
        self.1.begin(&self.0, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn read_item(
        &self,
        request: Request<pb::ReadItemRequest>,
    ) -> Result<Response<pb::ReadItemResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        read::item(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    async fn read_report(
        &self,
        request: Request<pb::ReadReportRequest>,
    ) -> Result<Response<pb::ReadReportResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        report::read(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    async fn create_items(
        &self,
        request: Request<pb::CreateItemsRequest>,
    ) -> Result<Response<pb::WriteItemsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        create::items(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    async fn update_items(
        &self,
        request: Request<pb::UpdateItemsRequest>,
    ) -> Result<Response<pb::WriteItemsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        update::items(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    async fn delete_items(
        &self,
        request: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        delete::items(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }
}
