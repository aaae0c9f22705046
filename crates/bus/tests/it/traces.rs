//! Spans of a consumer: one per event, in the trace of the write that made it.

use std::sync::{Arc, Mutex};

use bus::{Failure, Handler};
use chassis::telemetry::{self, TelemetryConfig};
use model::Event;
use testkit::TraceCollector;

use crate::world::{Memory, SOON, World, quick};

/// Remembers the trace that it ran in, per call.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<(usize, String)>>>);

impl Handler for Traces {
    async fn handle(&self, events: &[Event]) -> Result<(), Failure> {
        let trace = chassis::trace::current().map(|parent| parent.trace_id().to_owned());
        self.0.lock().unwrap().push((events.len(), trace.unwrap_or_default()));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_a_span_in_the_trace_of_its_write() {
    let collector = TraceCollector::start().await;
    let env = chassis::Env::from_pairs([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("LOG_LEVEL", "silent".to_owned()),
    ]);
    let telemetry = telemetry::init(&TelemetryConfig::from_env(&env, "test").unwrap()).unwrap();
    let mut world = World::new().await;
    // Published before it is consumed, so that batches form.
    world.relay().await;
    world.log.fill(40, 4);
    let handler = Traces::default();
    let (bus, memory) = (world.bus().await, Memory::of(&world.log));
    let (own, component) = (handler.clone(), chassis::Health::new().component("consumer"));
    world.tasks.spawn(async move {
        let config = quick(|config| config.lanes = 2);
        bus::consumer::run(bus, config, memory, own, chassis::Shutdown::new(), component).await.unwrap();
    });
    testkit::eventually(SOON, || async {
        handler.0.lock().unwrap().iter().map(|(events, _)| events).sum::<usize>() == 40
    })
    .await;
    telemetry.shutdown().await;
    for position in 1..=40 {
        let trace = collector.trace(&format!("{position:032x}"));
        let span = trace.iter().find(|span| span.name == "consume items.update").expect("a span");
        assert_eq!(span.parent_id, format!("{position:016x}"));
        assert_eq!(span.attribute("event.position"), Some(position.to_string().as_str()));
        assert_eq!(span.attribute("consumer"), Some("worker"));
    }
    for (events, trace) in handler.0.lock().unwrap().iter().filter(|(events, _)| *events == 1) {
        assert!(trace.starts_with("0000"), "{events} in {trace}");
    }
}
