//! The HistoryService: what happened to items, taking it back, and erasing it.

use bytes::Bytes;
use model::Errors;
use proto::history::v1 as pb;
use proto::history::v1::history_service_server::HistoryService;
use serde_json::Value;
use tonic::{Request, Response, Status};

use crate::state::State;

mod copies;
mod erase;
mod item;
pub mod redact;
mod undo;

/// The service over the process's state.
#[derive(Clone)]
pub struct History(pub State);

type Answer = Result<Response<pb::JsonResponse>, Status>;

fn answer(result: Result<Bytes, Errors>) -> Answer {
    result.map(|json| Response::new(pb::JsonResponse { json, replayed: false })).map_err(rpc::status)
}

fn json(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

#[tonic::async_trait]
impl HistoryService for History {
    async fn read_history(&self, request: Request<pb::ReadHistoryRequest>) -> Answer {
        let (caller, message) = rpc::called(request);
        answer(item::read(&self.0, &caller, message).await)
    }

    async fn undo(&self, request: Request<pb::UndoRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let (caller, message) = rpc::called(request);
        undo::run(&self.0, &caller, message).await.map(Response::new).map_err(rpc::status)
    }

    async fn erase(&self, request: Request<pb::EraseRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        let (caller, message) = rpc::called(request);
        answer(erase::run(&self.0, &caller, message).await.map(|done| json(&done)))
    }

    async fn read_erasure(&self, request: Request<pb::ReadErasureRequest>) -> Answer {
        rpc::require_admin(rpc::caller(&request))?;
        answer(erase::read(&self.0, &request.into_inner().id).await.map(|done| json(&done)))
    }
}
