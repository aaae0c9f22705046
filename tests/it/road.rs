//! The whole road: one item over HTTP, its event, and every effect of it under one trace.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use testkit::CollectedSpan;

use crate::world::{Options, Shape, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

struct Road {
    world: World,
    receiver: testkit::Sink,
    cdn: testkit::Sink,
    collector: testkit::TraceCollector,
    secret: String,
}

async fn road(shape: Shape) -> Road {
    let (receiver, cdn) = (testkit::Sink::start().await, testkit::Sink::start().await);
    let collector = testkit::TraceCollector::start().await;
    let options = Options::default()
        .set("CDN_URL", cdn.url(""))
        .set("EVENTUS_CDN_COLLECTIONS", "articles")
        .set("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles")
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let world = World::with(shape, options).await;
    let fields = json!([{"field": "title", "type": "string"}, {"field": "slug", "type": "string"}]);
    world.collection("articles", fields).await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["items.create"]});
    let endpoint = world.api.post("/webhooks/endpoints", endpoint).await.expect(200).data();
    let secret = endpoint["secret"].as_str().unwrap().to_owned();
    Road { world, receiver, cdn, collector, secret }
}

async fn one_item(shape: Shape) {
    let road = road(shape).await;
    let api = &road.world.api;
    let client = road.world.nats.client().await;
    let mut subscription = client.subscribe("items.create.>").await.unwrap();
    testkit::subscribed(&client).await;
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers: &[(&str, &str)] =
        &[("content-type", "application/json"), ("traceparent", &traceparent), ("x-request-id", "req-1")];
    let body = json!({"title": "Über die Brücke"}).to_string();
    let made = api.raw(http::Method::POST, "/items/articles", headers, body).await.unwrap().expect(200);
    assert_eq!(made.data()["slug"], "uber-die-brucke", "the filter hook has derived it");
    assert_eq!(made.header("x-request-id"), Some("req-1"));
    let message = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "items.create.articles");
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        (&event["key"], &event["version"], &event["request_id"]),
        (&json!("1"), &json!(1), &json!("req-1"))
    );
    assert_eq!(event["payload"]["title"], "Über die Brücke");
    let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().as_str().to_owned();
    assert_eq!((header("ce-type").as_str(), header("ce-subject").as_str()), ("items.create", "1"));
    assert!(header("traceparent").contains(TRACE));
    road.world.quiet(Duration::from_secs(20)).await;
    effects(&road, &event).await;
    spans(&road).await;
}

/// One count, one verified webhook, one purge, one hook run.
async fn effects(road: &Road, event: &Value) {
    let api = &road.world.api;
    let metrics = api.get("/analytics/metrics?collection=articles").await.expect(200).data();
    assert_eq!(metrics.as_array().unwrap().len(), 1, "{metrics}");
    assert_eq!((&metrics[0]["action"], &metrics[0]["count"]), (&json!("create"), &json!(1)));
    let received = road.receiver.wait_for(1, Duration::from_secs(10)).await;
    assert_eq!(received.len(), 1);
    let webhook = Webhook::new(&road.secret).unwrap();
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, received[0].header(name).parse().unwrap());
    }
    webhook.verify(&received[0].body, &headers).unwrap();
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["key"]), (&json!("items.create"), &json!("1")));
    assert!(received[0].header("traceparent").contains(TRACE));
    let purged = road.cdn.wait_for(1, Duration::from_secs(10)).await;
    assert_eq!((purged[0].method.as_str(), purged[0].path.as_str()), ("DELETE", "/purge/1"));
    assert_eq!(purged.len(), 1);
    let id = event["id"].as_str().unwrap();
    let runs = api.get(&format!("/hooks/runs?event_id={id}")).await.expect(200).data();
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!((&runs[0]["hook"], &runs[0]["trace_id"]), (&json!("log_change"), &json!(TRACE)));
    let deliveries = api.get(&format!("/webhooks/deliveries?event_id={id}")).await.expect(200).data();
    assert_eq!((&deliveries[0]["state"], &deliveries[0]["trace_id"]), (&json!("succeeded"), &json!(TRACE)));
}

