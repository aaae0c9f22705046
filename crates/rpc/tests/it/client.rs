//! The client of the auth service: asks rarely, believes briefly, tells errors apart.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::{Accountability, Error, ErrorCode, SystemClock};
use proto::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, BeginSsoRequest, BeginSsoResponse, ControlRequest,
    ControlResponse, FinishSsoRequest, FinishSsoResponse, GetPublicKeysRequest, GetPublicKeysResponse,
    LoginRequest, LoginShareRequest, LogoutRequest, LogoutResponse, ProvidersRequest, ProvidersResponse,
    ReadShareRequest, ReadShareResponse, RefreshRequest, TokensResponse,
};
use rpc::{AuthClient, Authenticator as _, Channel, Guard, LocalSlot, Server};
use tonic::{Request, Response, Status};

use crate::stage::{signer, telemetry};

#[derive(Debug, Default)]
struct Auth {
    asked: AtomicUsize,
    dead: AtomicBool,
    valid_until: Mutex<i64>,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Auth>);

#[tonic::async_trait]
impl AuthService for Shared {
    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<TokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn refresh(&self, _: Request<RefreshRequest>) -> Result<Response<TokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_public_keys(
        &self,
        _: Request<GetPublicKeysRequest>,
    ) -> Result<Response<GetPublicKeysResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn control(&self, _: Request<ControlRequest>) -> Result<Response<ControlResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn providers(&self, _: Request<ProvidersRequest>) -> Result<Response<ProvidersResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn begin_sso(&self, _: Request<BeginSsoRequest>) -> Result<Response<BeginSsoResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn finish_sso(&self, _: Request<FinishSsoRequest>) -> Result<Response<FinishSsoResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn login_share(&self, _: Request<LoginShareRequest>) -> Result<Response<TokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn read_share(&self, _: Request<ReadShareRequest>) -> Result<Response<ReadShareResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        rpc::require_process(rpc::caller(&request))?;
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.0.dead.load(Ordering::SeqCst) {
            return Err(rpc::status(Error::new(ErrorCode::InvalidCredentials).into()));
        }
        let known = Accountability { session: Some(request.into_inner().token), ..Default::default() };
        let accountability = Some(rpc::convert::to_proto(&known));
        Ok(Response::new(AuthenticateResponse {
            accountability,
            valid_until: *self.0.valid_until.lock().unwrap(),
            held: Vec::new(),
        }))
    }
}

async fn stage() -> (Arc<Auth>, AuthClient) {
    let _ = telemetry();
    let auth = Arc::new(Auth::default());
    let slot = LocalSlot::new();
    let guard = Guard::new(signer(), Arc::new(SystemClock), None);
    let server = Server::new(guard).service(AuthServiceServer::new(Shared(auth.clone()))).local(slot.clone());
    let runtime = chassis::Runtime::new(chassis::Shutdown::new());
    let serving = runtime.clone();
    runtime.tasks.spawn("rpc", async move { rpc::serve(server, &serving).await });
    while !slot.is_bound() {
        tokio::task::yield_now().await;
    }
    let client = AuthClient::new(Channel::local(&slot), signer(), Arc::new(SystemClock), "gateway");
    (auth, client)
}

#[tokio::test]
async fn many_at_a_time_ask_once_and_each_token_for_itself() {
    let (auth, client) = stage().await;
    let calls = (0..50).map(|_| client.authenticate("a"));
    for known in futures_util::future::join_all(calls).await {
        assert_eq!(known.unwrap().at(None).session.as_deref(), Some("a"));
    }
    assert_eq!(auth.asked.load(Ordering::SeqCst), 1);
    assert_eq!(client.authenticate("b").await.unwrap().at(None).session.as_deref(), Some("b"));
    assert_eq!(auth.asked.load(Ordering::SeqCst), 2);
    client.forget();
    client.authenticate("a").await.unwrap();
    assert_eq!(auth.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_revoked_token_dies_within_a_second() {
    let (auth, client) = stage().await;
    client.authenticate("a").await.unwrap();
    let revoked = Instant::now();
    auth.dead.store(true, Ordering::SeqCst);
    let error = loop {
        match client.authenticate("a").await {
            Ok(_) => assert!(revoked.elapsed() < Duration::from_millis(1_100)),
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(error.code, ErrorCode::InvalidCredentials);
    // Refusals are not remembered.
    auth.dead.store(false, Ordering::SeqCst);
    client.authenticate("a").await.unwrap();
}

#[tokio::test]
async fn an_expired_answer_is_not_used() {
    let (auth, client) = stage().await;
    *auth.valid_until.lock().unwrap() = 1;
    assert_eq!(client.authenticate("a").await.unwrap_err().code, ErrorCode::TokenExpired);
}

#[tokio::test]
async fn an_absent_auth_service_is_unavailable_not_a_bad_token() {
    let client =
        AuthClient::new(Channel::local(&LocalSlot::new()), signer(), Arc::new(SystemClock), "gateway");
    let error = client.authenticate("a").await.unwrap_err();
    assert_eq!((error.code, error.retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
}

/// A process that stops drops what its connections run on, while a late request may still want one.
#[test]
fn a_channel_that_takes_no_more_calls_is_an_outage() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let channel = first.block_on(async { Channel::connect_lazy("http://127.0.0.1:9", None) }).unwrap();
    drop(first);
    runtime().block_on(async {
        let mut client = proto::auth::v1::auth_service_client::AuthServiceClient::new(channel);
        let status = client.providers(ProvidersRequest::default()).await.unwrap_err();
        let model::Errors(errors) = rpc::errors(status);
        assert_eq!((errors[0].code, errors[0].retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
    });
}
