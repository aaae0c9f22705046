//! How the peers are, asked by gRPC health v1 and remembered for a second, so that asking often costs nothing.

use std::time::Duration;

use axum::response::Response;
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use rpc::Channel;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::answer;
use crate::state::Gateway;

/// How long an answer is believed, and how long a peer may take.
const SECOND: Duration = Duration::from_secs(1);

/// What was last found. One request at a time asks anew.
#[derive(Debug, Default)]
pub struct Health {
    last: Mutex<Option<(Instant, Report)>>,
}

/// How everything is.
#[derive(Debug, Clone)]
pub struct Report {
    status: &'static str,
    checks: Map<String, Value>,
}

impl Health {
    /// Asks every peer, or remembers.
    pub async fn read(&self, gateway: &Gateway) -> Report {
        let mut last = self.last.lock().await;
        if let Some((_, report)) = last.as_ref().filter(|(at, _)| at.elapsed() < SECOND) {
            return report.clone();
        }
        let checks = gateway.peers().map(|(name, channel, needed)| async move {
            let (fine, took) = check(channel).await;
            (name, fine, took, needed)
        });
        let mut report = Report { status: "ok", checks: Map::new() };
        for (name, fine, took, needed) in join_all(checks).await {
            report.note(name, fine, took, needed);
        }
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

impl Report {
    /// A peer that is away is an error when nothing works without it, else a warning.
    fn note(&mut self, name: &str, fine: bool, took: Duration, needed: bool) {
        let status = match (fine, needed) {
            (true, _) => "ok",
            (false, true) => "error",
            (false, false) => "warn",
        };
        self.status = match (self.status, status) {
            ("error", _) | (_, "error") => "error",
            ("warn", _) | (_, "warn") => "warn",
            _ => "ok",
        };
        let check = json!([{
            "status": status, "componentType": "component", "observedUnit": "ms",
            "observedValue": took.as_secs_f64() * 1_000.0, "threshold": SECOND.as_millis(),
        }]);
        self.checks.insert(format!("{name}:responseTime"), check);
    }

    /// 200, or 503 when something needed is away.
    pub fn answer(&self, all: bool) -> Response {
        let mut body = json!({ "status": self.status });
        if all {
            body["releaseId"] = Value::from(env!("CARGO_PKG_VERSION"));
            body["serviceId"] = Value::from("gateway");
            body["checks"] = Value::Object(self.checks.clone());
        }
        let mut response = answer::respond(body.to_string());
        let kind = HeaderValue::from_static("application/health+json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        if self.status == "error" {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

async fn check(channel: Channel) -> (bool, Duration) {
    let started = Instant::now();
    let mut client = HealthClient::new(channel);
    let asked = timeout(SECOND, client.check(HealthCheckRequest::default())).await;
    let fine = asked.is_ok_and(|answer| {
        answer.is_ok_and(|answer| answer.into_inner().status == i32::from(ServingStatus::Serving))
    });
    (fine, started.elapsed())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Map;

    use super::Report;

    #[test]
    fn only_what_is_needed_makes_an_error() {
        let mut report = Report { status: "ok", checks: Map::new() };
        report.note("items", true, Duration::from_millis(2), true);
        assert_eq!((report.status, report.answer(false).status().as_u16()), ("ok", 200));
        report.note("hooks", false, Duration::from_millis(2), false);
        assert_eq!((report.status, report.answer(false).status().as_u16()), ("warn", 200));
        report.note("auth", false, Duration::from_millis(2), true);
        report.note("analytics", true, Duration::from_millis(2), false);
        assert_eq!((report.status, report.answer(true).status().as_u16()), ("error", 503));
    }
}
