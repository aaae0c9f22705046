//! What the gateway answers when something is wrong: statuses, codes and whole bodies, and that nothing was done.

use http::Method;
use model::{Ids as _, RandomIds};
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Shape, World};

async fn world(shape: Shape) -> World {
    let world = World::start(shape).await;
    let fields = json!([
        {"field": "title", "type": "string", "schema": {"is_nullable": false, "max_length": 10}, "meta": {"required": true}},
        {"field": "slug", "type": "string", "schema": {"is_unique": true}},
        {"field": "n", "type": "integer"},
        {"field": "f", "type": "float"},
        {"field": "ts", "type": "timestamp"},
        {"field": "tm", "type": "time"},
        {"field": "j", "type": "json"},
        {"field": "b", "type": "boolean"},
        {"field": "u", "type": "uuid"},
        {"field": "long", "type": "text", "schema": {"is_indexed": true}},
    ]);
    world.collection("articles", fields).await;
    world
}

/// `status code` of an answer.
fn outcome(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.code())
}

async fn raw(api: &Api, method: &str, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    api.raw(method, path, &[("content-type", "application/json")], body).await.unwrap()
}

#[tokio::test]
async fn whole_bodies_are_those_of_the_original() {
    let world = world(shape!()).await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    api.post("/items/articles", json!({"title": "one", "slug": "one"})).await.expect(200);
    let forbidden = r#"{"errors":[{"message":"You don't have permission to access this.","extensions":{"code":"FORBIDDEN"}}]}"#;
    let credentials =
        r#"{"errors":[{"message":"Invalid user credentials.","extensions":{"code":"INVALID_CREDENTIALS"}}]}"#;
    for path in [
        "/items/articles/99",
        "/items/articles/abc",
        "/items/directus_users",
        "/collections/nope",
        "/fields/articles/nope",
    ] {
        assert_eq!(api.get(path).await.expect(403).text, forbidden, "{path}");
    }
    assert_eq!(nobody.get("/server/health").await.expect(403).text, forbidden);
    for (who, path) in [
        (&nobody, "/users/me"),
        (&api.with_token(Some("nope")), "/items/articles"),
        (&api.with_token(Some("a.b.c")), "/server/info"),
    ] {
        assert_eq!(who.get(path).await.expect(401).text, credentials, "{path}");
    }
    let reason = |text: &str| {
        format!(
            r#"{{"errors":[{{"message":"{text}","extensions":{{"reason":"{text}","code":"FORBIDDEN"}}}}]}}"#
        )
    };
    let collection = reason(
        r#"You don't have permission to access collection \"nope\" or it does not exist. Queried in root."#,
    );
    assert_eq!(api.get("/items/nope").await.expect(403).text, collection);
    let field = reason(
        r#"You don't have permission to access field \"nope\" in collection \"articles\" or it does not exist. Queried in root."#,
    );
    for query in ["fields=nope", "sort=-nope", "filter[nope]=1"] {
        assert_eq!(api.get(&format!("/items/articles?{query}")).await.expect(403).text, field, "{query}");
    }
    let route = r#"{"errors":[{"message":"Route /nope doesn't exist.","extensions":{"path":"/nope","code":"ROUTE_NOT_FOUND"}}]}"#;
    assert_eq!(api.get("/nope?a=b").await.expect(404).text, route);
    refusals_of_payloads(api).await;
}

