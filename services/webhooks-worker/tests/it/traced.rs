//! The spans of deliveries.

use chassis::Env;
use chassis::telemetry::{self, TelemetryConfig};
use testkit::{Answer, PATIENCE, Sink, TRACE, TraceCollector};

use crate::world::{World, config};

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_a_span_under_the_write() {
    let collector = TraceCollector::start().await;
    let env = Env::from_pairs([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]);
    let telemetry = telemetry::init(&TelemetryConfig::from_env(&env, "webhooks").unwrap()).unwrap();
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    sink.answer(|_, number| Answer::status(if number == 0 { 500 } else { 200 }));
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 1..2).await;
    let delivery = worker.until(&endpoint, "succeeded", 1).await.remove(0);
    worker.stop().await;
    telemetry.shutdown().await;

    let is_attempt = |name: &str| name == "webhook attempt";
    let spans = collector
        .wait_for(PATIENCE, |spans| spans.iter().filter(|span| is_attempt(&span.name)).count() == 2)
        .await;
    let attempts: Vec<_> = spans.iter().filter(|span| is_attempt(&span.name)).collect();
    for (span, status, number, request) in [(attempts[0], "500", "1", 0), (attempts[1], "200", "2", 1)]
        .map(|(span, status, number, index)| (span, status, number, sink.requests().remove(index)))
    {
        assert_eq!((span.trace_id.as_str(), span.parent_id.as_str()), (&TRACE[3..35], &TRACE[36..52]));
        assert_eq!(span.attribute("webhook.id"), Some(delivery.id.as_str()));
        assert_eq!(span.attribute("webhook.endpoint"), Some(endpoint.id.as_str()));
        assert_eq!(span.attribute("http.response.status_code"), Some(status));
        assert_eq!(span.attribute("webhook.attempt"), Some(number));
        // The receiver's work would be a child of this span.
        assert_eq!(request.header("traceparent"), format!("00-{}-{}-01", span.trace_id, span.span_id));
    }
}
