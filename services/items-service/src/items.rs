//! The ItemsService: each call extracts, plans, executes and answers.

use proto::items::v1 as pb;
use proto::items::v1::items_service_server::ItemsService;
use tonic::{Request, Response, Status};

use crate::state::State;

mod cascade;
mod create;
mod delete;
mod read;
#[cfg(test)]
mod rights;
mod singleton;
mod update;
mod write;

/// The service over the process's state.
#[derive(Clone)]
pub struct Items(pub State);

#[tonic::async_trait]
impl ItemsService for Items {
    async fn read_items(
        &self,
        request: Request<pb::ReadItemsRequest>,
    ) -> Result<Response<pb::ReadItemsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        read::items(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
    }

    async fn read_item(
        &self,
        request: Request<pb::ReadItemRequest>,
    ) -> Result<Response<pb::ReadItemResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        read::item(&self.0, &caller, request.into_inner()).await.map(Response::new).map_err(rpc::status)
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
