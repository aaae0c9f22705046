//! The gRPC face of API keys: one line per operation.

use std::sync::Arc;

use proto::auth::v1::api_key_service_server::ApiKeyService;
use proto::auth::v1::{
    ApiKey, ApiKeyRequest, CreateApiKeyRequest, CreateApiKeyResponse, DeleteApiKeyResponse,
    ListApiKeysRequest, ListApiKeysResponse, UpdateApiKeyRequest,
};
use rpc::called;
use tonic::{Request, Response, Status};

use super::answer;
use crate::api_keys::{create, list, remove, update};
use crate::state::State;

/// The service over the state.
pub struct ApiKeys(pub Arc<State>);

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let (caller, request) = called(request);
        answer(create::create(&self.0, &caller, request).await)
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let (caller, request) = called(request);
        answer(list::list(&self.0, &caller, request).await)
    }

    async fn get_api_key(&self, request: Request<ApiKeyRequest>) -> Result<Response<ApiKey>, Status> {
        let (caller, request) = called(request);
        answer(list::get(&self.0, &caller, request).await)
    }

    async fn update_api_key(
        &self,
        request: Request<UpdateApiKeyRequest>,
    ) -> Result<Response<ApiKey>, Status> {
        let (caller, request) = called(request);
        answer(update::update(&self.0, &caller, request).await)
    }

    async fn delete_api_key(
        &self,
        request: Request<ApiKeyRequest>,
    ) -> Result<Response<DeleteApiKeyResponse>, Status> {
        let (caller, request) = called(request);
        answer(remove::remove(&self.0, &caller, request).await)
    }
}