async fn refusals_of_payloads(api: &Api) {
    let post = async |body: Value| api.post("/items/articles", body).await.expect(400).text;
    assert_eq!(
        post(json!({})).await,
        r#"{"errors":[{"message":"Validation failed for field \"title\". Value is required.","extensions":{"field":"title","path":[],"type":"required","code":"FAILED_VALIDATION"}}]}"#
    );
    assert_eq!(
        post(json!({"title": null})).await,
        r#"{"errors":[{"message":"Validation failed for field \"title\". Value can't be null.","extensions":{"field":"title","path":[],"type":"nnull","code":"FAILED_VALIDATION"}}]}"#
    );
    assert_eq!(
        post(json!({"title": "x", "slug": "one"})).await,
        r#"{"errors":[{"message":"Value \"one\" for field \"slug\" in collection \"articles\" has to be unique.","extensions":{"collection":"articles","field":"slug","value":"one","code":"RECORD_NOT_UNIQUE"}}]}"#
    );
    assert_eq!(
        post(json!({"title": "01234567890"})).await,
        r#"{"errors":[{"message":"Value \"01234567890\" for field \"title\" in collection \"articles\" is too long.","extensions":{"collection":"articles","field":"title","value":"01234567890","code":"VALUE_TOO_LONG"}}]}"#
    );
    let both = api.delete("/items/articles", Some(json!({}))).await.expect(400).text;
    assert_eq!(
        both,
        r#"{"errors":[{"message":"Invalid payload. \"value\" must contain at least one of [query, keys].","extensions":{"reason":"\"value\" must contain at least one of [query, keys]","code":"INVALID_PAYLOAD"}}]}"#
    );
}

/// Method, path, body, `status code`.
type Case = (&'static str, &'static str, &'static str, &'static str);

const BODIES: [Case; 36] = [
    ("POST", "/items/articles", "{bad", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "\"text\"", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "[[{}]]", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":NaN}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"\\ud800\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"a\\u0000b\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"n\":1.5}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"n\":true}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"n\":2147483648}", "400 VALUE_OUT_OF_RANGE"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"f\":1e300}", "400 VALUE_OUT_OF_RANGE"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"f\":\"inf\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"ts\":\"2026-01-02T03:04:05+99\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"ts\":\"0000-01-01T00:00:00Z\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"tm\":\"25:00\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"tm\":\"03:04:05+99\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"b\":2}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles", "{\"title\":\"x\",\"u\":\"x\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/items/articles/1", "{}", "404 ROUTE_NOT_FOUND"),
    ("PUT", "/items/articles/1", "{}", "404 ROUTE_NOT_FOUND"),
    ("PATCH", "/items/articles/1", "[]", "400 INVALID_PAYLOAD"),
    ("PATCH", "/items/articles/x", "{}", "403 FORBIDDEN"),
    ("PATCH", "/items/articles", "{\"keys\":[1]}", "400 INVALID_PAYLOAD"),
    ("PATCH", "/items/articles", "{\"keys\":[1],\"query\":{},\"data\":{}}", "400 INVALID_PAYLOAD"),
    ("PATCH", "/items/articles", "[{\"n\":1}]", "400 INVALID_PAYLOAD"),
    ("PATCH", "/items/articles", "{\"keys\":[\"x\"],\"data\":{\"n\":1}}", "403 FORBIDDEN"),
    ("PATCH", "/items/articles", "{\"query\":{\"limit\":-7},\"data\":{\"n\":1}}", "400 INVALID_QUERY"),
    ("DELETE", "/items/articles", "[null]", "400 INVALID_PAYLOAD"),
    ("DELETE", "/items/articles", "[\"x\"]", "403 FORBIDDEN"),
    ("SEARCH", "/items/articles", "{\"query\":5}", "400 INVALID_PAYLOAD"),
    ("SEARCH", "/items/articles", "[]", "400 INVALID_PAYLOAD"),
    ("SEARCH", "/items/articles/1", "{}", "404 ROUTE_NOT_FOUND"),
    ("POST", "/auth/login", "[\"admin@example.com\",\"system-suite-password\"]", "400 INVALID_PAYLOAD"),
    ("POST", "/auth/login", "{\"email\":{\"$ne\":1},\"password\":\"x\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/auth/login", "{\"email\":\"a@b.c\",\"password\":\"x\",\"mode\":\"x\"}", "400 INVALID_PAYLOAD"),
    ("POST", "/auth/refresh", "{}", "400 INVALID_PAYLOAD"),
    ("POST", "/auth/refresh", "{\"refresh_token\":\"nope\"}", "401 INVALID_CREDENTIALS"),
];

