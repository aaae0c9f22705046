//! Guests of shares: who comes in, for how long, and what they see.

mod guests;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::world::{Options, Shape, World};

const ROLE: &str = "00000000-0000-4000-8000-00000000cccc";

/// A fleet with an item and a role.
async fn start(shape: Shape) -> World {
    let world = World::with(shape, Options::default().set("LOGIN_STALL_TIME", "40")).await;
    world.collection("things", json!([{"field": "name", "type": "string"}])).await;
    world.api.post("/items/things", json!([{"name": "one"}, {"name": "two"}])).await.expect(200);
    world.api.post("/roles", json!({"id": ROLE, "name": "Guests"})).await.expect(200);
    world
}

/// A share of the first item.
async fn share(world: &World, more: Value) -> String {
    let mut share = json!({"collection": "things", "item": "1", "role": ROLE, "name": "one"});
    share.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = world.api.post("/shares", share).await.expect(200).data();
    made["id"].as_str().unwrap().to_owned()
}

/// As nobody.
fn nobody(world: &World) -> Api {
    world.api.with_token(None)
}

/// The tokens of a guest.
async fn guest(world: &World, share: &str, password: &str) -> Value {
    let body = json!({"share": share, "password": password});
    nobody(world).post("/shares/auth", body).await.expect(200).data()
}

