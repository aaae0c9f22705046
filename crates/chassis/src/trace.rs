//! The trace that the present work belongs to, as W3C text.
//!
//! Spans always carry ids: from OpenTelemetry when spans are exported, else from the small layer in `ids`, which
//! costs a fraction of a microsecond. So a `traceparent` reaches the event log and the next process either way.

pub(crate) mod ids;

use http::{HeaderMap, HeaderValue};
use model::TraceParent;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::dispatcher::Dispatch;
use tracing::{Span, span};
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, get_otel_context};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

/// Target of spans that are made only where spans are exported: too many to pay for where nobody looks at them.
/// Elsewhere they cost a glance at a flag, and what happens within them belongs to the span around.
pub const EXPORTED: &str = "eventus::exported";

/// The context of the current span, for whatever is called or written now. `None` outside of every span, and
/// where `telemetry::init` was not called.
pub fn current() -> Option<TraceParent> {
    of(&Span::current())
}

/// The context of this span (or of the nearest span around it that is traced).
pub fn of(span: &Span) -> Option<TraceParent> {
    let context = span.with_subscriber(|(id, dispatch)| lookup(id, dispatch)).flatten()?;
    text(&context)
}

/// Makes the span a child of `parent`, or leaves it where it is. Call it before the span is entered and before it
/// has children.
pub fn continue_from(span: &Span, parent: Option<&TraceParent>) {
    let Some(parent) = parent.and_then(parse) else { return };
    let adopted = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(id)?.extensions_mut().get_mut::<ids::SpanIds>()?.adopt(&parent);
        Some(())
    });
    if let Some(None) = adopted {
        // Refused only where spans are not set up, or the span had begun: then it is in a trace already.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
}

/// A well-formed `traceparent` header.
pub fn from_headers(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// Puts a `traceparent` header: the context of the span, else the one that the work came with.
pub fn to_headers(headers: &mut HeaderMap, span: &Span, origin: Option<&TraceParent>) {
    let parent = of(span).or_else(|| origin.cloned());
    if let Some(value) = parent.and_then(|parent| HeaderValue::from_str(parent.as_str()).ok()) {
        headers.insert("traceparent", value);
    }
}

/// The context of a span, from whichever layer keeps it.
pub(crate) fn lookup(id: &span::Id, dispatch: &Dispatch) -> Option<SpanContext> {
    let registry = dispatch.downcast_ref::<Registry>()?;
    for entry in registry.span(id)?.scope() {
        if let Some(ids) = entry.extensions().get::<ids::SpanIds>() {
            return Some(ids.context());
        }
        if let Some(context) = get_otel_context(&entry.id(), dispatch) {
            let context = context.span().span_context().clone();
            if context.is_valid() {
                return Some(context);
            }
        }
    }
    None
}

fn text(context: &SpanContext) -> Option<TraceParent> {
    TraceParent::of(context.trace_id().to_bytes(), context.span_id().to_bytes(), context.is_sampled())
}

fn parse(parent: &TraceParent) -> Option<SpanContext> {
    let mut parts = parent.as_str().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::NONE))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use model::TraceParent;
    use tracing::{Span, info_span};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{continue_from, current, from_headers, ids::IdsLayer, of, to_headers};

    const INCOMING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced<T>(test: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Registry::default().with(IdsLayer), test)
    }

    #[test]
    fn nothing_is_traced_outside_of_spans_or_without_telemetry() {
        assert_eq!(current(), None);
        assert_eq!(info_span!("alone").in_scope(current), None);
        assert_eq!(traced(current), None);
    }

    #[test]
    fn an_incoming_trace_goes_on_through_inner_spans() {
        traced(|| {
            let span = info_span!("request");
            continue_from(&span, TraceParent::parse(INCOMING).as_ref());
            let (outer, inner) = span.in_scope(|| (current(), info_span!("inner").in_scope(current)));
            let (outer, inner) = (outer.unwrap(), inner.unwrap());
            assert_eq!(outer.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(inner.trace_id(), outer.trace_id());
            assert_ne!(inner, outer);
            assert!(!outer.as_str().contains("00f067aa0ba902b7"), "a span of its own");
        });
    }

    #[test]
    fn what_is_not_sampled_stays_so() {
        traced(|| {
            let span = info_span!("request");
            continue_from(&span, TraceParent::parse(&INCOMING.replace("-01", "-00")).as_ref());
            assert!(span.in_scope(current).unwrap().as_str().ends_with("-00"));
        });
    }

    #[test]
    fn without_an_incoming_trace_each_root_begins_its_own() {
        traced(|| {
            let root = || {
                let span = info_span!(parent: None, "request");
                continue_from(&span, None);
                span.in_scope(current).unwrap()
            };
            let (one, two) = (root(), root());
            assert_ne!(one.trace_id(), two.trace_id());
            assert!(one.as_str().ends_with("-01"));
        });
    }

    #[test]
    fn headers_are_taken_only_when_well_formed() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(from_headers(&headers), None);
        headers.insert("traceparent", "00-xyz".parse().unwrap());
        assert_eq!(from_headers(&headers), None);
        headers.insert("traceparent", INCOMING.parse().unwrap());
        assert_eq!(from_headers(&headers).unwrap().as_str(), INCOMING);
    }

    #[test]
    fn headers_carry_the_span_else_the_origin() {
        let origin = TraceParent::parse(INCOMING);
        let put = |span: &Span| {
            let mut headers = http::HeaderMap::new();
            to_headers(&mut headers, span, origin.as_ref());
            from_headers(&headers).unwrap()
        };
        assert_eq!(put(&Span::none()).as_str(), INCOMING);
        traced(|| {
            let span = info_span!(parent: None, "attempt");
            continue_from(&span, origin.as_ref());
            assert_eq!(put(&span), of(&span).unwrap());
            assert_ne!(put(&span).as_str(), INCOMING);
        });
    }

    #[test]
    fn a_request_pays_microseconds() {
        traced(|| {
            let mut headers = http::HeaderMap::new();
            headers.insert("traceparent", INCOMING.parse().unwrap());
            let rounds = 2_000;
            let best = (0..5).map(|_| {
                let started = Instant::now();
                for _ in 0..rounds {
                    let span: Span = info_span!(parent: None, "rpc", rpc.service = "s", rpc.method = "m");
                    continue_from(&span, from_headers(&headers).as_ref());
                    span.in_scope(current).unwrap();
                }
                started.elapsed() / rounds
            });
            let best = best.min().unwrap();
            println!("{best:?} per request");
            // Unoptimised and on a busy machine; the figure that matters is that of a release build.
            assert!(best.as_micros() < 100, "{best:?}");
        });
    }
}
