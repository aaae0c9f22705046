//! One auth service with a database and a nats-server of its own.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use auth_service::{Bootstrapped, Config, Error, Face, FirstAdmin, Given, Links, Secret};
use bus::Pings;
use chassis::{Runtime, Shutdown};
use db::Db;
use futures_util::StreamExt;
use model::{Accountability, Clock, ErrorCode, Errors, RandomIds};
use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use proto::accounts::v1::{EnableSecondFactorRequest, GenerateSecondFactorRequest};
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, ControlRequest, ControlResponse, LoginRequest, LogoutRequest,
    LogoutResponse, RefreshRequest, TokensResponse,
};
use rpc::{Caller, Channel, LocalSlot};
use testkit::{PATIENCE, TestClock, process};
use time::OffsetDateTime;
use uuid::Uuid;

pub const SECRET: &str = "a secret of at least thirty-two characters";
pub const ADMIN: &str = "admin@example.com";
pub const PASSWORD: &str = "correct horse battery staple";
pub const TOKEN: &str = "admin-static-token";

pub struct World {
    pub admin: Uuid,
    client: AuthServiceClient<Channel>,
    accounts: AccountsServiceClient<Channel>,
    clock: TestClock,
    runtime: Runtime,
    servers: testkit::World,
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(result: Result<T, Errors>) -> ErrorCode {
    result.expect_err("a refusal").0[0].code
}

impl World {
    /// With an admin.
    pub async fn new() -> Self {
        let mut world = Self::bare().await;
        let token = Given::Is(Secret::new(TOKEN));
        let password = Given::Is(Secret::new(PASSWORD));
        let made = world.bootstrap(&FirstAdmin { email: ADMIN.into(), password, token }).await.unwrap();
        world.admin = made.admin.unwrap();
        world
    }

    /// Without anybody.
    pub async fn bare() -> Self {
        let servers = testkit::World::start("auth-test").await;
        let clock = TestClock::default();
        let runtime = Runtime::new(Shutdown::new());
        let links = Links {
            db: servers.db.clone(),
            bus: servers.bus.clone(),
            // Nobody writes users here.
            items: Channel::local(&LocalSlot::new()),
            signer: servers.signer.clone(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(RandomIds),
        };
        let local = LocalSlot::new();
        let client = AuthServiceClient::new(Channel::local(&local));
        let accounts = AccountsServiceClient::new(Channel::local(&local));
        let face = Face { grpc: None, local: local.clone() };
        runtime.tasks.spawn("auth", auth_service::run(Config::new(SECRET), links, face, runtime.child()));
        testkit::eventually(PATIENCE, || async { local.is_bound() }).await;
        Self { admin: Uuid::nil(), client, accounts, clock, runtime, servers }
    }

    /// Stops softly; nothing may have died.
    pub async fn stop(self) {
        process::stop(&self.runtime).await;
    }

    pub async fn bootstrap(&self, admin: &FirstAdmin) -> Result<Bootstrapped, Error> {
        auth_service::bootstrap(&self.servers.db, admin, &RandomIds).await
    }

    pub fn pool(&self) -> &Db {
        &self.servers.db
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.pool()).await.unwrap();
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        self.servers.number(sql).await
    }

    /// Waits until a count is reached.
    pub async fn until(&self, sql: &'static str, expected: i64) {
        self.servers.until(sql, expected).await;
    }

