//! API keys: made once, hashed, narrowed, read-only, ended; they open nothing else.

use std::time::{Duration, Instant};

use http::Method;
use proto::items::v1::CreateItemsRequest;
use proto::items::v1::items_service_client::ItemsServiceClient;
use serde_json::{Value, json};
use testkit::eventually;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::api::Api;
use crate::world::{PASSWORD, World};

const SOON: Duration = Duration::from_secs(20);
const USER: &str = "an-ordinary-user-token-0001";

/// Makes a key; its item and a client that has it.
async fn made(api: &Api, body: Value) -> (Value, Api) {
    let item = api.post("/api-keys", body).await.expect(200).data();
    let key = api.with_token(item["key"].as_str());
    (item, key)
}

fn path(item: &Value) -> String {
    format!("/api-keys/{}", item["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_is_shown_once_and_stands_for_its_user_until_it_is_gone() {
    let mut world = World::start(shape!()).await;
    let other = world.replica();
    world.ready().await;
    let (item, key) = made(&world.api, json!({"name": "deploy", "expires": "2099-01-01"})).await;
    let text = item["key"].as_str().unwrap();
    assert!(
        text.len() == 46 && text.starts_with("ek_") && text.starts_with(item["prefix"].as_str().unwrap())
    );
    let me = world.api.get("/users/me").await.expect(200).data();
    assert_eq!((&item["user"], &item["created_by"], &item["policies"]), (&me["id"], &me["id"], &Value::Null));
    assert_eq!(key.get("/users/me").await.expect(200).data()["id"], me["id"]);
    key.get(&format!("/users/me?access_token={text}")).await.refused(400, "INVALID_PAYLOAD");
    key.with_token(None).get(&format!("/users/me?access_token={text}")).await.expect(200);
    other.with_token(Some(text)).get("/collections").await.expect(200);
    for answer in [world.api.get("/api-keys").await, world.api.get(&path(&item)).await] {
        assert!(!answer.expect(200).text.contains(text));
    }
    let pool = world.pool().await;
    let all = "SELECT (SELECT string_agg(k::text, ' ') FROM eventus.api_keys k) || \
               (SELECT string_agg(e::text, ' ') FROM eventus.events e)";
    let stored: String = sqlx::query_scalar(all).fetch_one(&pool).await.unwrap();
    let hash: String =
        sqlx::query_scalar("SELECT hash FROM eventus.api_keys").fetch_one(&pool).await.unwrap();
    assert!(!stored.contains(&text[12..]) && !world.whole_logs().contains(&text[12..]));
    key.with_token(Some(&hash)).get("/users/me").await.refused(401, "INVALID_CREDENTIALS");
    eventually(SOON, || async { !world.api.get(&path(&item)).await.data()["last_used"].is_null() }).await;
    let renamed =
        world.api.patch(&path(&item), json!({"name": "ci", "expires": null})).await.expect(200).data();
    assert_eq!((&renamed["name"], &renamed["expires"]), (&json!("ci"), &Value::Null));
    world.api.delete(&path(&item), None).await.expect(204);
    let gone = Instant::now();
    for door in [&world.api, &other] {
        let key = door.with_token(Some(text));
        eventually(SOON, || async { key.get("/users/me").await.status == 401 }).await;
    }
    assert!(gone.elapsed() < Duration::from_millis(1_500), "{:?}", gone.elapsed());
    world.api.delete(&path(&item), None).await.refused(403, "FORBIDDEN");
    let names = "SELECT name || ' ' || version FROM eventus.events WHERE collection = 'directus_api_keys' ORDER BY position";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&pool).await.unwrap();
    assert_eq!(names, ["api_keys.create 1", "api_keys.update 2", "api_keys.delete 3"]);
    let told: String = sqlx::query_scalar("SELECT string_agg(e::text, ' ') FROM eventus.events e")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!told.contains(&hash));
    world.quiet(SOON).await;
}

