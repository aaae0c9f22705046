//! Credentials -> accountability: logins, sessions, tokens.
//!
//! One file per operation (`login`, `refresh`, `logout`, `authenticate`, `control`); `sso` lets providers
//! vouch for users, `session` holds the rule of rotation, `access` the one statement that says who holds what, `bootstrap`
//! makes the first admin. Security: SECRET signs access tokens by HS256, unless private keys are given; refresh and static
//! tokens are stored hashed.

mod access;
mod api_keys;
mod attempts;
mod authenticate;
mod bootstrap;
mod config;
mod control;
mod error;
mod events;
mod grpc;
mod hashes;
mod invite;
mod last_access;
mod links;
mod login;
mod logout;
mod mail;
mod page;
mod password;
mod people;
mod refresh;
mod register;
mod second_factor;
mod session;
mod setup;
mod shares;
mod sso;
mod state;
mod token;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use model::{Clock, Ids};
use proto::accounts::v1::accounts_service_server::AccountsServiceServer;
use proto::auth::v1::api_key_service_server::ApiKeyServiceServer;
use proto::auth::v1::auth_service_server::AuthServiceServer;

pub use bootstrap::{Bootstrapped, FirstAdmin, Given, PUBLIC_POLICY, bootstrap};
pub use config::{Config, LinkConfig, MailConfig, Secret, SmtpConfig};
pub use error::Error;
pub use links::Allowed;
pub use rpc::Face;
pub use secrets::HashCost;
pub use sso::SsoConfig;
use state::State;

/// What the auth service works with.
#[derive(Clone)]
pub struct Links {
    /// PostgreSQL.
    pub db: db::Db,
    /// For pings.
    pub bus: bus::Bus,
    /// items-service, which writes users.
    pub items: rpc::Channel,
    /// Signs and verifies accountability between processes.
    pub signer: rpc::Signer,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
}

/// How often `last_access` is written, and how often ended sessions are forgotten.
const WRITE_SEEN: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(600);

/// Runs the service until the soft stop and what runs then is done.
///
/// # Errors
/// The configuration does not fit or the gRPC face broke.
pub async fn run(config: Config, links: Links, face: Face, runtime: Runtime) -> Result<(), Error> {
    let ready = runtime.health.component("auth");
    let state = Arc::new(State::try_new(config, &links)?);
    if config_is_weak(&state.config) {
        tracing::warn!("SECRET is shorter than 32 characters: whoever guesses it is admin");
    }
    match db::wait_migrated(&links.db, &runtime.shutdown).await {
        Err(db::Error::Stopped) => return Ok(()),
        waited => waited?,
    }
    runtime.tasks.spawn("auth-last-access", write_seen(state.clone(), runtime.clone()));
    runtime.tasks.spawn("auth-limits", keep_limits(state.clone(), runtime.clone()));
    runtime.tasks.spawn("auth-sweep", sweep(state.clone(), runtime.clone()));
    start_mail(&state, &runtime);
    let own = rpc::AuthClient::new(
        rpc::Channel::local(&face.local),
        links.signer.clone(),
        links.clock.clone(),
        "auth",
    );
    let guard = rpc::Guard::new(links.signer, links.clock, Some(Arc::new(own)));
    let server = rpc::Server::new(guard)
        .service(AuthServiceServer::new(grpc::Service(state.clone())))
        .service(ApiKeyServiceServer::new(grpc::ApiKeys(state.clone())))
        .service(AccountsServiceServer::new(grpc::Accounts(state.clone())))
        .face(face);
    ready.up();
    rpc::serve(server, &runtime).await?;
    runtime.tasks.drain().await;
    Ok(())
}

/// Starts what sends mail, or says that nothing does.
fn start_mail(state: &Arc<State>, runtime: &Runtime) {
    if !state.post.sends() {
        tracing::info!("EMAIL_TRANSPORT is not set: mails are kept, not sent");
    } else if !state.config.links.public_url.starts_with("http") {
        tracing::warn!("PUBLIC_URL is no address: links in mails lead nowhere");
    }
    let sending = mail::Sending(state.clone());
    runtime.tasks.spawn("auth-mail", due::run(sending.clone(), runtime.clone()));
    runtime
        .tasks
        .spawn("auth-mail-pruning", due::forget(sending, state.config.mail.retention, runtime.clone()));
}

fn config_is_weak(config: &Config) -> bool {
    config.secret.expose().len() < 32
}

async fn write_seen(state: Arc<State>, runtime: Runtime) -> Result<(), Error> {
    loop {
        let stopping = pause(&runtime, WRITE_SEEN).await;
        for seen in [&state.seen, &state.keys_seen] {
            if let Err(error) = seen.write(&state.db).await {
                tracing::debug!(%error, "last access not written");
            }
        }
        if stopping {
            return Ok(());
        }
    }
}

/// Until the last request is answered.
async fn keep_limits(state: Arc<State>, runtime: Runtime) -> Result<(), Error> {
    tokio::select! {
        never = state.attempts.keep() => match never {},
        () = runtime.shutdown.soft().cancelled() => Ok(()),
    }
}

async fn sweep(state: Arc<State>, runtime: Runtime) -> Result<(), Error> {
    while !pause(&runtime, SWEEP).await {
        if let Err(error) = shares::attempts::sweep(&state.db, state.clock.now()).await {
            tracing::debug!(%error, "old attempts not forgotten");
        }
        match session::sweep(&state.db, state.clock.now()).await {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "ended sessions forgotten"),
            Err(error) => tracing::debug!(%error, "ended sessions not forgotten"),
        }
        let swept =
            async { Ok::<_, Error>((attempts::sweep(&state.db).await?, mail::sweep(&state.db).await?)) };
        match swept.await {
            Ok((_, 0)) => {}
            Ok((_, mails)) => tracing::warn!(mails, "mails given up: nothing sent them in time"),
            Err(error) => tracing::debug!(%error, "old attempts and mails not swept"),
        }
    }
    Ok(())
}

/// Waits; true when the soft stop came first.
async fn pause(runtime: &Runtime, time: Duration) -> bool {
    tokio::time::timeout(time, runtime.shutdown.soft().cancelled()).await.is_ok()
}
