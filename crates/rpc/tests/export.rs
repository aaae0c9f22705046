//! Spans as a collector gets them: one trace through two processes, ours only. A binary of its own, since there is
//! one exporter per process.

use std::sync::{Arc, Mutex};

use chassis::telemetry::{self, TelemetryConfig};
use chassis::{Env, Runtime, Shutdown};
use model::SystemClock;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use proto::analytics::v1::MetricsRequest;
use proto::analytics::v1::MetricsResponse;
use proto::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use proto::analytics::v1::analytics_service_server::{AnalyticsService, AnalyticsServiceServer};
use rpc::{Caller, Channel, Guard, LocalSlot, Server, Signer};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let name = attributes.iter().find(|pair| pair.key == "service.name");
            let name = format!("{:?}", name.and_then(|pair| pair.value.clone()));
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| (name.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[derive(Debug)]
struct Analytics(Option<AnalyticsServiceClient<Channel>>);

#[tonic::async_trait]
impl AnalyticsService for Analytics {
    async fn metrics(&self, request: Request<MetricsRequest>) -> Result<Response<MetricsResponse>, Status> {
        let caller = rpc::caller(&request).clone();
        let Some(next) = &self.0 else { return Err(rpc::status(model::Error::internal().into())) };
        let work = async {
            tracing::debug_span!("too fine").in_scope(|| ());
            let request = rpc::outgoing(&signer(), &SystemClock, &caller, MetricsRequest::default());
            next.clone().metrics(request).await
        };
        work.instrument(tracing::info_span!("work")).await
    }
}

fn signer() -> Signer {
    Signer::new("secret")
}

async fn process(runtime: &Runtime, next: Option<AnalyticsServiceClient<Channel>>) -> (Channel, LocalSlot) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = Channel::connect_lazy(format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    let slot = LocalSlot::new();
    let server = Server::new(Guard::new(signer(), Arc::new(SystemClock), None))
        .service(AnalyticsServiceServer::new(Analytics(next)))
        .tcp(Some(listener))
        .local(slot.clone());
    let serving = runtime.clone();
    runtime.tasks.spawn("rpc", async move { rpc::serve(server, &serving).await });
    while !slot.is_bound() {
        tokio::task::yield_now().await;
    }
    (channel, slot)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_a_call_over_two_processes_arrive_as_one_trace() {
    let runtime = Runtime::new(Shutdown::new());
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collecting = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    runtime.tasks.spawn_to_the_end("collector", collecting);

    // The log is off: what is exported does not depend on it.
    let env = Env::from_pairs([
        ("LOG_LEVEL", "off"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "eventus-test"),
    ]);
    let telemetry = telemetry::init(&TelemetryConfig::from_env(&env, "eventus").unwrap()).unwrap();

    let (_, last) = process(&runtime, None).await;
    let (first, _) = process(&runtime, Some(AnalyticsServiceClient::new(Channel::local(&last)))).await;
    let mut request =
        rpc::outgoing(&signer(), &SystemClock, &Caller::process("x"), MetricsRequest::default());
    let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", incoming.parse().unwrap());
    AnalyticsServiceClient::new(first).metrics(request).await.unwrap_err();
    telemetry.shutdown().await;

    let mut spans = std::mem::take(&mut *collector.0.lock().unwrap());
    spans.sort_by_key(|(_, span)| span.start_time_unix_nano);
    let names: Vec<&str> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    assert_eq!(names, ["rpc", "work", "rpc"], "ours and nothing else");
    let mut parent = "00f067aa0ba902b7".to_owned();
    for (service, span) in &spans {
        assert!(service.contains("eventus-test"), "{service}");
        assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(hex(&span.parent_span_id), parent, "{}", span.name);
        parent = hex(&span.span_id);
    }
    let told = format!("{:?}", spans[0].1.attributes);
    assert!(told.contains("rpc.service") && told.contains("eventus.analytics.v1.AnalyticsService"), "{told}");
    assert!(told.contains("rpc.grpc.status_code"), "{told}");
    assert_eq!((spans[0].1.kind, spans[0].1.status.as_ref().map(|status| status.code)), (2, Some(2)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
