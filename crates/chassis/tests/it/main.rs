//! The chassis from outside: probes over real HTTP, signals to a real process.

use std::time::Duration;

use chassis::telemetry::{self, TelemetryConfig};
use chassis::{BoxError, Env, Runtime, Shutdown, admin, trace};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

const SOON: Duration = Duration::from_secs(5);

async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn probe(address: std::net::SocketAddr, path: &str) -> (u16, Value) {
    let (code, body) = get(address, path).await;
    (code, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn probes_follow_the_life_of_a_process() {
    let runtime = Runtime::new(Shutdown::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = admin::serve(listener, runtime.health.clone(), runtime.shutdown.clone());
    runtime.tasks.spawn_to_the_end("admin", serving);
    let db = runtime.health.component("db");
    let worker = runtime.shutdown.soft().clone();
    runtime.tasks.spawn("worker", async move {
        worker.cancelled().await;
        Ok::<(), BoxError>(())
    });

    assert_eq!(probe(address, "/health/live").await.0, 200);
    assert_eq!(probe(address, "/health/startup").await.0, 503);
    let starting =
        json!({ "status": "error", "checks": { "db": { "status": "error", "reason": "starting" } } });
    assert_eq!(probe(address, "/health/ready").await, (503, starting));
    db.up();
    let ok = json!({ "status": "ok", "checks": { "db": { "status": "ok" } } });
    assert_eq!(probe(address, "/health/ready").await, (200, ok));
    assert_eq!(probe(address, "/health/startup").await.0, 200);
    db.down("refused");
    assert_eq!(probe(address, "/health/ready").await.0, 503);
    assert_eq!(probe(address, "/health/startup").await.0, 200);
    db.up();

    chassis::metrics::counter("eventus_test_total", "For the test.", &[])
        .with_label_values::<&str>(&[])
        .inc();
    let (code, text) = get(address, "/metrics").await;
    assert_eq!(code, 200);
    assert!(text.contains("eventus_test_total 1"), "{text}");

    runtime.shutdown.begin();
    timeout(SOON, runtime.health.watch().wait_for(|ready| !ready)).await.unwrap().unwrap();
    let (code, body) = probe(address, "/health/ready").await;
    assert_eq!((code, &body["checks"]["process"]["reason"]), (503, &json!("draining")));
    assert_eq!(probe(address, "/health/live").await.0, 200, "lives while it drains");
    timeout(SOON, runtime.tasks.drain()).await.expect("does not wait for the admin port");
    runtime.shutdown.begin_hard();
    assert!(runtime.tasks.failure().is_none());
}

#[tokio::test]
async fn the_first_signal_is_soft_the_second_hard() {
    let shutdown = Shutdown::new();
    shutdown.on_signals(Duration::from_secs(3_600)).unwrap();
    signal("TERM").await;
    timeout(SOON, shutdown.soft().cancelled()).await.unwrap();
    assert!(!shutdown.hard().is_cancelled());
    signal("INT").await;
    timeout(SOON, shutdown.hard().cancelled()).await.unwrap();
}

#[tokio::test]
async fn the_hard_stop_follows_the_soft_one_after_the_grace() {
    let shutdown = Shutdown::new();
    shutdown.on_signals(Duration::from_millis(20)).unwrap();
    shutdown.begin();
    timeout(SOON, shutdown.hard().cancelled()).await.unwrap();
}

async fn signal(name: &str) {
    let pid = std::process::id().to_string();
    let done = tokio::process::Command::new("sh")
        .args(["-c", &format!("kill -s {name} {pid}")])
        .status()
        .await
        .unwrap();
    assert!(done.success());
}

/// Spans for exporters only are not made where nothing is exported, whatever the log's level.
#[test]
fn a_span_that_nobody_gets_is_not_made() {
    let env = Env::from_pairs([("LOG_LEVEL", "debug")]);
    telemetry::init(&TelemetryConfig::from_env(&env, "test").unwrap()).unwrap();
    assert_eq!(LevelFilter::current(), LevelFilter::DEBUG, "what is finer is refused at a glance");
    tracing::info_span!("request").in_scope(|| {
        let span = tracing::info_span!(target: chassis::trace::EXPORTED, "statement");
        assert!(span.is_disabled());
        let around = trace::current().unwrap();
        assert_eq!(
            span.in_scope(trace::current),
            Some(around),
            "what happens within belongs to the span around"
        );
    });
}