#[tokio::test]
async fn everybody_has_his_own_and_a_key_has_no_more_than_its_user() {
    let world = World::start(shape!()).await;
    let user = world.user("user@example.com", USER).await;
    let own = world.api.with_token(Some(USER));
    let policy = async |name: &str, admin: bool| {
        let body = json!({"name": name, "admin_access": admin, "app_access": true});
        let id = world.api.post("/policies", body).await.expect(200).data()["id"].clone();
        let given = world.api.post("/access", json!({"user": user, "policy": id})).await.expect(200).data();
        (id, given["id"].as_str().unwrap().to_owned())
    };
    let ((all, grant), (little, _)) = (policy("all", true).await, policy("little", false).await);
    let foreign =
        world.api.post("/policies", json!({"name": "foreign"})).await.expect(200).data()["id"].clone();
    let (of_admin, _) = made(&world.api, json!({"name": "admin's"})).await;
    let (whole, with_all) = made(&own, json!({"name": "whole"})).await;
    let (narrow, with_little) = made(&own, json!({"name": "narrow", "policies": [little]})).await;
    let (_, with_none) = made(&own, json!({"name": "none", "policies": []})).await;
    assert_eq!((&whole["user"], &narrow["policies"]), (&json!(user.to_string()), &json!([little])));
    with_all.get("/webhooks/endpoints").await.expect(200);
    for key in [&with_little, &with_none] {
        key.get("/webhooks/endpoints").await.refused(403, "FORBIDDEN");
        assert_eq!(key.get("/users/me").await.expect(200).data()["id"], user.to_string());
        // Nobody gets himself more by a key.
        key.post("/api-keys", json!({"name": "more"})).await.refused(403, "FORBIDDEN");
        key.patch(&path(&narrow), json!({"policies": null})).await.refused(403, "FORBIDDEN");
        key.patch("/users/me", json!({"password": "a-new-password"})).await.refused(403, "FORBIDDEN");
        key.patch("/users/me", json!({"token": "a-new-token-of-mine"})).await.refused(403, "FORBIDDEN");
    }
    with_all.post("/api-keys", json!({"name": "more"})).await.refused(403, "FORBIDDEN");
    let refresh = json!({"refresh_token": narrow["key"]});
    own.with_token(None).post("/auth/refresh", refresh).await.refused(401, "INVALID_CREDENTIALS");
    let unknown = json!("00000000-0000-4000-8000-000000000000");
    for policy in [&foreign, &unknown] {
        let refused = own.post("/api-keys", json!({"name": "x", "policies": [little, policy]})).await;
        refused.refused(400, "INVALID_PAYLOAD");
        own.patch(&path(&narrow), json!({"policies": [policy]})).await.refused(400, "INVALID_PAYLOAD");
    }
    // He is an administrator by one of his policies; without it his keys lose that, too, within a second.
    world.api.delete(&format!("/access/{grant}"), None).await.expect(204);
    eventually(SOON, || async { with_all.get("/webhooks/endpoints").await.status == 403 }).await;
    let names = async |api: &Api| {
        let list = api.get("/api-keys").await.expect(200).data();
        list.as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&own).await, ["none", "narrow", "whole"]);
    assert_eq!(names(&world.api).await, ["none", "narrow", "whole", "admin's"]);
    assert_eq!(names(&with_little).await.len(), 3);
    let someone = world.api.get("/users/me").await.data()["id"].clone();
    keys_of_others_are_out_of_reach(&own, &of_admin, &someone).await;
    let (given, with_given) =
        made(&world.api, json!({"name": "given", "user": user, "policies": [little]})).await;
    assert_eq!((&given["user"], &given["created_by"]), (&json!(user.to_string()), &someone));
    with_given.get("/users/me").await.expect(200);
    world.api.get(&format!("/api-keys?user={user}&limit=1")).await.expect(200);
    assert_eq!(all.as_str().map(str::len), Some(36));
    // Keys end with their user: suspended at once, deleted for ever.
    world.api.patch(&format!("/users/{user}"), json!({"status": "suspended"})).await.expect(200);
    eventually(SOON, || async { with_given.get("/users/me").await.status == 401 }).await;
    world.api.delete(&format!("/users/{user}"), None).await.expect(204);
    assert_eq!(names(&world.api).await, ["admin's"]);
}

async fn keys_of_others_are_out_of_reach(own: &Api, theirs: &Value, someone: &Value) {
    for answer in [
        own.get(&path(theirs)).await,
        own.patch(&path(theirs), json!({"name": "mine"})).await,
        own.delete(&path(theirs), None).await,
        own.get("/api-keys/00000000-0000-4000-8000-000000000000").await,
        own.get("/api-keys/..%2F..%2Fx").await,
        own.get(&format!("/api-keys?user={}", someone.as_str().unwrap())).await,
        own.post("/api-keys", json!({"name": "x", "user": someone})).await,
        own.with_token(None).get("/api-keys").await,
        own.with_token(None).post("/api-keys", json!({"name": "x"})).await,
    ] {
        assert_eq!(answer.refused(403, "FORBIDDEN").json()["errors"].as_array().unwrap().len(), 1);
    }
}

/// Calls that would change something.
fn writes(own: &str) -> Vec<(&'static str, &str, Value)> {
    vec![
        ("POST", "/items/notes", json!({"n": 2})),
        ("POST", "/items/notes", json!([{"n": 2}, {"n": 3}])),
        ("PATCH", "/items/notes/1", json!({"n": 2})),
        ("PATCH", "/items/notes", json!({"keys": [1], "data": {"n": 2}})),
        ("PUT", "/items/notes", json!([{"id": 1, "n": 2}])),
        ("DELETE", "/items/notes/1", json!({})),
        ("DELETE", "/items/notes", json!([1])),
        ("PATCH", "/users/me", json!({"first_name": "x"})),
        ("POST", "/users", json!({"email": "x@example.com"})),
        ("POST", "/collections", json!({"collection": "more", "schema": {}})),
        ("DELETE", "/collections/notes", json!({})),
        ("POST", "/fields/notes", json!({"field": "m", "type": "integer"})),
        ("POST", "/utils/sort/notes", json!({"item": 1, "to": 1})),
        ("POST", "/utils/undo", json!({"position": 1})),
        ("POST", "/utils/erase", json!({"collection": "notes", "keys": [1]})),
        ("POST", "/schema/apply", json!({"hash": "x", "diff": {}})),
        ("POST", "/events", json!({"name": "custom.x", "payload": {}})),
        ("POST", "/webhooks/endpoints", json!({"url": "http://127.0.0.1:8080/", "events": ["*"]})),
        ("POST", "/api-keys", json!({"name": "more"})),
        ("PATCH", own, json!({"read_only": false})),
        ("DELETE", own, json!({})),
    ]
}

