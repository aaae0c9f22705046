//! Users: secrets go in and never come out, sessions end, events are short of them.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::World;

const SECRET: &str = "a password that nobody sees";

async fn login(api: &Api, email: &str, password: &str) -> Answer {
    api.with_token(None).post("/auth/login", json!({"email": email, "password": password})).await
}

/// The answer to a call with an access token of a login.
async fn bearer(api: &Api, email: &str, password: &str) -> Api {
    let tokens = login(api, email, password).await.expect(200).data();
    api.with_token(tokens["access_token"].as_str())
}

async fn ends(api: &Api) {
    testkit::eventually(Duration::from_secs(2), || async { api.get("/users/me").await.status == 401 }).await;
}

/// The event of this item; the relay may be at the first admin's own still.
async fn event_of(events: &mut async_nats::Subscriber, key: &Value) -> Value {
    loop {
        let event = events.next().await.unwrap();
        let body: Value = serde_json::from_slice(&event.payload).unwrap();
        if body["key"] == *key {
            return body;
        }
    }
}

#[tokio::test]
async fn a_password_goes_in_and_never_comes_out() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let nats = world.nats.client().await;
    let mut created = nats.subscribe("users.create").await.unwrap();
    testkit::subscribed(&nats).await;
    let token = "a-token-that-nobody-sees";
    let user = json!({"email": "Eva@example.com", "password": SECRET, "token": token, "first_name": "Eva"});
    let made = api.post("/users", user).await.expect(200);
    assert!(!made.text.contains(SECRET) && !made.text.contains(token), "{}", made.text);
    let made = made.data();
    assert_eq!((&made["password"], &made["token"]), (&json!("**********"), &json!("**********")));
    let body =
        tokio::time::timeout(Duration::from_secs(10), event_of(&mut created, &made["id"])).await.unwrap();
    assert_eq!(body["collection"], "directus_users");
    assert_eq!(
        (&body["payload"]["first_name"], &body["payload"]["password"]),
        (&json!("Eva"), &json!("**********"))
    );
    // Not by case, but by password.
    login(api, "eva@EXAMPLE.com", SECRET).await.expect(200);
    let by_token = api.with_token(Some(token)).get("/users/me").await.expect(200).data();
    assert_eq!(by_token, json!({"id": made["id"]}));
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    let masks = json!({"password": "**********", "token": "**********", "last_name": "B"});
    api.patch(&path, masks).await.expect(200);
    login(api, "eva@example.com", SECRET).await.expect(200);
    api.with_token(Some(token)).get("/users/me").await.expect(200);
    let other = api.patch(&path, json!({"password": "another one"})).await.expect(200);
    assert!(!other.text.contains("another"));
    login(api, "eva@example.com", "another one").await.expect(200);
    login(api, "eva@example.com", SECRET).await.refused(401, "INVALID_CREDENTIALS");
    // A hash is a text like any other: whoever knows the stored one can't make it his password.
    let pool = world.pool().await;
    let stored = "SELECT password FROM directus_users WHERE email = 'Eva@example.com'";
    let hash: String = sqlx::query_scalar(stored).fetch_one(&pool).await.unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    api.patch(&path, json!({"password": hash})).await.expect(200);
    login(api, "eva@example.com", "another one").await.refused(401, "INVALID_CREDENTIALS");
    login(api, "eva@example.com", &hash).await.expect(200);
    let log = "SELECT string_agg(concat(payload, previous, fields), ' ') FROM eventus.events";
    let log: String = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    let logs = world.whole_logs();
    for secret in [SECRET, "another one", token, "$argon2", "sha256:"] {
        assert!(!log.contains(secret) && !logs.contains(secret), "{secret} is written down");
    }
    let nonsense = [
        json!({"password": ""}),
        json!({"password": ["x"]}),
        json!({"token": ""}),
        json!({"tfa_secret": "x"}),
    ];
    for refused in nonsense {
        api.patch(&path, refused).await.refused(400, "INVALID_PAYLOAD");
    }
    let twice = api.post("/users", json!({"token": token})).await.refused(400, "RECORD_NOT_UNIQUE");
    assert!(!twice.text.contains("sha256"), "{}", twice.text);
}

