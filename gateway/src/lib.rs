//! The public door: HTTP and SSE in, gRPC out. It keeps nothing but a memory of tokens that is never older than a
//! second, decides nothing about items, and passes JSON through as bytes.
//!
//! A request's way: `listen` (connection) -> `edge` (request id, trace, CORS, limits, log) -> `routes` (one file per
//! group of endpoints, whose handlers extract, call, map, return) -> `answer` or `failure` (envelopes).

mod answer;
mod authenticate;
mod body;
mod caller;
mod client;
mod config;
mod cookie;
mod cors;
mod document;
mod edge;
mod export;
mod failure;
mod limits;
mod listen;
mod origin;
mod path;
mod precaution;
mod queries;
mod read_query;
mod routes;
mod state;
mod streamed;
mod token;

use std::sync::Arc;

use model::{Clock, Ids};
use tokio::net::TcpListener;

pub use config::{Config, CookieConfig, CorsConfig, CorsOrigin, SameSite, TrustProxy};

/// What the gateway is handed to speak with.
#[derive(Debug, Clone)]
pub struct Links {
    /// For the word that something has changed; polling covers for it.
    pub bus: bus::Bus,
    /// Signs who acts.
    pub signer: rpc::Signer,
    /// items-service: items, schema, events.
    pub items: rpc::Channel,
    /// auth-service.
    pub auth: rpc::Channel,
    /// hooks-worker.
    pub hooks: rpc::Channel,
    /// analytics-worker.
    pub analytics: rpc::Channel,
    /// webhooks-worker.
    pub webhooks: rpc::Channel,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Request ids.
    pub ids: Arc<dyn Ids>,
}

/// The gateway can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener broke.
    #[error("HTTP listener")]
    Listen(#[from] std::io::Error),
}

/// Serves HTTP until the soft stop, then finishes what runs. Ready as soon as the auth service has answered once.
///
/// # Errors
/// The listener is unusable.
pub async fn run(
    config: Config,
    links: Links,
    listener: TcpListener,
    runtime: chassis::Runtime,
) -> Result<(), Error> {
    let known = runtime.health.component("auth");
    let serving = runtime.health.component("http");
    let gateway = state::Gateway::new(config, links, &runtime);
    let router = routes::router(gateway.clone());
    serving.up();
    let serving = listen::serve(listener, router, gateway.clone(), runtime.clone());
    let work = async move {
        let done = serving.await;
        runtime.tasks.drain().await;
        done
    };
    // Tokens and limits are looked after until the last request is answered.
    tokio::select! {
        done = work => done.map_err(Error::from),
        never = gateway.keep_limits() => match never {},
        never = gateway.authenticator.keep_fresh(&gateway.bus, known) => match never {},
    }
}
