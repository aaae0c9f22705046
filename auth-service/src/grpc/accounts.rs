//! The gRPC face of accounts: one line per operation.

use std::sync::Arc;

use proto::accounts::v1::accounts_service_server::AccountsService;
use proto::accounts::v1::*;
use tonic::{Request, Response, Status};

use super::answer;
use crate::state::State;
use crate::{hashes, invite, mail, page, password, register, second_factor, setup, shares};

/// The service over the state.
pub struct Accounts(pub Arc<State>);

/// What is asked, and by whom.
macro_rules! called {
    ($request:ident) => {{
        let caller = rpc::caller(&$request).clone();
        (caller, $request.into_inner())
    }};
}

#[tonic::async_trait]
impl AccountsService for Accounts {
    async fn generate_second_factor(
        &self,
        request: Request<GenerateSecondFactorRequest>,
    ) -> Result<Response<GenerateSecondFactorResponse>, Status> {
        let (caller, message) = called!(request);
        answer(second_factor::generate(&self.0, &caller, message).await)
    }

    async fn enable_second_factor(
        &self,
        request: Request<EnableSecondFactorRequest>,
    ) -> Result<Response<EnableSecondFactorResponse>, Status> {
        let (caller, message) = called!(request);
        answer(second_factor::enable(&self.0, &caller, message).await)
    }

    async fn disable_second_factor(
        &self,
        request: Request<DisableSecondFactorRequest>,
    ) -> Result<Response<DisableSecondFactorResponse>, Status> {
        let (caller, message) = called!(request);
        answer(second_factor::disable(&self.0, &caller, message).await)
    }

    async fn request_password(
        &self,
        request: Request<RequestPasswordRequest>,
    ) -> Result<Response<RequestPasswordResponse>, Status> {
        let (caller, message) = called!(request);
        answer(password::request(&self.0, &caller, message).await)
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let (caller, message) = called!(request);
        answer(password::reset(&self.0, &caller, message).await)
    }

    async fn invite_users(
        &self,
        request: Request<InviteUsersRequest>,
    ) -> Result<Response<InviteUsersResponse>, Status> {
        let (caller, message) = called!(request);
        answer(invite::invite(&self.0, &caller, message).await)
    }

    async fn invite_to_share(
        &self,
        request: Request<InviteToShareRequest>,
    ) -> Result<Response<InviteToShareResponse>, Status> {
        let (caller, message) = called!(request);
        answer(shares::invite(&self.0, &caller, message).await)
    }

    async fn accept_invite(
        &self,
        request: Request<AcceptInviteRequest>,
    ) -> Result<Response<AcceptInviteResponse>, Status> {
        let (caller, message) = called!(request);
        answer(invite::accept(&self.0, &caller, message).await)
    }

    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let (caller, message) = called!(request);
        answer(register::register(&self.0, &caller, message).await)
    }

    async fn verify_registration(
        &self,
        request: Request<VerifyRegistrationRequest>,
    ) -> Result<Response<VerifyRegistrationResponse>, Status> {
        let (caller, message) = called!(request);
        answer(register::verify(&self.0, &caller, message).await)
    }

    async fn set_up(&self, request: Request<SetUpRequest>) -> Result<Response<SetUpResponse>, Status> {
        answer(setup::set_up(&self.0, request.into_inner()).await)
    }

    async fn read_set_up(&self, _: Request<ReadSetUpRequest>) -> Result<Response<ReadSetUpResponse>, Status> {
        answer(setup::read(&self.0).await)
    }

    async fn track_page(
        &self,
        request: Request<TrackPageRequest>,
    ) -> Result<Response<TrackPageResponse>, Status> {
        let (caller, message) = called!(request);
        answer(page::track(&self.0, &caller, message).await)
    }

    async fn generate_hash(
        &self,
        request: Request<GenerateHashRequest>,
    ) -> Result<Response<GenerateHashResponse>, Status> {
        answer(hashes::generate(&self.0, request.into_inner()).await)
    }

    async fn verify_hash(
        &self,
        request: Request<VerifyHashRequest>,
    ) -> Result<Response<VerifyHashResponse>, Status> {
        answer(hashes::verify(&self.0, request.into_inner()).await)
    }

    async fn list_mails(
        &self,
        request: Request<ListMailsRequest>,
    ) -> Result<Response<ListMailsResponse>, Status> {
        let (caller, message) = called!(request);
        answer(mail::list(&self.0, &caller, message).await)
    }
}
