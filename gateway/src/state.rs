//! What every request needs, built once, cheap to clone.

use std::ops::Deref;
use std::sync::Arc;

use chassis::metrics::{self, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use model::{Clock, Ids};
use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use proto::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use proto::auth::v1::api_key_service_client::ApiKeyServiceClient;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::history::v1::history_service_client::HistoryServiceClient;
use proto::hooks::v1::hooks_service_client::HooksServiceClient;
use proto::imports::v1::imports_service_client::ImportsServiceClient;
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::{
    CreateItemsRequest, DeleteItemsRequest, DeleteItemsResponse, ReadItemRequest, ReadItemResponse,
    ReadItemsRequest, ReadItemsResponse, UpdateItemsRequest, WriteItemsResponse,
};
use proto::schema::v1::schema_service_client::SchemaServiceClient;
use proto::upkeep::v1::upkeep_service_client::UpkeepServiceClient;
use proto::webhooks::v1::webhooks_service_client::WebhooksServiceClient;
use rpc::{Channel, MAX_MESSAGE, Signer};
use tonic::{Response, Status};

use crate::authenticate::Authenticator;
use crate::caller::Caller;
use crate::config::Config;
use crate::cors::Cors;
use crate::limits::Limits;
use crate::queries::Queries;
use crate::routes::events::Streams;
use crate::routes::server::{Health, Project};
use crate::{Links, origin};

/// The gateway's state. Clones share it.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

/// See [`Gateway`].
#[derive(Debug)]
pub struct Inner {
    pub config: Config,
    pub cors: Cors,
    /// `None`: requests are not limited.
    pub limits: Option<Limits>,
    /// Origin of `PUBLIC_URL`, when it is a whole URL.
    pub public_origin: Option<String>,
    pub bus: bus::Bus,
    pub authenticator: Authenticator,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub runtime: chassis::Runtime,
    /// Places for event streams.
    pub streams: Streams,
    pub metrics: Metrics,
    pub health: Health,
    pub project: Project,
    /// Query strings that were read before.
    pub queries: Queries,
    signer: Signer,
    channels: Channels,
}

#[derive(Debug)]
struct Channels {
    items: Channel,
    auth: Channel,
    hooks: Channel,
    analytics: Channel,
    webhooks: Channel,
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    pub requests: IntCounterVec,
    pub seconds: HistogramVec,
    pub streams: IntGauge,
    pub slow_streams: IntCounter,
}

impl Metrics {
    fn new() -> Self {
        let labels = ["method", "route", "status"];
        let streams = metrics::gauge("eventus_sse_connections", "Open event streams.", &[]);
        let slow =
            metrics::counter("eventus_sse_slow_total", "Event streams closed as nobody read them.", &[]);
        Self {
            requests: metrics::counter("eventus_http_requests_total", "Requests by outcome.", &labels),
            seconds: metrics::histogram(
                "eventus_http_seconds",
                "Time until the answer began.",
                &labels[..2],
                metrics::SECONDS,
            ),
            streams: streams.with_label_values::<&str>(&[]),
            slow_streams: slow.with_label_values::<&str>(&[]),
        }
    }
}

impl Deref for Gateway {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident $client:ident $peer:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> $client<Channel> {
                $client::new(self.channels.$peer.clone())
                    .max_decoding_message_size(MAX_MESSAGE)
                    .max_encoding_message_size(MAX_MESSAGE)
            }
        )+
    };
}

impl Gateway {
    /// Needs a tokio runtime.
    pub fn new(config: Config, links: Links, runtime: &chassis::Runtime) -> Self {
        let Links { bus, signer, items, auth, hooks, analytics, webhooks, clock, ids } = links;
        let authenticator = Authenticator::new(auth.clone(), signer.clone(), clock.clone(), config.tokens);
        let inner = Inner {
            cors: Cors::new(config.cors.clone()),
            limits: Limits::of(&config.limits),
            public_origin: origin::of_url(&config.public_url),
            streams: Streams::new(items.clone(), config.streams, config.streams_each),
            metrics: Metrics::new(),
            health: Health::default(),
            project: Project::default(),
            queries: Queries::default(),
            runtime: runtime.clone(),
            channels: Channels { items, auth, hooks, analytics, webhooks },
            config,
            bus,
            authenticator,
            clock,
            ids,
            signer,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Holds what limits are kept in, for as long as it is polled.
    pub async fn keep_limits(&self) -> std::convert::Infallible {
        match &self.limits {
            Some(limits) => limits.keep().await,
            None => std::future::pending().await,
        }
    }

    clients! {
        /// Items.
        items ItemsServiceClient items,
        /// Collections, fields, relations.
        schema SchemaServiceClient items,
        /// The event log.
        events EventsServiceClient items,
        /// What happened to items.
        history HistoryServiceClient items,
        /// The log and its consumers, for operators.
        upkeep UpkeepServiceClient items,
        /// Files of items.
        imports ImportsServiceClient items,
        /// Logins.
        auth AuthServiceClient auth,
        /// Keys for programs.
        api_keys ApiKeyServiceClient auth,
        /// What people do with their accounts.
        accounts AccountsServiceClient auth,
        /// Runs of hooks.
        hooks HooksServiceClient hooks,
        /// Reports.
        analytics AnalyticsServiceClient analytics,
        /// Endpoints and deliveries.
        webhooks WebhooksServiceClient webhooks,
    }

    /// A message on behalf of a caller. Nothing that the client sent goes along but what `caller` says.
    pub fn call<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        rpc::outgoing(&self.signer, &*self.clock, caller, message)
    }

    /// A message of the gateway's own.
    pub fn own<T>(&self, message: T) -> tonic::Request<T> {
        rpc::outgoing(&self.signer, &*self.clock, &rpc::Caller::process("gateway"), message)
    }

    /// Every peer by name, and whether nothing works without it.
    pub fn peers(&self) -> [(&'static str, Channel, bool); 5] {
        let Channels { items, auth, hooks, analytics, webhooks } = &self.channels;
        [
            ("items", items.clone(), true),
            ("auth", auth.clone(), true),
            ("hooks", hooks.clone(), false),
            ("analytics", analytics.clone(), false),
            ("webhooks", webhooks.clone(), false),
        ]
    }
}

/// Methods of the items service that bear the load: plain calls where it is in this process, else carried by a stream
/// where it knows that.
macro_rules! items {
    ($($(#[$doc:meta])+ $method:ident $path:literal $request:ident $response:ident,)+) => {
        impl Gateway {
            $(
                $(#[$doc])+
                ///
                /// # Errors
                /// Those of the items service.
                pub async fn $method(&self, caller: &Caller, message: $request) -> Result<$response, Status> {
                    if let Some(method) = self.channels.items.direct() {
                        return method.call(caller.0.clone(), message).await;
                    }
                    let path = concat!("/eventus.items.v1.ItemsService/", $path);
                    let items = &self.channels.items;
                    if let Some(answer) = items.carry(path, &self.signer, &*self.clock, caller, &message).await {
                        return answer;
                    }
                    self.items().$method(self.call(caller, message)).await.map(Response::into_inner)
                }
            )+
        }
    };
}

items! {
    /// One item.
    read_item "ReadItem" ReadItemRequest ReadItemResponse,
    /// A list of items.
    read_items "ReadItems" ReadItemsRequest ReadItemsResponse,
    /// New items.
    create_items "CreateItems" CreateItemsRequest WriteItemsResponse,
    /// Changes of items.
    update_items "UpdateItems" UpdateItemsRequest WriteItemsResponse,
    /// Items that go.
    delete_items "DeleteItems" DeleteItemsRequest DeleteItemsResponse,
}
