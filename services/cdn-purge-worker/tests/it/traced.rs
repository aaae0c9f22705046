//! The spans of purges.

use chassis::Env;
use chassis::telemetry::{self, TelemetryConfig};
use testkit::{PATIENCE, TRACE, TraceCollector, process};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_a_span_under_the_write() {
    let collector = TraceCollector::start().await;
    let env = Env::from_pairs([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())]);
    let telemetry = telemetry::init(&TelemetryConfig::from_env(&env, "cdn-purge").unwrap()).unwrap();
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    world.append("items.update", &["7"]).await;
    let request = world.cdn.wait_for(1, PATIENCE).await.remove(0);
    world.settled().await;
    process::stop(&worker).await;
    telemetry.shutdown().await;
    let spans = collector.wait_for(PATIENCE, |spans| spans.iter().any(|span| span.name == "cdn purge")).await;
    let span = spans.iter().find(|span| span.name == "cdn purge").unwrap();
    assert_eq!((span.trace_id.as_str(), span.parent_id.as_str()), (&TRACE[3..35], &TRACE[36..52]));
    assert_eq!(span.attribute("purge.target"), Some("7"));
    assert_eq!(span.attribute("http.response.status_code"), Some("200"));
    assert_eq!(request.header("traceparent"), format!("00-{}-{}-01", span.trace_id, span.span_id));
}
