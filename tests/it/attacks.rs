//! Attacks through the public doors: the sentences of the security checklist that touch what is built.

mod bounds;
mod credentials;
mod injection;
mod outbound;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, World};

/// Everything that only an administrator may do: method, path, body.
const DOORS: [(&str, &str, &str); 36] = [
    ("GET", "/items/secrets", ""),
    ("GET", "/items/secrets/1", ""),
    ("GET", "/items/secrets?fields=nope", ""),
    ("GET", "/items/secrets?filter[word][_contains]=a&meta=*&limit=0", ""),
    ("GET", "/items/secrets?sort=word", ""),
    ("SEARCH", "/items/secrets", "{}"),
    ("SEARCH", "/items/secrets", "{\"query\":{\"limit\":-1}}"),
    ("GET", "/items/secrets?export=csv&limit=-1", ""),
    ("GET", "/items/secrets/1?export=json", ""),
    ("POST", "/items/secrets", "{\"word\":1}"),
    ("POST", "/items/secrets", "[]"),
    ("PATCH", "/items/secrets/1", "{\"word\":\"x\"}"),
    ("PATCH", "/items/secrets", "[{\"nope\":1}]"),
    ("PATCH", "/items/secrets", "{\"query\":{\"filter\":{\"nope\":1}},\"data\":{}}"),
    ("DELETE", "/items/secrets/1", ""),
    ("DELETE", "/items/secrets", "{\"query\":{}}"),
    ("DELETE", "/items/secrets", "[]"),
    ("GET", "/collections/secrets", ""),
    ("PATCH", "/collections/secrets", "{\"meta\":{\"note\":\"x\"}}"),
    ("DELETE", "/collections/secrets", ""),
    ("GET", "/fields/secrets", ""),
    ("GET", "/fields/secrets/word", ""),
    ("POST", "/fields/secrets", "{\"field\":\"x\",\"type\":\"string\"}"),
    ("PATCH", "/fields/secrets/word", "{\"meta\":{}}"),
    ("DELETE", "/fields/secrets/word", ""),
    ("GET", "/relations/secrets", ""),
    (
        "POST",
        "/relations",
        "{\"collection\":\"secrets\",\"field\":\"word\",\"related_collection\":\"secrets\"}",
    ),
    ("GET", "/events", ""),
    ("GET", "/events/1", ""),
    ("POST", "/events", "{\"event\":\"custom.a\",\"collection\":\"secrets\",\"key\":\"1\"}"),
    ("POST", "/utils/erase", "{\"collection\":\"secrets\",\"keys\":[1],\"delete\":true}"),
    ("GET", "/analytics/metrics?collection=secrets", ""),
    ("GET", "/hooks/runs", ""),
    ("GET", "/webhooks/endpoints", ""),
    ("POST", "/webhooks/endpoints", "{\"url\":\"http://127.0.0.1:1/\",\"events\":[\"*\"]}"),
    ("GET", "/webhooks/deliveries", ""),
];

async fn knock(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    // What our own processes sign for is not taken from clients.
    let forged = "eyJhbGciOiJub25lIn0.eyJhZG1pbiI6dHJ1ZX0.";
    let headers: &[(&str, &str)] = &[
        ("content-type", "application/json"),
        ("eventus-accountability", forged),
        ("x-accountability", "admin"),
    ];
    api.raw(method, path, headers, body.to_owned()).await.unwrap()
}

/// Nobody and a plain user get 403 everywhere, and the same bytes whether what they name exists or not.
#[tokio::test]
async fn only_an_admin_gets_in_and_nothing_tells_what_exists() {
    let world = World::start(shape!()).await;
    world.collection("secrets", json!([{"field": "word", "type": "string"}])).await;
    world.api.post("/items/secrets", json!({"word": "hidden"})).await.expect(200);
    let id = world.user("user@example.com", "a-users-static-token").await;
    let (nobody, user) = (world.api.with_token(None), world.api.with_token(Some("a-users-static-token")));
    for api in [&nobody, &user] {
        for (method, path, body) in DOORS {
            let known = knock(api, method, path, body).await.refused(403, "FORBIDDEN");
            let missing = |text: &str| text.replace("secrets", "absents");
            let unknown = knock(api, method, &missing(path), &missing(body)).await.refused(403, "FORBIDDEN");
            assert_eq!(missing(&known.text), unknown.text, "{method} {path} {body}");
        }
        for path in ["/collections", "/fields", "/relations"] {
            let answer = api.get(path).await;
            assert!(answer.status == 403 || answer.data() == json!([]), "{path}: {}", answer.text);
        }
        api.post("/collections", json!({"collection": "mine", "schema": {}})).await.refused(403, "FORBIDDEN");
        let info = api.get("/server/info").await.expect(200).json();
        assert_eq!(info["data"]["version"], Value::Null, "no version for strangers");
    }
    assert_eq!(user.get("/users/me").await.expect(200).data(), json!({"id": id}));
    assert_eq!(user.get("/server/health").await.expect(200).json(), json!({"status": "ok"}));
    let word: String =
        sqlx::query_scalar("SELECT word FROM secrets").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(word, "hidden");
}

