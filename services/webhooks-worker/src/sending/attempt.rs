//! One attempt at a delivery: load, sign, post, record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use outbound::backoff::{self, Failure};
use outbound::sign::{Secret, SignError};
use outbound::{Class, Request, Response, Url};
use time::OffsetDateTime;
use tracing::{Instrument as _, Span, field};

use crate::message;
use crate::sending::claim::Delivery;
use crate::sending::record::{self, Outcome, Verdict};
use crate::sending::slots::Slot;
use crate::state::State;

/// Makes the attempt and records what came of it, in the trace of the write.
pub(super) async fn run(state: Arc<State>, delivery: Delivery, slot: Slot) {
    let span = tracing::info_span!(
        parent: None,
        "webhook_attempt",
        otel.name = "webhook attempt",
        otel.kind = "client",
        otel.status_code = field::Empty,
        webhook.id = %delivery.id,
        webhook.endpoint = %delivery.endpoint,
        webhook.event = delivery.event,
        webhook.attempt = delivery.attempts + 1,
        http.response.status_code = field::Empty,
    );
    chassis::trace::continue_from(&span, delivery.traceparent.as_ref());
    attempt(&state, &delivery, slot, &span).instrument(span.clone()).await;
}

async fn attempt(state: &State, delivery: &Delivery, slot: Slot, span: &Span) {
    let begun = Instant::now();
    let (status, class, verdict) = match prepare(state, delivery, span).await {
        Ok(request) => {
            faults::point(faults::Point::BeforeAttempt);
            let answer = state.outbound.send(request).await;
            faults::point(faults::Point::AfterAttempt);
            judge(state, delivery, answer, &slot)
        }
        Err(Trouble::Hopeless(class)) => (0, class, Verdict::Failed),
        // Nobody has tried anything: it is as if it had not been taken, a little later.
        Err(Trouble::Away(error)) => {
            tracing::warn!(webhook_id = %delivery.id, %error, "a webhook delivery can't be prepared");
            return;
        }
    };
    let outcome = Outcome { status, class, took: begun.elapsed(), verdict };
    span.record("http.response.status_code", status);
    if outcome.verdict != Verdict::Succeeded {
        span.record("otel.status_code", "ERROR");
    }
    let label = if outcome.verdict == Verdict::Succeeded { "succeeded" } else { class };
    state.metrics.attempted(label, outcome.took);
    log(delivery, &outcome);
    // Another attempt may begin while this one is written down, unless nothing more is wanted there.
    let _held = (outcome.verdict == Verdict::Gone).then_some(slot);
    record::record(state, delivery, &outcome).await;
}

/// Why there is no request.
enum Trouble {
    /// What we need ourselves is away.
    Away(event_store::Error),
    /// There will never be one; with the class that the attempt gets.
    Hopeless(&'static str),
}

async fn prepare(state: &State, delivery: &Delivery, span: &Span) -> Result<Request, Trouble> {
    let stored = state.log.get(delivery.position).await.map_err(|error| match error {
        event_store::Error::Corrupt { .. } => Trouble::Hopeless("event_unreadable"),
        error => Trouble::Away(error),
    })?;
    let stored = stored.ok_or(Trouble::Hopeless("event_missing"))?;
    let invalid = |_| Trouble::Hopeless(Class::Invalid.as_str());
    let body = message::body(&stored.event).map_err(|_| Trouble::Hopeless("event_unreadable"))?;
    let headers = headers(delivery, state.clock.now(), span, &body).map_err(invalid)?;
    let url = Url::parse(&delivery.url).map_err(|_| Trouble::Hopeless(Class::Invalid.as_str()))?;
    Ok(Request { method: Method::POST, url, headers, body, deadline: None })
}

fn headers(
    delivery: &Delivery,
    now: OffsetDateTime,
    span: &Span,
    body: &Bytes,
) -> Result<HeaderMap, SignError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    chassis::trace::to_headers(&mut headers, span, delivery.traceparent.as_ref());
    Secret::parse(&delivery.secret)?.sign(&mut headers, &delivery.id.to_string(), now, body)?;
    Ok(headers)
}

/// What an answer, or none, means: its status, the class of the failure, what is to become of the delivery.
fn judge(
    state: &State,
    delivery: &Delivery,
    answer: Result<Response, outbound::Error>,
    slot: &Slot,
) -> (u16, &'static str, Verdict) {
    let (status, class, failure) = match answer {
        Ok(response) if response.status.is_success() => {
            slot.answered();
            return (response.status.as_u16(), "", Verdict::Succeeded);
        }
        Ok(response) if response.status == StatusCode::GONE => {
            slot.answered();
            return (response.status.as_u16(), "status", Verdict::Gone);
        }
        Ok(response) => {
            (response.status.as_u16(), "status", Failure::of_response(&response, state.clock.now()))
        }
        Err(error) => (0, error.class.as_str(), Failure::of_error(error)),
    };
    if status == 0 && class != Class::Blocked.as_str() || failure.overloaded {
        slot.unanswered();
    } else {
        slot.answered();
    }
    let number = usize::try_from(delivery.attempts).unwrap_or_default() + 1;
    let next = state.schedule.next(number, &failure, backoff::draw(state.ids.as_ref()));
    (status, class, next.map_or(Verdict::Failed, Verdict::Again))
}

fn log(delivery: &Delivery, outcome: &Outcome) {
    let Delivery { id, endpoint, event, position, attempts, .. } = delivery;
    let (attempt, status, error) = (attempts + 1, outcome.status, outcome.class);
    let duration_ms = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
    let again = |after: Duration| after.as_secs_f64();
    macro_rules! line {
        ($level:ident, $($more:tt)+) => {
            tracing::$level!(webhook_id = %id, %endpoint, event, position, attempt, status, error, duration_ms, $($more)+)
        };
    }
    match outcome.verdict {
        Verdict::Succeeded => line!(info, "webhook delivered"),
        Verdict::Again(after) => line!(warn, again_in_s = again(after), "webhook attempt failed"),
        Verdict::Failed => line!(error, "webhook delivery given up"),
        Verdict::Gone => line!(warn, "webhook endpoint is gone and gets disabled"),
    }
}
