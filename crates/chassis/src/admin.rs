//! The admin port: what operators and Kubernetes ask. Open to whoever reaches it, so it listens inside only.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::health::State;
use crate::{Health, Shutdown, metrics};

/// Serves `/metrics`, `/health/live`, `/health/ready`, `/health/startup` until the hard stop: probes and metrics
/// are wanted while the process drains. Start it with `Tasks::spawn_to_the_end`.
pub async fn serve(listener: TcpListener, health: Health, shutdown: Shutdown) -> std::io::Result<()> {
    let app = Router::new()
        .route("/metrics", get(render))
        .route("/health/live", get(|Shared(health)| answer(health, |_| true)))
        .route("/health/ready", get(|Shared(health)| answer(health, Health::ready)))
        .route("/health/startup", get(|Shared(health)| answer(health, Health::started)))
        .with_state(health);
    tokio::select! {
        result = axum::serve(listener, app) => result,
        () = shutdown.hard().cancelled() => Ok(()),
    }
}

async fn render() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render()).into_response()
}

async fn answer(health: Health, fine: fn(&Health) -> bool) -> Response {
    let (code, status) = match fine(&health) {
        true if health.warnings().is_empty() => (StatusCode::OK, "ok"),
        true => (StatusCode::OK, "warn"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "error"),
    };
    let body = json!({ "status": status, "checks": checks(&health) });
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Name -> `{"status":"ok"}`, or `error` or `warn` with a `reason`; of components with one name the worst.
fn checks(health: &Health) -> Map<String, Value> {
    let mut checks = Map::new();
    if health.is_draining() {
        checks.insert("process".to_owned(), json!({ "status": "error", "reason": "draining" }));
    }
    for (name, state) in health.report() {
        match state {
            State::Down(reason) => {
                checks.insert(name, json!({ "status": "error", "reason": reason }));
            }
            State::Up => {
                checks.entry(name).or_insert_with(|| json!({ "status": "ok" }));
            }
        }
    }
    for (name, reason) in health.warnings() {
        if checks.get(&name).is_some_and(|check| check["status"] == "ok") {
            checks.insert(name, json!({ "status": "warn", "reason": reason }));
        }
    }
    checks
}