/// Every process on the road has left a span in the one trace, and the chain of parents has no gap.
async fn spans(road: &Road) {
    let consumers = ["hooks", "analytics", "webhooks", "cdn-purge"];
    let spans = road
        .collector
        .wait_for(Duration::from_secs(20), |spans| {
            let ours: Vec<_> = spans.iter().filter(|span| span.trace_id == TRACE).collect();
            let consumed = |name: &str| {
                ours.iter()
                    .any(|span| span.name.starts_with("consume") && span.attribute("consumer") == Some(name))
            };
            let named = |part: &str| ours.iter().any(|span| span.name.contains(part));
            let roads = ["http", "webhook", "purge", "items.create"];
            consumers.iter().all(|name| consumed(name)) && roads.iter().all(|part| named(part))
        })
        .await;
    let ours: Vec<_> = spans.into_iter().filter(|span| span.trace_id == TRACE).collect();
    for span in &ours {
        let known =
            span.parent_id == "00f067aa0ba902b7" || ours.iter().any(|other| other.span_id == span.parent_id);
        assert!(known, "{}/{} has a parent that nobody exported", span.service, span.name);
    }
    statement(&ours);
}

/// The write's one SQL statement is a span below the rpc: by name, without its text.
fn statement(spans: &[CollectedSpan]) {
    let sql = spans.iter().filter(|span| span.attribute("db.system.name") == Some("postgresql"));
    let [sql] = sql.collect::<Vec<_>>().try_into().expect("one statement makes items, events and answer");
    let parent = spans.iter().find(|span| span.span_id == sql.parent_id).unwrap();
    assert_eq!(
        (sql.name.as_str(), parent.name.as_str(), parent.attribute("rpc.method")),
        ("items.create", "rpc", Some("CreateItems"))
    );
    let told = |name| sql.attribute(name);
    assert_eq!(
        (told("db.operation.name"), told("db.response.returned_rows")),
        (Some("items.create"), Some("1"))
    );
    assert!(sql.attributes.iter().all(|(_, value)| !value.contains("INSERT")), "{sql:?}");
}

#[tokio::test]
async fn an_item_reaches_every_worker() {
    one_item(shape!()).await;
}

/// A body over 256 KiB stays in the log; its message names it, and workers still get it whole.
#[tokio::test]
async fn a_large_item_is_referred_to() {
    let receiver = testkit::Sink::start().await;
    let world = World::with(shape!(), Options::default().set("MAX_PAYLOAD_SIZE", "4mb")).await;
    world.collection("articles", json!([{"field": "content", "type": "text"}])).await;
    let endpoint = json!({"url": receiver.url("/"), "events": ["items.*"]});
    world.api.post("/webhooks/endpoints", endpoint).await.expect(200);
    let client = world.nats.client().await;
    let mut subscription = client.subscribe("items.>").await.unwrap();
    testkit::subscribed(&client).await;
    let text = |letter: &str| letter.repeat(900_000);
    world.api.post("/items/articles?fields=id", json!({"content": text("a")})).await.expect(200);
    for letter in ["b", "c"] {
        world.api.patch("/items/articles/1?fields=id", json!({"content": text(letter)})).await.expect(200);
    }
    for version in 1..=3 {
        let message =
            tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.unwrap().unwrap();
        let headers = message.headers.clone().unwrap();
        let reference = headers.get("ce-dataref").unwrap().as_str();
        assert!(message.payload.len() < 262_144);
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(
            (&event["version"], &event["oversized"], &event["payload"]),
            (&json!(version), &json!(true), &json!(null))
        );
        let whole = world.api.get(reference).await.expect(200).data();
        let letter = ["a", "b", "c"][usize::try_from(version - 1).unwrap()];
        assert_eq!(whole["payload"]["content"], text(letter));
    }
    world.quiet(Duration::from_secs(20)).await;
    let received = receiver.wait_for(3, Duration::from_secs(10)).await;
    assert!(received.iter().all(|request| request.body.len() > 900_000), "webhooks carry the bodies");
}

/// SSE: what was committed, in order, with resume; only for administrators.
#[tokio::test]
async fn live_events_resume_where_they_were_left() {
    let world = World::start(shape!()).await;
    world.collection("articles", json!([{"field": "n", "type": "integer"}])).await;
    world.api.with_token(None).get("/events").await.refused(403, "FORBIDDEN");
    let mut stream = crate::sse::open(&world.api, "/events?collections=articles", None).await;
    for n in 0..5 {
        world.api.post("/items/articles", json!({"n": n})).await.expect(200);
    }
    let mut ids = Vec::new();
    for n in 0..3 {
        let event = stream.next().await;
        assert_eq!((event.name.as_str(), &event.data["payload"]["n"]), ("items.create", &json!(n)));
        ids.push(event.id);
    }
    drop(stream);
    let mut stream = crate::sse::open(&world.api, "/events?collections=articles", Some(&ids[2])).await;
    for n in 3..5 {
        assert_eq!(stream.next().await.data["payload"]["n"], json!(n));
    }
    world.api.delete("/items/articles/1", None).await.expect(204);
    let event = stream.next().await;
    assert_eq!((event.name.as_str(), &event.data["previous"]["n"]), ("items.delete", &json!(0)));
}
