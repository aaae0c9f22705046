//! Events of one's own: through the log, on their subject, to everybody who listens; never a change of an item.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::sse;
use crate::world::World;

const SOON: Duration = Duration::from_secs(20);

async fn articles(world: &World) {
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"title": "one"})).await.expect(200);
}

#[tokio::test]
async fn a_custom_event_reaches_everybody() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    articles(&world).await;
    let receiver = testkit::Sink::start().await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["custom.article.*"]});
    api.post("/webhooks/endpoints", endpoint).await.expect(200);
    let client = world.nats.client().await;
    let mut subscription = client.subscribe("custom.>").await.unwrap();
    testkit::subscribed(&client).await;
    let mut live = sse::open(api, "/events?events=custom.article.*", None).await;
    let tag = api.get("/items/articles/1").await.expect(200).header("etag").map(str::to_owned);
    let activity = api.get("/activity?aggregate[count]=*").await.expect(200).text;

    api.post("/events", json!({"event": "custom.other"})).await.expect(200);
    let body = json!({"event": "custom.article.delete", "payload": {"price": 1.5, "by": "hand"},
        "collection": "articles", "key": "1"});
    let made = api.post("/events", body).await.expect(200).data();
    let position = made["position"].as_i64().unwrap();

    let event = api.get(&format!("/events/{position}")).await.expect(200).data();
    let expected = [
        ("id", made["id"].clone()),
        ("name", json!("custom.article.delete")),
        ("collection", json!("articles")),
        ("key", json!("1")),
        ("version", json!(0)),
        ("payload", json!({"price": 1.5, "by": "hand"})),
        ("silent", json!(false)),
        ("depth", json!(0)),
    ];
    for (name, value) in expected {
        assert_eq!(event[name], value, "{name} of {event}");
    }
    assert!(event["user"].is_string() && event["request_id"].is_string());
    let seen = live.next().await;
    assert_eq!((seen.name.as_str(), &seen.data["id"]), ("custom.article.delete", &made["id"]));
    let first = tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap();
    assert_eq!(first.subject.as_str(), "custom.other");
    assert!(first.headers.as_ref().unwrap().get("ce-subject").is_none());
    let message = tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "custom.article.delete");
    let body: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&body["id"], &body["payload"]), (&made["id"], &event["payload"]));
    let received = receiver.wait_for(1, SOON).await;
    let sent: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!((&sent["type"], &sent["data"]["id"]), (&json!("custom.article.delete"), &made["id"]));

    // Whatever it is called, the item is what it was.
    world.quiet(SOON).await;
    assert_eq!(receiver.wait_for(1, SOON).await.len(), 1);
    let read = api.get("/items/articles/1").await.expect(200);
    assert_eq!(read.header("etag").map(str::to_owned), tag);
    assert_eq!(api.get("/activity?aggregate[count]=*").await.expect(200).text, activity);
    assert_eq!(api.get("/items/articles/1/history").await.expect(200).data().as_array().unwrap().len(), 1);
    let then = api.get(&format!("/items/articles?as_of={position}")).await.expect(200);
    assert_eq!(then.data(), json!([{"id": 1, "title": "one"}]));
}

#[tokio::test]
async fn large_payloads_travel_by_reference_and_causes_are_counted() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let text = "x".repeat(300 * 1024);
    let made =
        api.post("/events", json!({"event": "custom.large", "payload": {"text": text}})).await.expect(200);
    let position = made.data()["position"].as_i64().unwrap();
    world.quiet(SOON).await;
    let stream = async_nats::jetstream::new(world.nats.client().await).get_stream("EVENTS").await.unwrap();
    let message = stream.get_last_raw_message_by_subject("custom.large").await.unwrap();
    let reference = message.headers.get("ce-dataref").unwrap().as_str();
    assert_eq!(reference, format!("/events/{position}"));
    assert!(message.payload.len() < 2_000);
    assert_eq!(api.get(reference).await.expect(200).data()["payload"]["text"], text);

    let mut cause = made.data();
    for depth in 1..=50 {
        let body = json!({"event": "custom.echo", "cause": cause["position"]});
        let echo = api.post("/events", body).await.expect(200).data();
        if depth == 1 {
            let event = api.get(&format!("/events/{}", echo["position"])).await.expect(200).data();
            assert_eq!((&event["causation_id"], &event["depth"]), (&cause["id"], &json!(1)));
        }
        cause = echo;
    }
    let endless = json!({"event": "custom.echo", "cause": cause["position"]});
    api.post("/events", endless).await.refused(422, "UNPROCESSABLE_CONTENT");
}

#[tokio::test]
async fn what_is_no_custom_event_is_refused() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    articles(&world).await;
    world.quiet(SOON).await;
    let count = "SELECT count(*) FROM eventus.events";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&world.pool().await).await.unwrap();
    let long = format!("custom.{}", "a".repeat(128));
    for name in [
        "",
        "custom",
        "custom.",
        "items.create",
        "custom.a b",
        "custom.A",
        "custom.*",
        "custom.>",
        "custom..a",
        "custom.ä",
        "customs.a",
        &long,
    ] {
        api.post("/events", json!({"event": name})).await.refused(400, "INVALID_PAYLOAD");
    }
    let bad = [
        json!({}),
        json!([{"event": "custom.a"}]),
        json!({"event": 1}),
        json!({"event": "custom.a", "payload": [1]}),
        json!({"event": "custom.a", "payload": "x"}),
        json!({"event": "custom.a", "payload": {"a\u{0}": 1}}),
        json!({"event": "custom.a", "silent": true}),
        json!({"event": "custom.a", "key": "1"}),
        json!({"event": "custom.a", "collection": "articles", "key": "a\nb"}),
        json!({"event": "custom.a", "collection": "articles", "key": "k".repeat(256)}),
        json!({"event": "custom.a", "cause": 999_999}),
        json!({"event": "custom.a", "cause": -1}),
    ];
    for body in bad {
        api.post("/events", body).await.refused(400, "INVALID_PAYLOAD");
    }
    let nowhere = json!({"event": "custom.a", "collection": "nowhere", "key": "1"});
    api.post("/events", nowhere).await.refused(403, "FORBIDDEN");
    let huge = json!({"event": "custom.a", "payload": {"text": "x".repeat(1_100_000)}});
    let refused = api.post("/events", huge).await;
    assert!([400, 413].contains(&refused.status), "{}", refused.text);
    world.user("reader@example.com", "token-of-a-reader").await;
    for token in [None, Some("token-of-a-reader")] {
        let other = api.with_token(token);
        other.post("/events", json!({"event": "custom.a"})).await.refused(403, "FORBIDDEN");
    }
    let after: i64 = sqlx::query_scalar(count).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(after, before);
}