/// What one who only reads may not do, at either door; and nothing has changed.
#[tokio::test]
async fn a_key_that_only_reads_changes_nothing_on_any_road() {
    let world = World::start(shape!()).await;
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    world.api.post("/items/notes", json!({"n": 1})).await.expect(200);
    let (item, key) = made(&world.api, json!({"name": "reads", "read_only": true})).await;
    for path in [
        "/items/notes",
        "/items/notes/1",
        "/collections",
        "/fields",
        "/users",
        "/schema/snapshot",
        "/api-keys",
    ] {
        key.get(path).await.expect(200);
    }
    for path in [
        "/server/info",
        "/server/specs/oas",
        "/activity",
        "/items/notes/1/history",
        "/hooks/runs",
        "/webhooks/endpoints",
    ] {
        key.get(path).await.expect(200);
    }
    let search = Method::from_bytes(b"SEARCH").unwrap();
    key.call(search, "/items/notes", Some(json!({"query": {"limit": 1}}))).await.expect(200);
    let counted =
        "SELECT (SELECT count(*) FROM eventus.events) + (SELECT count(*) FROM eventus.api_keys) * 1000";
    let pool = world.pool().await;
    let before: i64 = sqlx::query_scalar(counted).fetch_one(&pool).await.unwrap();
    let own = path(&item);
    for (method, path, body) in writes(&own) {
        let answer = key.call(Method::from_bytes(method.as_bytes()).unwrap(), path, Some(body)).await;
        assert!([403, 400].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    }
    key.post("/items/notes", json!({"n": 2})).await.refused(403, "FORBIDDEN");
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap();
    let mut items = ItemsServiceClient::new(endpoint.connect().await.unwrap());
    let mut request = tonic::Request::new(CreateItemsRequest {
        collection: "notes".to_owned(),
        payload: br#"{"n":2}"#.as_slice().into(),
        ..Default::default()
    });
    let bearer = format!("Bearer {}", item["key"].as_str().unwrap());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    assert_eq!(items.create_items(request).await.unwrap_err().code(), Code::PermissionDenied);
    let after: i64 = sqlx::query_scalar(counted).fetch_one(&pool).await.unwrap();
    assert_eq!(before, after);
    world.api.patch(&own, json!({"read_only": false})).await.expect(200);
    eventually(SOON, || async { key.post("/items/notes", json!({"n": 2})).await.status == 200 }).await;
}

#[tokio::test]
async fn keys_end_in_time_and_bad_input_makes_none() {
    let world = World::start(shape!()).await;
    let pool = world.pool().await;
    let end: String = sqlx::query_scalar(
        "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '3 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let (_, key) = made(&world.api, json!({"name": "short", "expires": end})).await;
    key.get("/users/me").await.expect(200);
    eventually(SOON, || async { key.get("/users/me").await.status == 401 }).await;
    key.get("/users/me").await.refused(401, "INVALID_CREDENTIALS");
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a\nb"}),
        json!({"name": "x".repeat(256)}),
        json!({"name": 1}),
        json!({"name": "x", "expires": "yesterday"}),
        json!({"name": "x", "expires": "2001-01-01"}),
        json!({"name": "x", "expires": 1}),
        json!({"name": "x", "policies": "all"}),
        json!({"name": "x", "policies": ["x' OR 1=1"]}),
        json!({"name": "x", "read_only": "yes"}),
        json!({"name": "x", "hash": "abc"}),
        json!([{"name": "x"}]),
    ] {
        world.api.post("/api-keys", body).await.refused(400, "INVALID_PAYLOAD");
    }
    for query in ["limit=x", "offset=-1"] {
        world.api.get(&format!("/api-keys?{query}")).await.refused(400, "INVALID_QUERY");
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM eventus.api_keys").fetch_one(&pool).await.unwrap();
    assert_eq!(count, 1);
    for token in ["ek_", &format!("ek_{}", "A".repeat(43)), &format!("ek_{}", "'".repeat(43))] {
        world.api.with_token(Some(token)).get("/users/me").await.refused(401, "INVALID_CREDENTIALS");
    }
    // A taken-over static token may look as it wants.
    let odd = format!("ek_{}", "b".repeat(43));
    world.user("odd@example.com", &odd).await;
    world.api.with_token(Some(&odd)).get("/users/me").await.expect(200);
    let login = json!({"email": "odd@example.com", "password": PASSWORD});
    world.api.with_token(None).post("/auth/login", login).await.expect(200);
}
