//! Second factors: shown once, needed from then on, accepted once.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use model::{Clock as _, SystemClock};
use ring::hmac;
use serde_json::{Value, json};

use super::{ADMIN, PASSWORD, claims, login, login_with};
use crate::api::Api;
use crate::world::World;

/// The one-time password of a step of time, counted from the present one.
fn otp(secret: &str, steps: i64) -> String {
    let key = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let step = SystemClock.now().unix_timestamp() / 30 + steps;
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

fn bearer(api: &Api, tokens: &Value) -> Api {
    api.with_token(tokens["access_token"].as_str())
}

/// Gives a user of this login a second factor; its secret.
async fn enabled(api: &Api, email: &str, password: &str) -> String {
    let own = bearer(api, &login(api, email, password).await.expect(200).data());
    let made = own.post("/users/me/tfa/generate", json!({"password": password})).await.expect(200).data();
    let secret = made["secret"].as_str().unwrap().to_owned();
    own.post("/users/me/tfa/enable", json!({"secret": secret, "otp": otp(&secret, 0)})).await.expect(204);
    secret
}

#[tokio::test]
async fn a_login_needs_it_and_takes_it_once() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.user("eva@example.com", "eva-token").await;
    let first = login(api, "eva@example.com", PASSWORD).await.expect(200).data();
    let other = login(api, "eva@example.com", PASSWORD).await.expect(200).data();
    let own = bearer(api, &first);
    own.post("/users/me/tfa/generate", json!({"password": "wrong"}))
        .await
        .refused(401, "INVALID_CREDENTIALS");
    let made = own.post("/users/me/tfa/generate", json!({"password": PASSWORD})).await.expect(200).data();
    let secret = made["secret"].as_str().unwrap();
    let url = format!(
        "otpauth://totp/Directus:eva%40example%2Ecom?secret={secret}&period=30&digits=6&algorithm=SHA1&issuer=Directus"
    );
    assert_eq!(made["otpauth_url"], url);
    // Nothing is stored yet.
    login(api, "eva@example.com", PASSWORD).await.expect(200);
    own.post("/users/me/tfa/disable", json!({"otp": otp(secret, 0)})).await.refused(400, "INVALID_PAYLOAD");
    for wrong in ["000000", "12345", "1234567", "abcdef"] {
        let body = json!({"secret": secret, "otp": wrong});
        own.post("/users/me/tfa/enable", body).await.refused(400, "INVALID_PAYLOAD");
    }
    own.post("/users/me/tfa/enable", json!({"secret": secret, "otp": otp(secret, 0)})).await.expect(204);
    let stored: (Option<String>,) =
        sqlx::query_as("SELECT tfa_secret FROM directus_users WHERE email = 'eva@example.com'")
            .fetch_one(&world.pool().await)
            .await
            .unwrap();
    assert_eq!(stored.0.as_deref(), Some(secret), "as the original stores it");
    // His other sessions are over, everywhere and at once; this one goes on.
    let others = bearer(api, &other);
    testkit::eventually(Duration::from_secs(2), || async { others.get("/users/me").await.status == 401 })
        .await;
    own.get("/users/me").await.expect(200);
    let refresh = json!({"refresh_token": other["refresh_token"]});
    api.with_token(None).post("/auth/refresh", refresh).await.refused(401, "INVALID_CREDENTIALS");
    login(api, "eva@example.com", PASSWORD).await.refused(401, "INVALID_OTP");
    login_with(api, "eva@example.com", PASSWORD, "000000").await.refused(401, "INVALID_OTP");
    // The one that enabled it was accepted once.
    login_with(api, "eva@example.com", PASSWORD, &otp(secret, 0)).await.refused(401, "INVALID_OTP");
    let next = otp(secret, 1);
    login_with(api, "eva@example.com", "wrong", &next).await.refused(401, "INVALID_CREDENTIALS");
    login_with(api, "eva@example.com", PASSWORD, &next).await.expect(200);
    login_with(api, "eva@example.com", PASSWORD, &next).await.refused(401, "INVALID_OTP");
    let log = "SELECT string_agg(concat(payload, previous), ' ') FROM eventus.events";
    let log: String = sqlx::query_scalar(log).fetch_one(&world.pool().await).await.unwrap();
    assert!(!log.contains(secret) && log.contains(r#""tfa_secret":"**********""#), "{log}");
    assert!(!world.whole_logs().contains(secret));
    assert!(!world.api.get("/users").await.text.contains(secret));
}

#[tokio::test]
async fn two_at_once_with_one_otp_are_one_login() {
    let world = World::start(shape!()).await;
    let secret = enabled(&world.api, ADMIN, PASSWORD).await;
    let next = otp(&secret, 1);
    let tries = (0..6).map(|_| login_with(&world.api, ADMIN, PASSWORD, &next));
    let answers = futures_util::future::join_all(tries).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1, "{answers:?}");
    assert!(answers.iter().all(|a| a.status == 200 || a.code() == "INVALID_OTP"), "{answers:?}");
}

#[tokio::test]
async fn it_is_disabled_by_its_owner_or_an_administrator() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let eva = world.user("eva@example.com", "eva-token").await;
    let secret = enabled(api, "eva@example.com", PASSWORD).await;
    let own = api.with_token(Some("eva-token"));
    own.post("/users/me/tfa/generate", json!({"password": PASSWORD})).await.refused(400, "INVALID_PAYLOAD");
    let again = json!({"secret": secret, "otp": otp(&secret, 1)});
    own.post("/users/me/tfa/enable", again).await.refused(400, "INVALID_PAYLOAD");
    own.post("/users/me/tfa/disable", json!({"otp": "000000"})).await.refused(400, "INVALID_PAYLOAD");
    let path = format!("/users/{eva}/tfa/disable");
    own.post(&path, json!({})).await.refused(403, "FORBIDDEN");
    api.with_token(None).post(&path, json!({})).await.refused(401, "INVALID_CREDENTIALS");
    own.post("/users/me/tfa/disable", json!({"otp": otp(&secret, 1)})).await.expect(204);
    login(api, "eva@example.com", PASSWORD).await.expect(200);
    own.post("/users/me/tfa/disable", json!({"otp": otp(&secret, 1)})).await.refused(400, "INVALID_PAYLOAD");
    // Whoever enables one again begins where the last one-time password was accepted.
    sqlx::query("UPDATE eventus.logins SET otp_step = NULL").execute(&world.pool().await).await.unwrap();
    enabled(api, "eva@example.com", PASSWORD).await;
    login(api, "eva@example.com", PASSWORD).await.refused(401, "INVALID_OTP");
    for _ in 0..2 {
        api.post(&path, json!({})).await.expect(204);
    }
    login(api, "eva@example.com", PASSWORD).await.expect(200);
    api.post("/users/00000000-0000-4000-8000-0000000fffff/tfa/disable", json!({})).await.expect(204);
    api.post("/users/nouuid/tfa/disable", json!({})).await.refused(403, "FORBIDDEN");
    let events: Vec<String> = sqlx::query_scalar(
        "SELECT payload::text FROM eventus.events WHERE name = 'users.update' AND key = $1 ORDER BY position",
    )
    .bind(eva.to_string())
    .fetch_all(&world.pool().await)
    .await
    .unwrap();
    let (set, gone) = (r#"{"tfa_secret":"**********"}"#, r#"{"tfa_secret":null}"#);
    assert_eq!(events, [set, gone, set, gone]);
}

#[tokio::test]
async fn bad_input_changes_nothing() {
    let world = World::start(shape!()).await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    world.user("eva@example.com", "eva-token").await;
    let own = api.with_token(Some("eva-token"));
    let secret = "DALV2523MEXVEFZRDALV2523MEXVEFZR";
    let short = json!({"secret": "AAAA", "otp": otp("AAAA", 0)});
    let bodies = [
        ("generate", json!({})),
        ("generate", json!({"password": {"a": 1}})),
        ("generate", json!(["x"])),
        ("enable", json!({})),
        ("enable", json!({"secret": secret})),
        ("enable", json!({"otp": "123456"})),
        ("enable", json!({"secret": secret, "otp": 123_456})),
        ("enable", json!({"secret": "not base32!", "otp": "123456"})),
        ("enable", short),
        ("disable", json!({})),
        ("disable", json!({"otp": ["123456"]})),
    ];
    for (what, body) in bodies {
        let path = format!("/users/me/tfa/{what}");
        own.post(&path, body.clone()).await.refused(400, "INVALID_PAYLOAD");
        nobody.post(&path, body).await.refused(401, "INVALID_CREDENTIALS");
    }
    let eva = "SELECT count(*) FROM directus_users WHERE tfa_secret IS NOT NULL";
    let set: i64 = sqlx::query_scalar(eva).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(set, 0);
}

/// A secret of the original's length, in the column where the original has it, and the claim by which the app asks for one.
#[tokio::test]
async fn what_the_original_has_stored_works_and_policies_ask_for_one() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let eva = world.user("eva@example.com", "eva-token").await;
    let policy = json!({"name": "careful", "enforce_tfa": true, "app_access": true});
    let policy = api.post("/policies", policy).await.expect(200).data();
    api.post("/access", json!({"user": eva, "policy": policy["id"]})).await.expect(200);
    let tokens = login(api, "eva@example.com", PASSWORD).await.expect(200).data();
    assert_eq!(claims(tokens["access_token"].as_str().unwrap())["enforce_tfa"], true);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let tokens = api.with_token(None).post("/auth/refresh", refresh).await.expect(200).data();
    assert_eq!(claims(tokens["access_token"].as_str().unwrap())["enforce_tfa"], true);
    let secret = "DALV2523MEXVEFZR";
    sqlx::query("UPDATE directus_users SET tfa_secret = $2 WHERE id = $1")
        .bind(eva)
        .bind(secret)
        .execute(&world.pool().await)
        .await
        .unwrap();
    login(api, "eva@example.com", PASSWORD).await.refused(401, "INVALID_OTP");
    let tokens = login_with(api, "eva@example.com", PASSWORD, &otp(secret, 0)).await.expect(200).data();
    assert!(claims(tokens["access_token"].as_str().unwrap()).get("enforce_tfa").is_none());
}
