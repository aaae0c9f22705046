//! The trace collector gets what an exporter sends.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[tokio::test]
async fn exported_spans_are_kept() {
    let collector = testkit::TraceCollector::start().await;
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        name: "create".to_owned(),
        attributes: vec![attribute("collection", "articles")],
        ..Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", "items")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let mut client = TraceServiceClient::connect(collector.endpoint()).await.unwrap();
    client.export(request).await.unwrap();
    let trace_id = "ab".repeat(16);
    collector.wait_for(super::DEADLINE, |spans| spans.len() == 1).await;
    let spans = collector.trace(&trace_id);
    assert_eq!((spans[0].service.as_str(), spans[0].name.as_str()), ("items", "create"));
    assert_eq!(
        (spans[0].parent_id.as_str(), spans[0].attribute("collection")),
        ("0202020202020202", Some("articles"))
    );
}
