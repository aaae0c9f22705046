//! What every answer says to browsers, and that a cookie from elsewhere writes nothing on any route.

use http::Method;
use serde_json::json;

use crate::api::Answer;
use crate::world::{Options, PASSWORD, World};

const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn shielded(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", NOTHING),
        ("cross-origin-opener-policy", "same-origin-allow-popups"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{answer:?}");
}

#[tokio::test]
async fn every_answer_is_shielded() {
    let world = World::start(shape!()).await;
    for path in
        ["/server/ping", "/server/info", "/users/me", "/nope", "/items/nope", "/users?export=csv", "/auth"]
    {
        for api in [&world.api, &world.api.with_token(None), &world.api.with_token(Some("wrong"))] {
            let answer = api.get(path).await;
            shielded(&answer);
            assert_eq!(answer.header("strict-transport-security"), None);
        }
    }
    shielded(&world.api.call(Method::OPTIONS, "/items/nope", None).await);
    shielded(&world.api.post("/items/nope", json!({})).await);
    let tag = world.api.get("/users/me").await.header("etag").unwrap().to_owned();
    let same = world.api.raw(Method::GET, "/users/me", &[("if-none-match", &tag)], "").await.unwrap();
    shielded(&same.expect(304));
    drop(world);
    let options = Options::default().set("HSTS_ENABLED", "true").set("HSTS_MAX_AGE", "60");
    let world = World::with(shape!(), options).await;
    let answer = world.api.get("/server/ping").await;
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=60; includeSubDomains"));
}

/// Every route that changes something, with a good session cookie and a page of another site.
const WRITES: [(&str, &str); 62] = [
    ("POST", "/items/notes"),
    ("PATCH", "/items/notes"),
    ("PUT", "/items/notes"),
    ("DELETE", "/items/notes"),
    ("PATCH", "/items/notes/1"),
    ("DELETE", "/items/notes/1"),
    ("POST", "/utils/sort/notes"),
    ("POST", "/utils/import/notes"),
    ("DELETE", "/utils/import/jobs/00000000-0000-4000-8000-000000000000"),
    ("POST", "/utils/revert/1"),
    ("POST", "/utils/undo"),
    ("POST", "/utils/erase"),
    ("POST", "/versions/00000000-0000-4000-8000-000000000000/save"),
    ("POST", "/versions/00000000-0000-4000-8000-000000000000/promote"),
    ("POST", "/collections"),
    ("PATCH", "/collections"),
    ("PATCH", "/collections/notes"),
    ("DELETE", "/collections/notes"),
    ("POST", "/fields/notes"),
    ("PATCH", "/fields/notes"),
    ("PATCH", "/fields/notes/n"),
    ("DELETE", "/fields/notes/n"),
    ("POST", "/relations"),
    ("PATCH", "/relations/notes/n"),
    ("DELETE", "/relations/notes/n"),
    ("POST", "/schema/diff"),
    ("POST", "/schema/apply"),
    ("PATCH", "/users/me"),
    ("POST", "/api-keys"),
    ("PATCH", "/api-keys/00000000-0000-4000-8000-000000000000"),
    ("DELETE", "/api-keys/00000000-0000-4000-8000-000000000000"),
    ("POST", "/events"),
    ("POST", "/webhooks/endpoints"),
    ("PATCH", "/webhooks/endpoints/00000000-0000-4000-8000-000000000000"),
    ("DELETE", "/webhooks/endpoints/00000000-0000-4000-8000-000000000000"),
    ("PATCH", "/settings"),
    ("PATCH", "/extensions/00000000-0000-4000-8000-000000000000"),
    ("POST", "/access"),
    ("POST", "/comments"),
    ("POST", "/dashboards"),
    ("POST", "/files"),
    ("POST", "/flows"),
    ("POST", "/folders"),
    ("POST", "/notifications"),
    ("POST", "/operations"),
    ("POST", "/panels"),
    ("POST", "/permissions"),
    ("POST", "/policies"),
    ("POST", "/presets"),
    ("POST", "/roles"),
    ("POST", "/shares"),
    ("POST", "/translations"),
    ("POST", "/users"),
    ("POST", "/versions"),
    ("PATCH", "/users"),
    ("DELETE", "/users"),
    ("PATCH", "/policies"),
    ("DELETE", "/policies"),
    ("PATCH", "/roles/00000000-0000-4000-8000-000000000000"),
    ("DELETE", "/roles/00000000-0000-4000-8000-000000000000"),
    ("PATCH", "/permissions/1"),
    ("DELETE", "/permissions/1"),
];

#[tokio::test]
async fn a_cookie_from_another_site_writes_nothing_on_any_route() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    let body = json!({"email": "admin@example.com", "password": PASSWORD, "mode": "session"});
    let set = nobody.post("/auth/login", body).await.expect(200).header("set-cookie").unwrap().to_owned();
    let cookie = set.split(';').next().unwrap();
    let home = nobody.base().to_owned();
    nobody.raw(Method::GET, "/users/me", &[("cookie", cookie)], "").await.unwrap().expect(200);
    let pool = world.pool().await;
    let events = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM eventus.events").fetch_one(&pool).await.unwrap()
    };
    let before = events().await;
    for (method, path) in WRITES {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for from in ["https://evil.example", "null"] {
            let headers = [("cookie", cookie), ("content-type", "application/json"), ("origin", from)];
            let answer = nobody.raw(method.clone(), path, &headers, "{}").await.unwrap();
            shielded(&answer.refused(403, "FORBIDDEN"));
        }
        let bare = [("cookie", cookie), ("content-type", "application/json")];
        nobody.raw(method.clone(), path, &bare, "{}").await.unwrap().refused(403, "FORBIDDEN");
    }
    assert_eq!(events().await, before);
    let headers = [("cookie", cookie), ("content-type", "application/json"), ("origin", home.as_str())];
    nobody.raw(Method::POST, "/items/notes", &headers, "{}").await.unwrap().expect(200);
}