/// Waits until a token is good for nothing.
async fn out(api: &Api) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while api.get("/users/me").await.status != 401 {
        assert!(Instant::now() < deadline, "the guest is still in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn guests_come_in_and_go() {
    let world = start(shape!()).await;
    let (open, locked) = (share(&world, json!({})).await, share(&world, json!({"password": "sesame"})).await);
    let api = nobody(&world);
    let info = api.get(&format!("/shares/info/{open}")).await.expect(200);
    let expected = format!(
        r#"{{"data":{{"id" : "{open}", "collection" : "things", "item" : "1", "password" : null, "max_uses" : null, "times_used" : 0, "date_start" : null, "date_end" : null}}}}"#
    );
    assert_eq!(info.json(), serde_json::from_str::<Value>(&expected).unwrap());
    assert_eq!(api.get(&format!("/shares/info/{locked}")).await.expect(200).data()["password"], "**********");

    let tokens = guest(&world, &open, "").await;
    let token = tokens["access_token"].as_str().unwrap();
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64(claims);
    assert_eq!((&claims["share"], &claims["role"], claims.get("id")), (&json!(open), &Value::Null, None));
    assert_eq!((&claims["admin_access"], &claims["app_access"]), (&json!(false), &json!(false)));
    let me = api.with_token(Some(token));
    assert_eq!(me.get("/users/me").await.expect(200).data(), json!({"share": open}));
    assert_eq!(api.get(&format!("/shares/info/{open}")).await.expect(200).data()["times_used"], 1);

    // The other modes.
    let answer = api.post("/shares/auth", json!({"share": open, "mode": "session"})).await.expect(200);
    assert!(answer.header("set-cookie").unwrap().starts_with("directus_session_token="));
    assert_eq!(answer.data().as_object().unwrap().len(), 1);
    let answer = api.post("/shares/auth", json!({"share": open, "mode": "cookie"})).await.expect(200);
    assert!(answer.header("set-cookie").unwrap().starts_with("directus_refresh_token="));
    assert!(answer.data()["refresh_token"].is_null());

    // Sessions like any other: refreshed, and over after a logout or a second use of an old token.
    let refreshed = api.post("/auth/refresh", json!({"refresh_token": tokens["refresh_token"]})).await;
    let refreshed = refreshed.expect(200).data();
    let me = api.with_token(refreshed["access_token"].as_str());
    assert_eq!(me.get("/users/me").await.expect(200).data(), json!({"share": open}));
    api.post("/auth/logout", json!({"refresh_token": refreshed["refresh_token"]})).await.expect(204);
    out(&me).await;
    api.post("/auth/refresh", json!({"refresh_token": refreshed["refresh_token"]})).await.expect(401);
    let sql = "SELECT payload::text FROM eventus.events WHERE name = 'shares.update' ORDER BY position";
    let told: Vec<String> = sqlx::query_scalar(sql).fetch_all(&world.pool().await).await.unwrap();
    assert_eq!(told, [1, 2, 3].map(|times| format!(r#"{{"times_used":{times}}}"#)));
}

fn base64(text: &str) -> Value {
    let value = |byte: u8| {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        u32::try_from(alphabet.bytes().position(|known| known == byte).unwrap()).unwrap()
    };
    let bits =
        |chunk: &[u8]| chunk.iter().fold(0, |all, byte| all << 6 | value(*byte)) << (6 * (4 - chunk.len()));
    let bytes = text.as_bytes().chunks(4).flat_map(|chunk| {
        let all = bits(chunk).to_be_bytes();
        all[1..chunk.len()].to_vec()
    });
    serde_json::from_slice(&bytes.collect::<Vec<u8>>()).unwrap()
}

#[tokio::test]
async fn guests_have_no_rights_of_their_own() {
    let world = start(shape!()).await;
    // Whatever the public may see, a guest's token does not.
    let open = share(&world, json!({})).await;
    let tokens = guest(&world, &open, "").await;
    let me = nobody(&world).with_token(tokens["access_token"].as_str());
    for path in [
        "/items/things",
        "/items/things/1",
        "/items/things/2",
        "/shares",
        "/users",
        "/roles",
        "/permissions",
        "/activity",
        "/revisions",
        "/roles/me",
        "/collections/things",
        "/events",
        "/analytics/metrics",
    ] {
        me.get(path).await.refused(403, "FORBIDDEN");
    }
    for (path, body) in [
        ("/items/things", json!({"name": "three"})),
        ("/shares", json!({"collection": "things", "item": "2"})),
        ("/events", json!({"event": "custom.x", "payload": {}})),
    ] {
        assert!([401, 403].contains(&me.post(path, body).await.status), "{path}");
    }
    me.patch("/users/me", json!({"first_name": "x"})).await.expect(401);
    me.patch("/items/things/1", json!({"name": "x"})).await.refused(403, "FORBIDDEN");
    me.delete("/items/things/1", None).await.refused(403, "FORBIDDEN");
    assert!(me.get("/server/info").await.expect(200).data()["version"].is_null());
}

#[tokio::test]
async fn what_may_not_be_used_is_refused_alike() {
    let world = start(shape!()).await;
    let api = nobody(&world);
    let ended = share(&world, json!({"date_end": "2020-01-01T00:00:00Z"})).await;
    let early = share(&world, json!({"date_start": "2090-01-01T00:00:00Z"})).await;
    let locked = share(&world, json!({"password": "sesame"})).await;
    let missing = "00000000-0000-4000-8000-000000000000".to_owned();
    let mut answers = Vec::new();
    for id in [&ended, &early, &locked, &missing] {
        for body in [
            json!({"share": id}),
            json!({"share": id, "password": "wrong"}),
            json!({"share": id, "password": ""}),
        ] {
            answers.push(api.post("/shares/auth", body).await.refused(401, "INVALID_CREDENTIALS").text);
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    for id in [&ended, &early, &missing] {
        api.get(&format!("/shares/info/{id}")).await.refused(403, "FORBIDDEN");
    }
    api.get("/shares/info/x").await.refused(404, "ROUTE_NOT_FOUND");
    for bad in [
        json!({}),
        json!({"share": "x"}),
        json!({"share": 1}),
        json!({"share": locked, "password": 1}),
        json!({"share": locked, "mode": "x"}),
    ] {
        api.post("/shares/auth", bad).await.refused(400, "INVALID_PAYLOAD");
    }
    let sessions = async || -> i64 {
        let sql = "SELECT count(*) FROM directus_sessions";
        sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap()
    };
    assert_eq!(sessions().await, 0);

    // No more than may come in, however many come at once.
    let few = share(&world, json!({"max_uses": 3, "password": "sesame"})).await;
    let calls = (0..12).map(|_| api.post("/shares/auth", json!({"share": few, "password": "sesame"})));
    let calls = futures_util::future::join_all(calls).await;
    assert_eq!(calls.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(
        (sessions().await, world.api.get(&format!("/shares/{few}")).await.data()["times_used"].as_i64()),
        (3, Some(3))
    );
}

#[tokio::test]
async fn passwords_are_not_guessed() {
    let world = start(shape!()).await;
    let api = nobody(&world);
    let (locked, other) = (
        share(&world, json!({"password": "sesame"})).await,
        share(&world, json!({"password": "sesame"})).await,
    );
    for _ in 0..10 {
        let wrong = json!({"share": locked, "password": "wrong"});
        api.post("/shares/auth", wrong).await.refused(401, "INVALID_CREDENTIALS");
    }
    let answer = api.post("/shares/auth", json!({"share": locked, "password": "sesame"})).await;
    assert!(answer.header("retry-after").is_some());
    answer.refused(429, "REQUESTS_EXCEEDED");
    guest(&world, &other, "sesame").await;
}

#[tokio::test]
async fn a_share_that_changes_or_goes_takes_its_guests_along() {
    let world = start(shape!()).await;
    let api = nobody(&world);
    let enter = async |more: Value| {
        let id = share(&world, more).await;
        let tokens = guest(&world, &id, "sesame").await;
        let me = api.with_token(tokens["access_token"].as_str());
        me.get("/users/me").await.expect(200);
        (id, me, tokens["refresh_token"].clone())
    };
    let past = json!({"date_end": "2020-01-01T00:00:00Z"});
    for change in [json!({"password": "other"}), json!({"password": null}), past] {
        let (id, me, refresh) = enter(json!({"password": "sesame"})).await;
        world.api.patch(&format!("/shares/{id}"), change).await.expect(200);
        out(&me).await;
        api.post("/auth/refresh", json!({"refresh_token": refresh}))
            .await
            .refused(401, "INVALID_CREDENTIALS");
    }
    let (id, me, refresh) = enter(json!({})).await;
    world.api.patch(&format!("/shares/{id}"), json!({"name": "another"})).await.expect(200);
    me.get("/users/me").await.expect(200);
    world.api.delete(&format!("/shares/{id}"), None).await.expect(204);
    out(&me).await;
    api.post("/auth/refresh", json!({"refresh_token": refresh})).await.refused(401, "INVALID_CREDENTIALS");
    // With its role.
    let (_, me, _) = enter(json!({})).await;
    world.api.delete(&format!("/roles/{ROLE}"), None).await.expect(204);
    out(&me).await;

    // With whoever made it.
    let editor = world.user("editor@example.com", "share-suite-editor-token-0001").await;
    let (id, me, _) = enter(json!({"role": null})).await;
    let sql = "UPDATE directus_shares SET user_created = $1 WHERE id = $2::uuid";
    sqlx::query(sql).bind(editor).bind(&id).execute(&world.pool().await).await.unwrap();
    me.get("/users/me").await.expect(200);
    world.api.patch(&format!("/users/{editor}"), json!({"status": "suspended"})).await.expect(200);
    out(&me).await;
    api.post("/shares/auth", json!({"share": id})).await.refused(401, "INVALID_CREDENTIALS");
    api.get(&format!("/shares/info/{id}")).await.refused(403, "FORBIDDEN");
}