const QUERIES: [(&str, &str); 31] = [
    ("limit=-2", "400 INVALID_QUERY"),
    ("limit=1.5", "400 INVALID_QUERY"),
    ("limit=99999999999999999999", "400 INVALID_QUERY"),
    ("offset=-1", "400 INVALID_QUERY"),
    ("page=9007199254740991&limit=9007199254740991", "400 INVALID_QUERY"),
    ("sort=j", "400 INVALID_QUERY"),
    ("sort=-", "403 FORBIDDEN"),
    ("filter=5", "400 INVALID_QUERY"),
    ("filter[n][_eq]=", "400 INVALID_QUERY"),
    ("filter[n][_eq]=x", "400 INVALID_QUERY"),
    ("filter[n][_eq]=9999999999", "400 INVALID_QUERY"),
    ("filter[n][_eq]=1&filter[n][_eq]=2", "400 INVALID_QUERY"),
    ("filter[n][_foo]=1", "400 INVALID_QUERY"),
    ("filter[n][_null]=maybe", "400 INVALID_QUERY"),
    ("filter[f][_gt]=1e300", "400 INVALID_QUERY"),
    ("filter[ts][_gt]=2026-02-30", "400 INVALID_QUERY"),
    ("filter[ts][_gt]=2026-01-02T03:04:05%2B99", "400 INVALID_QUERY"),
    ("filter[title][_eq]=%00", "400 INVALID_QUERY"),
    ("filter[n][_eq]=$NOW", "400 INVALID_QUERY"),
    ("filter[_or]=5", "400 INVALID_QUERY"),
    ("filter[%00]=1", "403 FORBIDDEN"),
    ("fields=%00", "403 FORBIDDEN"),
    ("export=xlsx", "400 INVALID_QUERY"),
    ("aggregate[median]=n", "400 INVALID_QUERY"),
    ("aggregate[sum]=title", "400 INVALID_QUERY"),
    ("filter=%7B%22n%22:%7B%22_in%22:%5B%5D%7D%7D", "400 INVALID_QUERY"),
    ("groupBy=j", "400 INVALID_QUERY"),
    ("deep[a]=1", "400 INVALID_QUERY"),
    ("filter[title][_some][n]=1", "403 FORBIDDEN"),
    ("fields=title.n", "403 FORBIDDEN"),
    ("sort=title.n", "403 FORBIDDEN"),
];

#[tokio::test]
async fn tables_of_wrong_requests() {
    let world = world(shape!()).await;
    let api = &world.api;
    for (method, path, body, expected) in BODIES {
        assert_eq!(outcome(&raw(api, method, path, body).await), expected, "{method} {path} {body}");
    }
    for (query, expected) in QUERIES {
        assert_eq!(outcome(&api.get(&format!("/items/articles?{query}")).await), expected, "{query}");
    }
    for (path, expected) in [
        ("/items/%ff", "404 ROUTE_NOT_FOUND"),
        ("/ITEMS/articles", "404 ROUTE_NOT_FOUND"),
        ("//items/articles", "404 ROUTE_NOT_FOUND"),
        ("/events/abc", "403 FORBIDDEN"),
        ("/events?last_event_id=x", "400 INVALID_QUERY"),
        ("/webhooks/endpoints/x", "403 FORBIDDEN"),
        ("/webhooks/deliveries?limit=-1", "400 INVALID_QUERY"),
        ("/webhooks/deliveries?state=x", "400 INVALID_QUERY"),
        ("/analytics/metrics?from=2026-13-01", "400 INVALID_QUERY"),
        ("/hooks/runs?event_id=x", "400 INVALID_QUERY"),
    ] {
        assert_eq!(outcome(&api.get(path).await), expected, "{path}");
    }
    // Incompressible, so that the index can't take it.
    let noise: String = (0..700).map(|_| RandomIds.random().to_string()).collect();
    let long = api.post("/items/articles", json!({"title": "x", "long": noise})).await;
    assert_eq!(outcome(&long), "400 VALUE_TOO_LONG");
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let packed = api.raw(Method::POST, "/items/articles", &packed, "x").await.unwrap();
    assert_eq!(outcome(&packed), "415 UNSUPPORTED_MEDIA_TYPE");
    let text =
        api.raw(Method::POST, "/items/articles", &[("content-type", "text/plain")], "hello").await.unwrap();
    assert_eq!(outcome(&text), "400 FAILED_VALIDATION", "another content type is read as an empty object");
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM articles").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(stored, 0);
    assert!(!world.whole_logs().contains("the database refused a statement"), "{}", world.logs());
}

