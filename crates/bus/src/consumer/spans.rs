//! The spans of a call of the handler: one per event, each in the trace of the write that made the event.

use model::Event;
use tracing::Span;

/// Spans that are open during one call.
pub(super) struct Spans {
    spans: Vec<Span>,
    around: Span,
}

impl Spans {
    pub(super) fn open(consumer: &str, events: &[Event]) -> Self {
        let spans: Vec<Span> = events.iter().map(|event| span(consumer, event)).collect();
        // The handler's own spans belong to the write's trace when there is one write only; those of a mixed
        // batch belong to nobody, so they get a span of their own.
        let trace = |event: &Event| event.traceparent.as_ref().map(|parent| parent.trace_id().to_owned());
        let one = events.windows(2).all(|pair| trace(&pair[0]) == trace(&pair[1]));
        let around = match spans.first() {
            Some(first) if one => first.clone(),
            _ => tracing::info_span!(
                parent: None,
                "consume_batch",
                otel.name = format!("consume batch {consumer}"),
                otel.kind = "consumer",
                consumer,
                events = events.len(),
            ),
        };
        Self { spans, around }
    }

    /// The span that the handler runs in.
    pub(super) fn around(&self) -> Span {
        self.around.clone()
    }

    /// The call failed.
    pub(super) fn failed(&self) {
        for span in self.spans.iter().chain([&self.around]) {
            span.record("otel.status_code", "ERROR");
        }
    }
}

fn span(consumer: &str, event: &Event) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "consume",
        otel.name = format!("consume {}", event.name),
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        consumer,
        event.id = %event.id,
        event.position = event.position,
    );
    chassis::trace::continue_from(&span, event.traceparent.as_ref());
    span
}
