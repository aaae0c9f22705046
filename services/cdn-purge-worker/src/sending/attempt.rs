//! One request to the CDN: `DELETE {CDN_URL}/purge/{key}`, and what its answer means.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, StatusCode};
use outbound::backoff::{self, Failure};
use outbound::{Request, Response};
use tracing::{Instrument as _, Span, field};

use crate::sending::claim::Purge;
use crate::sending::record::{self, Outcome, Verdict};
use crate::state::State;

/// A `Retry-After` counts up to this.
const LONGEST_HOLD: Duration = Duration::from_secs(300);

/// Sends the request and records what came of it, in the trace of the write.
pub(super) async fn run(state: &State, purge: &Purge) {
    let span = tracing::info_span!(
        parent: None,
        "purge",
        otel.name = "cdn purge",
        otel.kind = "client",
        otel.status_code = field::Empty,
        purge.id = purge.id,
        purge.target = purge.target,
        event.id = %purge.event_id,
        event.position = purge.position,
        purge.attempt = purge.attempts + 1,
        http.response.status_code = field::Empty,
    );
    chassis::trace::continue_from(&span, purge.traceparent.as_ref());
    attempt(state, purge, &span).instrument(span.clone()).await;
}

async fn attempt(state: &State, purge: &Purge, span: &Span) {
    let begun = Instant::now();
    let (status, class, verdict) = match state.cdn.url.join(&["purge", &purge.target]) {
        Ok(url) => {
            let (method, headers, body) = (Method::DELETE, headers(state, purge, span), Bytes::new());
            judge(
                state,
                purge,
                state.outbound.send(Request { method, url, headers, body, deadline: None }).await,
            )
        }
        // A key that makes a URL too long.
        Err(error) => (0, error.class.as_str(), Verdict::Failed),
    };
    let outcome = Outcome { status, class, verdict };
    span.record("http.response.status_code", status);
    if verdict != Verdict::Succeeded {
        span.record("otel.status_code", "ERROR");
    }
    let took = begun.elapsed();
    state.metrics.attempted(if verdict == Verdict::Succeeded { "succeeded" } else { class }, took);
    log(purge, &outcome, took);
    record::record(state, purge, &outcome).await;
}

fn headers(state: &State, purge: &Purge, span: &Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(token) = &state.cdn.token {
        headers.insert(AUTHORIZATION, token.header());
    }
    chassis::trace::to_headers(&mut headers, span, purge.traceparent.as_ref());
    headers
}

/// What an answer, or none, means: its status, the class of the failure, what is to become of the purge.
fn judge(
    state: &State,
    purge: &Purge,
    answer: Result<Response, outbound::Error>,
) -> (u16, &'static str, Verdict) {
    let (status, class, failure) = match answer {
        // What the CDN does not have it need not forget.
        Ok(response) if response.status.is_success() || response.status == StatusCode::NOT_FOUND => {
            return (response.status.as_u16(), "", Verdict::Succeeded);
        }
        Ok(response) => {
            (response.status.as_u16(), "status", Failure::of_response(&response, state.clock.now()))
        }
        Err(error) => (0, error.class.as_str(), Failure::of_error(error)),
    };
    let number = usize::try_from(purge.attempts).unwrap_or_default() + 1;
    let Some(delay) = state.schedule.next(number, &failure, backoff::draw(state.ids.as_ref())) else {
        return (status, class, Verdict::Failed);
    };
    // There is one receiver for all: what it asks for one purge holds for the others too.
    let asked = failure.retry_after.map(|asked| asked.min(LONGEST_HOLD));
    if let Some(asked) = asked.or((status == 429).then_some(state.schedule.overload)) {
        state.hold(asked);
    }
    (status, class, Verdict::Again(delay.max(asked.unwrap_or_default())))
}

fn log(purge: &Purge, outcome: &Outcome, took: Duration) {
    let Purge { id, target, event_id, position, attempts, .. } = purge;
    let (attempt, status, error) = (attempts + 1, outcome.status, outcome.class);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    macro_rules! line {
        ($level:ident, $($more:tt)+) => {
            tracing::$level!(purge = id, target = target, %event_id, position, attempt, status, error, duration_ms, $($more)+)
        };
    }
    match outcome.verdict {
        Verdict::Succeeded => line!(info, "purged"),
        Verdict::Again(after) => line!(warn, again_in_s = after.as_secs_f64(), "purge failed"),
        Verdict::Failed => line!(error, "purge given up"),
    }
}
