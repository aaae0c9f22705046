//! A small service behind a real guard, on TCP and in a slot.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::{Runtime, Shutdown};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use model::{Accountability, Error, ErrorCode, SystemClock};
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::events::v1::events_service_server::{EventsService, EventsServiceServer};
use proto::events::v1::{EmitRequest, EmitResponse, EventMessage, GetEventRequest, SubscribeRequest};
use rpc::{Authenticator, Channel, Guard, Identity, LocalSlot, Server, Signer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

pub const SECRET: &str = "a secret of the fleet";
/// The token that the stage's authenticator knows.
pub const TOKEN: &str = "known-token";
/// Positions that make the service misbehave.
pub const PANIC: i64 = -1;
pub const REFUSE: i64 = -2;
pub const HANG: i64 = -3;

#[derive(Debug, Default)]
pub struct Events {
    /// Asked for the answer, when set.
    pub next: Option<EventsServiceClient<Channel>>,
    /// Futures of handlers that are alive.
    pub alive: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn refusal() -> Error {
    Error::invalid_query("for the test").with("value", json!({ "a": [1, 2] }))
}

fn message(position: i64, value: &Value) -> EventMessage {
    EventMessage { position, event: value.to_string().into(), ..Default::default() }
}

#[tonic::async_trait]
impl EventsService for Events {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<EventMessage, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let end = match request.into_inner().after {
            Some(PANIC) => stream::once(async { panic!("in a stream, for the test") }).boxed(),
            Some(REFUSE) => stream::iter([Err(rpc::status(refusal().into()))]).boxed(),
            Some(HANG) => stream::pending().boxed(),
            _ => stream::empty().boxed(),
        };
        let some = stream::iter([1, 2, 3]).map(|position| Ok(message(position, &Value::Null)));
        Ok(Response::new(Box::pin(some.chain(end))))
    }

    /// Tells who called, and in which trace.
    async fn get_event(&self, request: Request<GetEventRequest>) -> Result<Response<EventMessage>, Status> {
        let caller = rpc::caller(&request).clone();
        let position = request.get_ref().position;
        self.alive.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(self.alive.clone());
        match position {
            PANIC => panic!("for the test"),
            REFUSE => return Err(rpc::status(refusal().into())),
            HANG => std::future::pending().await,
            _ => {}
        }
        let trace = chassis::trace::current().map(|parent| parent.as_str().to_owned());
        let mut told = json!({
            "request_id": caller.request_id,
            "accountability": caller.accountability,
            "trace": trace,
        });
        if let Some(next) = &self.next {
            let request = rpc::outgoing(
                &signer(),
                &SystemClock,
                &caller,
                GetEventRequest { position, ..Default::default() },
            );
            let answer = next.clone().get_event(request).await?.into_inner();
            told["next"] = serde_json::from_slice(&answer.event).unwrap();
        }
        Ok(Response::new(message(position, &told)))
    }

    async fn emit(&self, _: Request<EmitRequest>) -> Result<Response<EmitResponse>, Status> {
        Err(Status::unimplemented("not on this stage"))
    }
}

#[derive(Debug)]
pub struct OneToken;

impl Authenticator for OneToken {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, Error>> {
        Box::pin(async move {
            if token == TOKEN {
                let process = Some("forged by a confused authenticator".to_owned());
                let user = Some(uuid::Uuid::from_u128(7));
                Ok(Accountability { user, process, ..Default::default() }.into())
            } else if token.is_empty() {
                Ok(Identity::default())
            } else {
                Err(Error::new(ErrorCode::InvalidCredentials))
            }
        })
    }
}

pub fn signer() -> Signer {
    Signer::new(SECRET)
}

pub struct Stage {
    pub address: SocketAddr,
    pub slot: LocalSlot,
    pub runtime: Runtime,
    pub alive: Arc<AtomicUsize>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(Events::default()).await
    }

    pub async fn with(events: Events) -> Self {
        let _ = telemetry();
        let runtime = Runtime::new(Shutdown::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (slot, alive) = (LocalSlot::new(), events.alive.clone());
        let guard = Guard::new(signer(), Arc::new(SystemClock), Some(Arc::new(OneToken)));
        let server = Server::new(guard)
            .service(EventsServiceServer::new(events))
            .reflection(true)
            .tcp(Some(listener))
            .local(slot.clone());
        let (serving, bound) = (runtime.clone(), slot.clone());
        runtime.tasks.spawn("rpc", async move { rpc::serve(server, &serving).await });
        while !bound.is_bound() {
            tokio::task::yield_now().await;
        }
        Self { address, slot, runtime, alive }
    }

    pub fn remote(&self) -> Channel {
        Channel::connect_lazy(format!("http://{}", self.address), None).unwrap()
    }

    /// The same server by both ways.
    pub fn channels(&self) -> [Channel; 2] {
        [self.remote(), Channel::local(&self.slot)]
    }
}

/// Ids for spans, no exporter.
pub fn telemetry() -> chassis::telemetry::Telemetry {
    let env = chassis::Env::from_pairs([("LOG_LEVEL", "error"), ("LOG_STYLE", "pretty")]);
    let config = chassis::telemetry::TelemetryConfig::from_env(&env, "test").unwrap();
    chassis::telemetry::init(&config).unwrap()
}

pub fn told(answer: Response<EventMessage>) -> Value {
    serde_json::from_slice(&answer.into_inner().event).unwrap()
}
