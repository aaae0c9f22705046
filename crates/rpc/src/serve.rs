//! Puts the services of a process on the network and into its slot, behind its guard.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chassis::{Runtime, Shutdown};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use prost::Message;
use proto::calls::v1::calls_service_server::CallsServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service;

use crate::carry::Calls;
use crate::direct::Directs;
use crate::health::Reporter;
use crate::{Caller, Error, Guard, LocalSlot, Tls};

/// What a process serves, and where.
#[derive(Debug)]
pub struct Server {
    guard: Guard,
    routes: Routes,
    directs: Directs,
    names: Vec<&'static str>,
    reflection: bool,
    tcp: Option<TcpListener>,
    local: Option<LocalSlot>,
}

/// Where a process is called.
#[derive(Debug, Default)]
pub struct Face {
    /// gRPC on the network.
    pub grpc: Option<TcpListener>,
    /// gRPC within the process.
    pub local: LocalSlot,
}

impl Server {
    /// Nothing yet, behind this guard.
    pub fn new(guard: Guard) -> Self {
        let (routes, directs) = (Routes::default(), Directs::default());
        Self { guard, routes, directs, names: Vec::new(), reflection: false, tcp: None, local: None }
    }

    /// One more service (`ItemsServiceServer::new(..)`).
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Offers a method beside its service to callers within the process without gRPC, and to other processes on streams
    /// (`eventus.calls.v1`): `path` is `/package.Service/Method`, and what it does must be what the service's method does.
    #[must_use]
    pub fn direct<Q: Message + Default + 'static, A: Message + 'static>(
        mut self,
        path: &str,
        work: impl Fn(Caller, Q) -> BoxFuture<'static, Result<A, Status>> + Send + Sync + 'static,
    ) -> Self {
        self.directs.add(path, work);
        self
    }

    /// Whether anyone may ask what the services look like (gRPC reflection v1 and v1alpha).
    #[must_use]
    pub fn reflection(mut self, on: bool) -> Self {
        self.reflection = on;
        self
    }

    /// On the network, if there is a listener.
    #[must_use]
    pub fn tcp(mut self, listener: Option<TcpListener>) -> Self {
        self.tcp = listener;
        self
    }

    /// For callers within the process.
    #[must_use]
    pub fn local(mut self, slot: LocalSlot) -> Self {
        self.local = Some(slot);
        self
    }

    /// Both, as the process was told.
    #[must_use]
    pub fn face(self, face: Face) -> Self {
        self.tcp(face.grpc).local(face.local)
    }

    /// The services with health, and reflection if it is wanted.
    fn assemble(&mut self, health: &chassis::Health) -> Result<Routes, Error> {
        common_services(std::mem::take(&mut self.routes), &self.names, self.reflection, health)
    }
}

/// Adds health v1 and, where it is wanted, reflection of the named services.
pub(crate) fn common_services(
    routes: Routes,
    names: &[&'static str],
    reflection: bool,
    health: &chassis::Health,
) -> Result<Routes, Error> {
    let reporter = Reporter { health: health.clone(), services: names.to_vec() };
    let routes = routes.add_service(HealthServer::new(reporter));
    if !reflection {
        return Ok(routes);
    }
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    Ok(routes
        .add_service(builder().build_v1().map_err(Error::Reflection)?)
        .add_service(builder().build_v1alpha().map_err(Error::Reflection)?))
}

/// Serves until the soft stop, then lets what runs finish; the hard stop ends it at once. A slot stays bound: who
/// drains may still need us. Streams without end have to watch the soft stop themselves.
pub async fn serve(mut server: Server, runtime: &Runtime) -> Result<(), Error> {
    if !server.directs.is_empty() {
        let (guard, directs) = (server.guard.clone(), Arc::new(server.directs.clone()));
        let calls = Calls { guard, directs, runtime: runtime.clone() };
        server = server.service(CallsServiceServer::new(calls).max_decoding_message_size(crate::MAX_MESSAGE));
    }
    let routes = server.assemble(&runtime.health)?.prepare();
    if let Some(slot) = &server.local {
        slot.put(Some(server.guard.clone()), routes.clone(), server.directs.clone());
    }
    let shutdown = &runtime.shutdown;
    let Some(listener) = server.tcp else {
        shutdown.soft().cancelled().await;
        return Ok(());
    };
    let guarded = Guarded { guard: server.guard, routes, hard: shutdown.hard().clone() };
    on_tcp(guarded, listener, None, shutdown).await
}

/// Serves HTTP/2 until the soft stop, then lets what runs finish; the hard stop ends it at once.
pub(crate) async fn on_tcp<S>(
    service: S,
    listener: TcpListener,
    tls: Option<&Tls>,
    shutdown: &Shutdown,
) -> Result<(), Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let incoming =
        TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(Duration::from_secs(30)));
    let mut server = tonic::transport::Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls.server()).map_err(Error::Serve)?;
    }
    let serving = server
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 22)
        .max_concurrent_streams(crate::CALLS_AT_A_TIME)
        .serve_with_incoming_shutdown(service, incoming, shutdown.soft().clone().cancelled_owned());
    tokio::select! {
        result = serving => result.map_err(Error::Serve),
        () = shutdown.hard().cancelled() => Ok(()),
    }
}

/// The services behind their guard, as one service.
#[derive(Debug, Clone)]
struct Guarded {
    guard: Guard,
    routes: Routes,
    hard: CancellationToken,
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = self.guard.clone().call(self.routes.clone(), request);
        let hard = self.hard.clone();
        // Connections live on tasks of their own: without this they would outlive the hard stop.
        Box::pin(async move {
            tokio::select! {
                response = call => Ok(response),
                () = hard.cancelled() => Ok(Status::unavailable("stopping").into_http()),
            }
        })
    }
}
