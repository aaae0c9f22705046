//! Requests that we are made to send: to whom they never go.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Options, World};

const SOON: Duration = Duration::from_secs(20);

/// Addresses of ourselves and of private networks, in plain and in disguise.
const NOWHERE: [&str; 32] = [
    "http://127.0.0.1/",
    "http://127.9.9.9/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::]/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1%25eth0]/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://localhost./",
    "http://user@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http://１２７.0.0.1/",
    "http://example.com/\r\nX-Injected: 1",
    "https:example.com",
    "//example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
];

/// The one delivery, once it was tried.
async fn tried(world: &World) -> Value {
    let pick = || async {
        let all = world.api.get("/webhooks/deliveries").await.expect(200).data();
        all.get(0).filter(|one| one["attempts"].get(0).is_some()).cloned()
    };
    testkit::eventually_some(SOON, pick).await
}

#[tokio::test]
async fn an_endpoint_is_nowhere_near_us() {
    // Allowed is a network that nobody has, so that loopback is not.
    let world = World::with(shape!(), Options::default().set("EVENTUS_OUTBOUND_ALLOW", "192.0.2.0/24")).await;
    let api = &world.api;
    let good = json!({"url": "http://example.com/", "events": ["auth.login"]});
    let good = api.post("/webhooks/endpoints", good).await.expect(200).data();
    let path = format!("/webhooks/endpoints/{}", good["id"].as_str().unwrap());
    for url in NOWHERE {
        let refused = api.post("/webhooks/endpoints", json!({"url": url, "events": ["*"]})).await;
        refused.refused(400, "INVALID_PAYLOAD");
        api.patch(&path, json!({"url": url})).await.refused(400, "INVALID_PAYLOAD");
    }
    let kept = api.get(&path).await.expect(200).data();
    assert_eq!((&kept["url"], &kept["secret"]), (&json!("http://example.com/"), &Value::Null));
    // A name says nothing until it is resolved: then nothing is sent.
    let sink = testkit::Sink::start().await;
    let url = format!("http://localhost:{}/", sink.address().port());
    api.post("/webhooks/endpoints", json!({"url": url, "events": ["items.*"]})).await.expect(200);
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    api.post("/items/notes", json!({"n": 1})).await.expect(200);
    let delivery = tried(&world).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["error"]), (&json!(0), &json!("blocked")), "{delivery}");
    assert!(!delivery.to_string().contains("127.0.0.1"), "no oracle: {delivery}");
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let world = World::start(shape!()).await;
    let (inner, outer) = (testkit::Sink::start().await, testkit::Sink::start().await);
    let target = inner.url("/secret");
    outer.answer(move |_, number| {
        let status = [301, 302, 303, 307, 308][number % 5];
        testkit::Answer::status(status).header("location", &target)
    });
    let endpoint = json!({"url": outer.url("/hook"), "events": ["items.*"], "name": "<b>x</b>"});
    world.api.post("/webhooks/endpoints", endpoint).await.expect(200);
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    world.api.post("/items/notes", json!({"n": 1})).await.expect(200);
    let seen = outer.wait_for(5, SOON).await;
    assert!(inner.requests().is_empty(), "{:?}", inner.requests());
    let id = seen[0].header("webhook-id");
    assert!(
        !id.is_empty() && seen.iter().all(|request| request.header("webhook-id") == id),
        "one id over all attempts"
    );
    assert!(
        seen.iter()
            .all(|request| request.header("authorization").is_empty() && request.header("cookie").is_empty())
    );
    assert_eq!(tried(&world).await["attempts"][0]["error"], "status");
    outer.answer_status(200);
    world.quiet(SOON).await;
}