    /// One more user, without a role.
    pub async fn user(&self, email: &str, password: &str) -> Uuid {
        let id = model::Ids::random(&RandomIds);
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash: PasswordHash = argon.hash_password(password.as_bytes()).unwrap();
        sqlx::query("INSERT INTO directus_users (id, email, password) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(email)
            .bind(hash.to_string())
            .execute(self.pool())
            .await
            .unwrap();
        id
    }

    fn request<T>(&self, accountability: Accountability, message: T) -> tonic::Request<T> {
        let caller = Caller { request_id: Some("request-1".into()), accountability, silent: false };
        rpc::outgoing(&self.servers.signer, &self.clock, &caller, message)
    }

    /// Somebody at the gateway's door.
    fn stranger(&self) -> Accountability {
        let (ip, user_agent) = (Some("203.0.113.7".into()), Some("tests".into()));
        Accountability { ip, user_agent, ..Accountability::default() }
    }

    /// With a one-time password.
    pub async fn login_with(&self, email: &str, password: &str, otp: &str) -> Result<TokensResponse, Errors> {
        let (email, password, otp) = (email.into(), password.into(), Some(otp.into()));
        let message = LoginRequest { email, password, otp, session_token: false };
        answer(self.client.clone().login(self.request(self.stranger(), message)).await)
    }

    /// The accounts of whoever this is.
    pub async fn generate_secret(&self, who: Accountability, password: &str) -> Result<String, Errors> {
        let message = GenerateSecondFactorRequest { password: password.into() };
        let made = self.accounts.clone().generate_second_factor(self.request(who, message)).await;
        answer(made).map(|made| made.secret)
    }

    /// Sets his secret.
    pub async fn enable(&self, who: Accountability, secret: &str, otp: &str) -> Result<(), Errors> {
        let message = EnableSecondFactorRequest { secret: secret.into(), otp: otp.into() };
        answer(self.accounts.clone().enable_second_factor(self.request(who, message)).await).map(drop)
    }

    async fn login_as(&self, email: &str, password: &str, session: bool) -> Result<TokensResponse, Errors> {
        let message = LoginRequest {
            email: email.into(),
            password: password.into(),
            otp: None,
            session_token: session,
        };
        answer(self.client.clone().login(self.request(self.stranger(), message)).await)
    }

    pub async fn login(&self, email: &str, password: &str) -> Result<TokensResponse, Errors> {
        self.login_as(email, password, false).await
    }

    pub async fn login_session(&self, email: &str, password: &str) -> Result<TokensResponse, Errors> {
        self.login_as(email, password, true).await
    }

    async fn refresh_as(&self, token: &str, session_token: bool) -> Result<TokensResponse, Errors> {
        let message = RefreshRequest { refresh_token: token.into(), session_token };
        answer(self.client.clone().refresh(self.request(self.stranger(), message)).await)
    }

    pub async fn refresh(&self, token: &str) -> Result<TokensResponse, Errors> {
        self.refresh_as(token, false).await
    }

    pub async fn refresh_session(&self, token: &str) -> Result<TokensResponse, Errors> {
        self.refresh_as(token, true).await
    }

    pub async fn logout(&self, token: &str) -> Result<LogoutResponse, Errors> {
        let message = LogoutRequest { refresh_token: token.into() };
        answer(self.client.clone().logout(self.request(self.stranger(), message)).await)
    }

    pub async fn authenticate(&self, token: &str) -> Result<AuthenticateResponse, Errors> {
        self.authenticate_as(Accountability::process("gateway"), token).await
    }

    pub async fn authenticate_as(
        &self,
        accountability: Accountability,
        token: &str,
    ) -> Result<AuthenticateResponse, Errors> {
        let message = AuthenticateRequest { token: token.into() };
        answer(self.client.clone().authenticate(self.request(accountability, message)).await)
    }

    pub async fn versions_as(&self, accountability: Accountability) -> Result<ControlResponse, Errors> {
        answer(self.client.clone().control(self.request(accountability, ControlRequest {})).await)
    }

    /// Asked by an internal client outside the fleet.
    pub async fn versions_by_bearer(&self, token: &str) -> Result<ControlResponse, Errors> {
        let mut request = tonic::Request::new(ControlRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        answer(self.client.clone().control(request).await)
    }

    /// The version of a topic.
    pub async fn control(&self, topic: &str) -> i64 {
        self.versions_as(Accountability::process("gateway")).await.unwrap().versions[topic]
    }

    /// Listens to pings of `control` from now on.
    pub async fn pings(&self) -> Listening {
        Listening(self.servers.pings("control").await)
    }
}

/// Pings to come.
pub struct Listening(Pings);

impl Listening {
    pub async fn arrive(&mut self) {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a ping").unwrap();
    }
}

fn answer<T>(result: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Errors> {
    result.map(tonic::Response::into_inner).map_err(rpc::errors)
}
