//! Ids for spans where nothing is exported: enough to continue a trace, nothing to record one.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Kept with a span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanIds {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl SpanIds {
    /// The start of a trace; marked as sampled, so that a process behind us that does export records it.
    fn root() -> Self {
        let make = RandomIdGenerator::default();
        Self { trace: make.new_trace_id(), span: make.new_span_id(), flags: TraceFlags::SAMPLED }
    }

    fn below(parent: Self) -> Self {
        Self { span: RandomIdGenerator::default().new_span_id(), ..parent }
    }

    /// Goes on with the trace of `parent`.
    pub(crate) fn adopt(&mut self, parent: &SpanContext) {
        self.trace = parent.trace_id();
        self.flags = parent.trace_flags();
    }

    pub(crate) fn context(self) -> SpanContext {
        SpanContext::new(self.trace, self.span, self.flags, false, TraceState::NONE)
    }
}

/// The layer that gives every span its ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdsLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for IdsLayer {
    fn on_new_span(&self, _attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| parent.extensions().get::<SpanIds>().copied());
        span.extensions_mut().insert(parent.map_or_else(SpanIds::root, SpanIds::below));
    }
}
