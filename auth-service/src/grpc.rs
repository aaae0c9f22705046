//! The gRPC face: one line per operation.

mod accounts;
mod api_keys;

use std::sync::Arc;

use proto::auth::v1::auth_service_server::AuthService;
use proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, BeginSsoRequest, BeginSsoResponse, ControlRequest,
    ControlResponse, FinishSsoRequest, FinishSsoResponse, GetPublicKeysRequest, GetPublicKeysResponse,
    LoginRequest, LoginShareRequest, LogoutRequest, LogoutResponse, ProvidersRequest, ProvidersResponse,
    ReadShareRequest, ReadShareResponse, RefreshRequest, TokensResponse,
};
use tonic::{Request, Response, Status};

use crate::state::State;
use crate::{Error, authenticate, control, login, logout, refresh, shares, sso, tokens};

pub use api_keys::ApiKeys;

pub use accounts::Accounts;

/// The service over the state.
pub struct Service(pub Arc<State>);

fn answer<T>(done: Result<T, Error>) -> Result<Response<T>, Status> {
    done.map(Response::new).map_err(|error| rpc::status(error.told()))
}

#[tonic::async_trait]
impl AuthService for Service {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<TokensResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        answer(login::login(&self.0, &caller, request.into_inner()).await)
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<TokensResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        answer(refresh::refresh(&self.0, &caller, request.into_inner()).await)
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        answer(logout::logout(&self.0, &caller, request.into_inner()).await)
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        rpc::require_process(rpc::caller(&request))?;
        answer(authenticate::authenticate(&self.0, request.into_inner()).await)
    }

    async fn get_public_keys(
        &self,
        _: Request<GetPublicKeysRequest>,
    ) -> Result<Response<GetPublicKeysResponse>, Status> {
        Ok(Response::new(GetPublicKeysResponse { json: tokens::public_keys(&self.0) }))
    }

    async fn control(&self, request: Request<ControlRequest>) -> Result<Response<ControlResponse>, Status> {
        rpc::require_process(rpc::caller(&request))?;
        answer(control::control(&self.0).await)
    }

    async fn providers(&self, _: Request<ProvidersRequest>) -> Result<Response<ProvidersResponse>, Status> {
        Ok(Response::new(sso::list(&self.0)))
    }

    async fn begin_sso(
        &self,
        request: Request<BeginSsoRequest>,
    ) -> Result<Response<BeginSsoResponse>, Status> {
        answer(sso::begin(&self.0, request.into_inner()).await)
    }

    async fn finish_sso(
        &self,
        request: Request<FinishSsoRequest>,
    ) -> Result<Response<FinishSsoResponse>, Status> {
        let (caller, message) = rpc::called(request);
        answer(sso::finish(&self.0, &caller, message).await)
    }

    async fn login_share(
        &self,
        request: Request<LoginShareRequest>,
    ) -> Result<Response<TokensResponse>, Status> {
        let (caller, message) = rpc::called(request);
        answer(shares::login(&self.0, &caller, message).await)
    }

    async fn read_share(
        &self,
        request: Request<ReadShareRequest>,
    ) -> Result<Response<ReadShareResponse>, Status> {
        answer(shares::read(&self.0, request.into_inner()).await)
    }
}
