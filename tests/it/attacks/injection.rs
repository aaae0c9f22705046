//! Names, keys and values that are code elsewhere: SQL, LIKE, NATS subjects and headers, JSON, server-sent events.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use serde_json::{Map, Value, json};

use crate::world::World;

const SOON: Duration = Duration::from_secs(20);

/// Names that our statements use themselves, and words of SQL.
const NAMES: [&str; 46] = [
    "event_id",
    "given",
    "ord",
    "key",
    "name",
    "k",
    "new",
    "old",
    "answer",
    "body",
    "c0",
    "v0",
    "p0",
    "r",
    "t",
    "o",
    "j",
    "i",
    "c",
    "u",
    "d",
    "h",
    "p",
    "item",
    "input",
    "head",
    "version",
    "position",
    "doomed",
    "change",
    "target",
    "collection",
    "items",
    "keys",
    "event",
    "fields",
    "user",
    "select",
    "xmin1",
    "order",
    "Ünï cödé",
    "a\"b",
    "a'b",
    "a\\b",
    "$1",
    "a--b",
];

/// A field may have any name, also one that our own SQL uses.
#[tokio::test]
async fn fields_may_be_called_like_our_own_columns() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let fields: Vec<Value> = NAMES.iter().map(|name| json!({"field": name, "type": "string"})).collect();
    for collection in ["item", "input", "events"] {
        world.collection(collection, json!(fields)).await;
        let path = format!("/items/{collection}");
        let all =
            |value: &str| NAMES.iter().map(|name| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>();
        let mut expected = all("a");
        expected.insert("id".to_owned(), json!(1));
        assert_eq!(api.post(&path, json!(all("a"))).await.expect(200).data(), json!(expected));
        let more = json!([{"event_id": "x", "r": "y"}, {"ord": "x", "given": "y"}, {"id": 9, "key": "z"}]);
        let more = api.post(&format!("{path}?fields=id,event_id,ord,key"), more).await.expect(200).data();
        assert_eq!(more[0], json!({"id": 2, "event_id": "x", "ord": null, "key": null}));
        assert_eq!(more[2], json!({"id": 9, "event_id": null, "ord": null, "key": "z"}));
        assert_eq!(api.get(&format!("{path}/1")).await.expect(200).data(), json!(expected));
        let sorted =
            api.get(&format!("{path}?fields=id&sort=-ord,r&filter[event_id]=x&meta=*")).await.expect(200);
        assert_eq!(sorted.text, r#"{"meta":{"total_count":4,"filter_count":1},"data":[{"id":2}]}"#);
        expected.extend(all("b"));
        assert_eq!(
            api.patch(&format!("{path}/1"), json!(all("b"))).await.expect(200).data(),
            json!(expected)
        );
        let each = json!([{"id": 1, "event_id": "p", "c0": "q", "ord": "r"}, {"id": 2, "event_id": "s", "c0": "t", "ord": "u"}]);
        let each = api.patch(&format!("{path}?fields=event_id,c0,ord"), each).await.expect(200).data();
        assert_eq!(each[1], json!({"event_id": "s", "c0": "t", "ord": "u"}));
        api.delete(&path, Some(json!({"query": {"filter": {"event_id": {"_nnull": true}}}})))
            .await
            .expect(204);
        assert_eq!(
            api.get(&format!("{path}?fields=id")).await.expect(200).data(),
            json!([{"id": 3}, {"id": 9}])
        );
    }
    world.quiet(SOON).await;
}

#[tokio::test]
async fn values_stay_values() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("texts", json!([{"field": "t", "type": "text"}])).await;
    let texts = [
        "100%",
        "100x",
        "a_b",
        "axb",
        "a\\b",
        "'; DROP TABLE texts; --",
        "<script>alert(1)</script>",
        "{{7*7}} ${x} $1",
    ];
    let items: Vec<Value> = texts.iter().map(|text| json!({"t": text})).collect();
    api.post("/items/texts", json!(items)).await.expect(200);
    let found = async |filter: Value| {
        let method = Method::from_bytes(b"SEARCH").unwrap();
        let query = json!({"query": {"filter": {"t": filter}, "fields": ["t"]}});
        let found = api.call(method, "/items/texts", Some(query)).await.expect(200).data();
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["t"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (part, expected) in
        [("0%", "100%"), ("a_b", "a_b"), ("a\\b", "a\\b"), ("\\", "a\\b"), ("_", "a_b"), ("%", "100%")]
    {
        assert_eq!(found(json!({"_contains": part})).await, [expected], "{part}");
    }
    for text in texts {
        assert_eq!(found(json!({"_eq": text})).await, [text]);
        assert_eq!(found(json!({"_in": [text]})).await, [text]);
    }
    for evil in ["t\"", "t'", "t;--", "t) OR 1=1--", "t DESC, (SELECT 1)", "\u{202e}t", &"t".repeat(5_000)] {
        let name: String = evil.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for query in [format!("fields={name}"), format!("sort={name}"), format!("filter[{name}][_eq]=1")] {
            let answer = api.get(&format!("/items/texts?{query}")).await;
            assert!([400, 403].contains(&answer.status), "{evil}: {}", answer.text);
        }
        for path in [
            format!("/items/{name}"),
            format!("/collections/{name}"),
            format!("/fields/texts/{name}"),
            format!("/items/texts/{name}"),
        ] {
            api.get(&path).await.refused(403, "FORBIDDEN");
        }
    }
    assert!(!world.whole_logs().contains("the database refused a statement"), "{}", world.logs());
}

/// Subjects are one token per collection, headers one line per key, and every consumer gets through.
#[tokio::test]
async fn names_and_keys_stay_within_subject_and_header() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let client = world.nats.client().await;
    let mut items = client.subscribe("items.>").await.unwrap();
    testkit::subscribed(&client).await;
    let key = json!([{"field": "id", "type": "text", "schema": {"is_primary_key": true}}, {"field": "n", "type": "integer"}]);
    let evil = "\r\nNats-Rollup: all\r\n\r\n";
    for (name, token) in [
        ("a.b", "a%2Eb"),
        ("*", "%2A"),
        (">", "%3E"),
        ("a b", "a%20b"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("%2E", "%252E"),
        ("$SYS", "$SYS"),
        ("..", "%2E%2E"),
    ] {
        world.collection(name, key.clone()).await;
        let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for key in ["*", "a.b.>", "größe x", evil, "..", "a/b", "%2F"] {
            let made =
                api.post(&format!("/items/{path}"), json!({"id": key, "n": 1})).await.expect(200).data();
            let part: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let read = api.get(&format!("/items/{path}/{part}")).await.expect(200).data();
            assert_eq!(made, read, "{name} {key}");
            let message = tokio::time::timeout(SOON, items.next()).await.unwrap().unwrap();
            assert_eq!(message.subject.as_str(), format!("items.create.{token}"));
            let event: Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!((&event["collection"], &event["key"]), (&json!(name), &json!(key)));
            let headers = message.headers.unwrap();
            assert!(headers.get("Nats-Rollup").is_none());
            assert!(headers.get("ce-subject").unwrap().as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        api.post(&format!("/items/{path}"), json!({"id": "", "n": 1})).await.refused(400, "INVALID_PAYLOAD");
        api.post(&format!("/items/{path}"), json!({"id": "\u{0}"})).await.refused(400, "INVALID_PAYLOAD");
        api.delete(&format!("/items/{path}"), Some(json!(["*"]))).await.expect(204);
        let message = tokio::time::timeout(SOON, items.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), format!("items.delete.{token}"), "only the one item went");
    }
    world.quiet(SOON).await;
    let counted = api.get("/analytics/metrics?collection=a.b&action=create").await.expect(200).data();
    assert_eq!(counted[0]["count"], 7);
}

/// JSON that is well-formed but that few parsers take: it is stored as it is and no consumer trips over it.
#[tokio::test]
async fn odd_json_poisons_nobody() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let sink = testkit::Sink::start().await;
    api.post("/webhooks/endpoints", json!({"url": sink.url("/"), "events": ["items.*"]})).await.expect(200);
    world.collection("odd", json!([{"field": "j", "type": "json"}])).await;
    let bodies = [
        r#"{"a":"\ud800"}"#,
        r#"{"\udfff":1}"#,
        "1e400",
        "-0",
        "{\"a\":\n\n1,\r\n \"a\":2}",
        "123456789012345678901234567890",
        r#"{"__proto__":{"admin":true},"constructor":1}"#,
    ];
    for body in bodies {
        let headers: &[(&str, &str)] = &[("content-type", "application/json")];
        let made = api
            .raw(Method::POST, "/items/odd", headers, format!("{{\"j\":{body}}}"))
            .await
            .unwrap()
            .expect(200);
        assert!(made.text.contains(body), "{}", made.text);
    }
    world.quiet(SOON).await;
    let received = sink.wait_for(bodies.len(), SOON).await;
    for body in bodies {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert!(received.iter().any(|request| squeezed(request.text()).contains(&squeezed(body))), "{body}");
    }
    world.collection("lines", json!([{"field": "j", "type": "json"}])).await;
    let mut stream = crate::sse::open(api, "/events?collections=lines", Some("0")).await;
    let headers: &[(&str, &str)] = &[("content-type", "application/json")];
    let lines = "{\"j\":{\"a\":\n\nid: 1\n\n}}".replace("id: 1", "[1,\r2]");
    api.raw(Method::POST, "/items/lines", headers, lines).await.unwrap().expect(200);
    assert_eq!(stream.next().await.data["payload"]["j"], json!({"a": [1, 2]}), "one event is one frame");
}
