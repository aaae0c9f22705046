//! The ItemsService: each call extracts, plans, executes and answers.

use proto::items::v1 as pb;
use proto::items::v1::items_service_server::ItemsService;
use rpc::Caller;
use tonic::{Request, Response, Status};

use crate::state::State;

pub use read::of_the_query;
pub use stream::Streams;
pub use update::checked_keys;
pub use write::CHUNK;

pub mod cascade;
mod condition;
pub mod create;
mod cursor;
pub mod delete;
mod explain;
pub mod judge;
pub mod moment;
pub mod nested;
pub mod once;
mod read;
mod report;
mod revert;
#[cfg(test)]
mod rights;
mod singleton;
mod slow;
mod sort;
mod stream;
mod tags;
pub mod together;
mod update;
mod upsert;
pub mod version;
pub mod write;

/// The service over the process's state and its streams.
#[derive(Clone)]
pub struct Items(pub State, pub Streams);

/// What bears the load, without gRPC for who is in the same process.
pub fn directly(server: rpc::Server, state: &State) -> rpc::Server {
    macro_rules! direct {
        ($server:expr, $($method:literal $work:path, $request:ident, $silent:expr;)+) => {{
            let server = $server;
            $(
                let own = state.clone();
                let silent: fn(&pb::$request) -> bool = $silent;
                let server = server.direct($method, move |caller, message: pb::$request| {
                    let state = own.clone();
                    Box::pin(async move {
                        let caller = silenced(caller, silent(&message))?;
                        $work(&state, &caller, message).await.map_err(rpc::status)
                    })
                });
            )+
            server
        }};
    }
    direct! {
        server,
        "/eventus.items.v1.ItemsService/ReadItem" read::item, ReadItemRequest, |_| false;
        "/eventus.items.v1.ItemsService/ReadItems" read::items, ReadItemsRequest, |_| false;
        "/eventus.items.v1.ItemsService/CreateItems" create::items, CreateItemsRequest, |write| write.silent;
        "/eventus.items.v1.ItemsService/UpdateItems" update::items, UpdateItemsRequest, |write| write.silent;
        "/eventus.items.v1.ItemsService/DeleteItems" delete::items, DeleteItemsRequest, |write| write.silent;
    }
}

/// Who writes. Only administrators and processes of the fleet may keep it from hooks, flows and webhooks.
fn silenced(caller: Caller, silent: bool) -> Result<Caller, Status> {
    if silent {
        rpc::require_admin(&caller)?;
    }
    Ok(Caller { silent, ..caller })
}

/// Who writes, and what.
fn writing<T>(request: Request<T>, silent: impl Fn(&T) -> bool) -> Result<(Caller, T), Status> {
    let (caller, message) = rpc::called(request);
    let caller = silenced(caller, silent(&message))?;
    Ok((caller, message))
}

#[tonic::async_trait]
impl ItemsService for Items {
    async fn read_items(
        &self,
        request: Request<pb::ReadItemsRequest>,
    ) -> Result<Response<pb::ReadItemsResponse>, Status> {
        let (caller, message) = rpc::called(request);
        read::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
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
        let (caller, message) = rpc::called(request);
        read::item(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
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
        let (caller, message) = writing(request, |message| message.silent)?;
        create::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn update_items(
        &self,
        request: Request<pb::UpdateItemsRequest>,
    ) -> Result<Response<pb::WriteItemsResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        update::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn delete_items(
        &self,
        request: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        delete::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn upsert_items(
        &self,
        request: Request<pb::UpsertItemsRequest>,
    ) -> Result<Response<pb::WriteItemsResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        upsert::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn sort_items(
        &self,
        request: Request<pb::SortItemsRequest>,
    ) -> Result<Response<pb::SortItemsResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        sort::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn revert_item(
        &self,
        request: Request<pb::RevertItemRequest>,
    ) -> Result<Response<pb::RevertItemResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        revert::item(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn save_version(
        &self,
        request: Request<pb::SaveVersionRequest>,
    ) -> Result<Response<pb::SaveVersionResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        version::save(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn compare_version(
        &self,
        request: Request<pb::CompareVersionRequest>,
    ) -> Result<Response<pb::CompareVersionResponse>, Status> {
        let (caller, message) = rpc::called(request);
        version::compare(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn promote_version(
        &self,
        request: Request<pb::PromoteVersionRequest>,
    ) -> Result<Response<pb::PromoteVersionResponse>, Status> {
        let (caller, message) = writing(request, |message| message.silent)?;
        version::promote(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn explain_items(
        &self,
        request: Request<pb::ExplainItemsRequest>,
    ) -> Result<Response<pb::ExplainItemsResponse>, Status> {
        let (caller, message) = rpc::called(request);
        explain::items(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }
}