#[tokio::test]
async fn addresses_are_unique_whatever_their_case() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    api.post("/users", json!({"email": "one@example.com"})).await.expect(200);
    let two = api.post("/users", json!({"email": "two@example.com"})).await.expect(200).data();
    let refused =
        api.post("/users", json!({"email": "ONE@example.com"})).await.refused(400, "RECORD_NOT_UNIQUE");
    assert_eq!(refused.json()["errors"][0]["extensions"]["field"], "email");
    let path = format!("/users/{}", two["id"].as_str().unwrap());
    api.patch(&path, json!({"email": "One@Example.com"})).await.refused(400, "RECORD_NOT_UNIQUE");
    let pair = json!([{"email": "three@example.com"}, {"email": "Three@example.com"}]);
    api.post("/users", pair).await.refused(400, "RECORD_NOT_UNIQUE");
    api.patch(&path, json!({"email": "TWO@example.com"})).await.expect(200);
    let at_once = (0..6).map(|n| {
        let email = if n % 2 == 0 { "race@example.com" } else { "RACE@example.com" };
        api.post("/users", json!({"email": email}))
    });
    let made =
        futures_util::future::join_all(at_once).await.into_iter().filter(|answer| answer.status == 200);
    assert_eq!(made.count(), 1);
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM directus_users")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(users, 4);
}

#[tokio::test]
async fn sessions_end_with_what_they_were_opened_by() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let role = api.post("/roles", json!({"name": "r"})).await.expect(200).data()["id"].clone();
    let made = json!({"email": "eva@example.com", "password": SECRET, "status": "active"});
    let made = api.post("/users", made).await.expect(200).data();
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    let mut email = "eva@example.com";
    for change in [json!({"email": "ava@example.com"}), json!({"role": role}), json!({"password": SECRET})] {
        let session = bearer(api, email, SECRET).await;
        session.get("/users/me").await.expect(200);
        api.patch(&path, change.clone()).await.expect(200);
        ends(&session).await;
        email = "ava@example.com";
    }
    let session = bearer(api, email, SECRET).await;
    api.patch(&path, json!({"first_name": "Ava"})).await.expect(200);
    session.get("/users/me").await.expect(200);
    api.patch(&path, json!({"status": "suspended"})).await.expect(200);
    ends(&session).await;
    login(api, email, SECRET).await.refused(401, "INVALID_CREDENTIALS");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM directus_sessions")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
    // Who changes his own password goes on in the session in which he does; his others end.
    let [here, there] = [
        bearer(api, "admin@example.com", crate::world::PASSWORD).await,
        bearer(api, "admin@example.com", crate::world::PASSWORD).await,
    ];
    here.patch("/users/me", json!({"password": "new admin password"})).await.expect(200);
    ends(&there).await;
    here.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn rights_are_in_force_at_once() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let user = world.user("user@example.com", "a-static-token-of-a-user").await;
    let somebody = api.with_token(Some("a-static-token-of-a-user"));
    somebody.get("/users").await.refused(403, "FORBIDDEN");
    let policy = json!({"name": "all", "admin_access": true});
    let policy = api.post("/policies", policy).await.expect(200).data()["id"].clone();
    let access = api.post("/access", json!({"user": user, "policy": policy})).await.expect(200).data();
    let served = async |status: u16| {
        testkit::eventually(Duration::from_secs(2), || async {
            somebody.get("/users").await.status == status
        })
        .await;
    };
    served(200).await;
    api.delete(&format!("/access/{}", access["id"].as_str().unwrap()), None).await.expect(204);
    served(403).await;
    api.patch(&format!("/users/{user}"), json!({"token": null})).await.expect(200);
    served(401).await;
}

#[tokio::test]
async fn hash_fields_of_users_are_hashed() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world
        .collection(
            "vaults",
            json!([{"field": "pin", "type": "hash"}, {"field": "code", "type": "string", "meta": {"special": ["hash"]}}, {"field": "n", "type": "integer"}]),
        )
        .await;
    let made =
        api.post("/items/vaults", json!({"pin": 1234, "code": "open sesame"})).await.expect(200).data();
    assert_eq!(made, json!({"id": 1, "pin": "**********", "code": "**********", "n": null}));
    let stored = async || {
        let sql = "SELECT pin, code FROM vaults WHERE id = 1";
        sqlx::query_as::<_, (Option<String>, Option<String>)>(sql)
            .fetch_one(&world.pool().await)
            .await
            .unwrap()
    };
    let before = stored().await;
    assert!(
        before.0.as_ref().unwrap().starts_with("$argon2id$")
            && before.1.as_ref().unwrap().starts_with("$argon2id$")
    );
    api.patch("/items/vaults/1", json!({"pin": "**********", "n": 1})).await.expect(200);
    assert_eq!(stored().await, before);
    let none = api.patch("/items/vaults/1?fields=pin", json!({"pin": null})).await.expect(200).data();
    assert_eq!(none, json!({"pin": null}));
    let log =
        "SELECT string_agg(concat(payload, previous), ' ') FROM eventus.events WHERE collection = 'vaults'";
    let log: String = sqlx::query_scalar(log).fetch_one(&world.pool().await).await.unwrap();
    assert!(!log.contains("sesame") && !log.contains("argon2") && !log.contains("1234"), "{log}");
    let bad = json!({"field": "x", "type": "hash", "schema": {"default_value": "plain"}});
    api.post("/fields/vaults", bad).await.refused(400, "INVALID_PAYLOAD");
}