#[tokio::test]
async fn definitions_that_cannot_be() {
    let world = world(shape!()).await;
    let api = &world.api;
    let make = async |fields: Value| {
        outcome(&api.post("/collections", json!({"collection": "c", "schema": {}, "fields": fields})).await)
    };
    let many: Vec<Value> = (0..1_700).map(|n| json!({"field": format!("f{n}"), "type": "integer"})).collect();
    for fields in [
        json!([{"field": "x", "type": "string"}, {"field": "x", "type": "integer"}]),
        json!([{"field": "x", "type": "integer", "schema": {"default_value": "abc"}}]),
        json!([{"field": "x", "type": "date", "schema": {"default_value": "2026-99-99"}}]),
        json!([{"field": "x", "type": "json", "schema": {"is_unique": true}}]),
        json!([{"field": "x", "type": "json", "schema": {"is_indexed": true}}]),
        json!([{"field": "id", "type": "json", "schema": {"is_primary_key": true}}]),
        json!([{"field": "id", "type": "uuid", "schema": {"is_primary_key": true, "has_auto_increment": true}}]),
        json!([{"field": "a\u{0}", "type": "string"}]),
        json!([{"field": "é".repeat(32), "type": "string"}]),
        json!([{"field": 5}]),
        json!(5),
        json!(many),
    ] {
        assert_eq!(make(fields.clone()).await, "400 INVALID_PAYLOAD", "{fields}");
    }
    nothing_was_made(&world).await;
}

/// Nothing of a refused definition stays.
async fn nothing_was_made(world: &World) {
    world.api.get("/collections/c").await.refused(403, "FORBIDDEN");
    let left: Option<String> = sqlx::query_scalar("SELECT to_regclass('public.c')::text")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(left, None);
}

#[tokio::test]
async fn changes_of_definitions_that_cannot_be() {
    let world = world(shape!()).await;
    let api = &world.api;
    for (method, path, body, expected) in [
        ("POST", "/collections", "[\"c\"]", "400 INVALID_PAYLOAD"),
        ("POST", "/collections", "{}", "400 INVALID_PAYLOAD"),
        ("POST", "/collections", "{\"collection\":\"c\",\"meta\":{\"sort\":\"x\"}}", "400 INVALID_PAYLOAD"),
        ("PATCH", "/fields/articles/n", "{\"type\":\"date\"}", "400 INVALID_PAYLOAD"),
        ("PATCH", "/fields/articles/n", "[1]", "400 INVALID_PAYLOAD"),
        ("PATCH", "/fields/articles/nope", "{}", "403 FORBIDDEN"),
        (
            "PATCH",
            "/fields/directus_users/email",
            "{\"schema\":{\"is_nullable\":true}}",
            "400 INVALID_PAYLOAD",
        ),
        (
            "POST",
            "/fields/directus_users",
            "{\"field\":\"email\",\"type\":\"string\"}",
            "400 INVALID_PAYLOAD",
        ),
        ("DELETE", "/fields/directus_users/token", "", "403 FORBIDDEN"),
        ("DELETE", "/collections/directus_users", "", "403 FORBIDDEN"),
        (
            "POST",
            "/relations",
            "{\"collection\":\"directus_users\",\"field\":\"role\",\"related_collection\":\"articles\"}",
            "400 INVALID_PAYLOAD",
        ),
        (
            "POST",
            "/relations",
            "{\"collection\":\"articles\",\"field\":\"u\",\"related_collection\":\"articles\"}",
            "400 INVALID_PAYLOAD",
        ),
        (
            "POST",
            "/relations",
            "{\"collection\":\"articles\",\"field\":\"n\",\"related_collection\":\"articles\",\"schema\":{\"on_delete\":\"DROP\"}}",
            "400 INVALID_PAYLOAD",
        ),
    ] {
        assert_eq!(outcome(&raw(api, method, path, body).await), expected, "{method} {path} {body}");
    }
    nothing_was_made(&world).await;
}