/// A schema change does not take writes down with it: both go on side by side.
#[tokio::test]
async fn writes_go_on_while_the_schema_changes() {
    let world = World::start(shape!()).await;
    world.collection("busy", json!([{"field": "n", "type": "integer"}])).await;
    let (done, stop) = tokio::sync::watch::channel(false);
    let write = async || {
        let mut written = 0_u32;
        while !*stop.borrow() {
            world.api.post("/items/busy", json!({"n": 1})).await.expect(200);
            written += 1;
        }
        written
    };
    let change = async {
        for n in 0..8 {
            let name = format!("made_{n}");
            world.collection(&name, json!([{"field": "n", "type": "integer"}])).await;
            world.api.delete(&format!("/collections/{name}"), None).await.expect(204);
        }
        done.send_replace(true);
    };
    let (a, b, c, d, ()) = tokio::join!(write(), write(), write(), write(), change);
    assert!(a + b + c + d > 20, "there was something to disturb");
}

/// Bodies, filters and parameters beyond all measure are refused, and the process lives.
#[tokio::test]
async fn budgets_hold() {
    let world = World::with(shape!(), Options::default().set("MAX_PAYLOAD_SIZE", "100kb")).await;
    let api = &world.api;
    world
        .collection("posts", json!([{"field": "n", "type": "integer"}, {"field": "j", "type": "json"}]))
        .await;
    let raw = async |body: String| {
        api.raw(Method::POST, "/items/posts", &[("content-type", "application/json")], body).await.unwrap()
    };
    let deep = |levels: usize| format!("{{\"j\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    raw(deep(63)).await.expect(200);
    for levels in [64, 200, 40_000] {
        raw(deep(levels)).await.refused(400, "INVALID_PAYLOAD");
    }
    raw(format!("{{\"j\":\"{}\"}}", "x".repeat(103_000))).await.refused(413, "CONTENT_TOO_LARGE");
    let nested = |levels: usize| (0..levels).fold(json!({"n": 1}), |inner, _| json!({"_and": [inner]}));
    let search = async |filter: Value| {
        let method = Method::from_bytes(b"SEARCH").unwrap();
        api.call(method, "/items/posts", Some(json!({"query": {"filter": filter}}))).await
    };
    search(nested(10)).await.expect(200);
    search(nested(11)).await.refused(400, "INVALID_QUERY");
    search(nested(60)).await.refused(400, "INVALID_PAYLOAD");
    let wide = |count: usize| json!({"_or": vec![json!({"n": 1}); count]});
    search(wide(99)).await.expect(200);
    search(wide(100)).await.refused(400, "INVALID_QUERY");
    search(wide(501)).await.refused(400, "INVALID_QUERY");
    search(json!({"n": {"_in": vec![1; 10_000]}})).await.expect(200);
    search(json!({"n": {"_in": vec!["$NOW"; 100]}})).await.refused(400, "INVALID_QUERY");
    for query in [
        vec!["fields=n"; 1_001].join("&"),
        format!("fields={}", vec!["n"; 501].join(",")),
        format!("filter{}=1", "[_and][0]".repeat(30)),
        format!("filter{}=1", "[a]".repeat(2_000)),
    ] {
        api.get(&format!("/items/posts?{query}")).await.refused(400, "INVALID_QUERY");
    }
    // Places beyond all measure are names, as in the original.
    let places = "filter[n][_in][9999999999999999999999]=1&filter[n][_in][x]=2";
    api.get(&format!("/items/posts?{places}")).await.expect(200);
    let exact = json!({"j": 1}).to_string().replace('1', "123456789012345678901234567890.10");
    let made = raw(exact.clone()).await.expect(200).text;
    assert!(made.contains(r#""j":123456789012345678901234567890.10"#), "{made}");
    let logins = (0..40).map(|_| world.api.post("/auth/login", json!({"email": "a@b.c", "password": "x"})));
    for answer in futures_util::future::join_all(logins).await {
        assert!([401, 429, 503].contains(&answer.status), "{}", answer.text);
    }
    api.get("/users/me").await.expect(200);
    assert!(!world.whole_logs().contains("panicked"), "{}", world.logs());
}
