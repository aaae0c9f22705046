//! Passwords that were forgotten, and what passwords have to be.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::Smtp;

use super::{ADMIN, PASSWORD, claims, login, mailing, settings};
use crate::world::World;

const REQUEST: &str = "/auth/password/request";
const RESET: &str = "/auth/password/reset";

#[tokio::test]
async fn a_link_sets_a_password_once() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("PASSWORD_RESET_URL_ALLOW_LIST", "https://app.example.com/reset")]).await;
    let nobody = world.api.with_token(None);
    world.user("eva@example.com", "eva-token").await;
    let before = login(&nobody, "eva@example.com", PASSWORD).await.expect(200).data();
    nobody.post(REQUEST, json!({"email": "EVA@example.com"})).await.expect(204);
    let mail = smtp.wait(1).await.remove(0);
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("no-reply@example.com", &["eva@example.com".to_owned()][..])
    );
    assert_eq!(mail.header("subject"), Some("Password Reset Request"));
    assert!(mail.text().contains("https://data.example.com/admin/reset-password?token="), "{}", mail.text());
    let token = mail.token();
    let said = claims(&token);
    assert_eq!((&said["email"], &said["scope"]), (&json!("eva@example.com"), &json!("password-reset")));
    assert!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap() <= 3_600);
    // The second link is as good until one of them is used.
    let page = json!({"email": "eva@example.com", "reset_url": "https://app.example.com/reset?lang=de"});
    nobody.post(REQUEST, page).await.expect(204);
    let second = smtp.wait(2).await.remove(1);
    assert!(second.text().contains("https://app.example.com/reset?lang=de&token="), "{}", second.text());
    for wrong in [
        json!({"token": token}),
        json!({"token": token, "password": ""}),
        json!({"token": token, "password": {"a": 1}}),
        json!({"token": {"$gt": ""}, "password": "x"}),
    ] {
        nobody.post(RESET, wrong).await.refused(400, "INVALID_PAYLOAD");
    }
    let body = json!({"token": token, "password": "a new password", "status": "active", "role": "x"});
    nobody.post(RESET, body).await.expect(204);
    login(&nobody, "eva@example.com", PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    login(&nobody, "eva@example.com", "a new password").await.expect(200);
    let own = nobody.with_token(before["access_token"].as_str());
    testkit::eventually(Duration::from_secs(2), || async { own.get("/users/me").await.status == 401 }).await;
    for token in [token, second.token()] {
        let again = json!({"token": token, "password": "another one"});
        nobody.post(RESET, again).await.refused(403, "FORBIDDEN");
    }
    assert!(!world.whole_logs().contains(&second.token()));
    let pool = world.pool().await;
    let log = "SELECT string_agg(concat(payload, previous, fields), ' ') FROM eventus.events";
    let log: String = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    assert!(!log.contains("a new password") && !log.contains(&second.token()));
    let who: Option<uuid::Uuid> = sqlx::query_scalar(
        "SELECT \"user\" FROM eventus.events WHERE name = 'users.update' ORDER BY position DESC LIMIT 1",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(who.is_some(), "he did it himself");
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_one_sets_the_password() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let nobody = world.api.with_token(None);
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let token = smtp.wait(1).await[0].token();
    let tries =
        (0..6).map(|n| nobody.post(RESET, json!({"token": token, "password": format!("password {n}")})));
    let answers = futures_util::future::join_all(tries).await;
    let good: Vec<usize> = (0..6).filter(|n| answers[*n].status == 204).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 204 | 403)), "{answers:?}");
    login(&nobody, ADMIN, &format!("password {}", good[0])).await.expect(200);
}

#[tokio::test]
async fn nobody_learns_whether_there_is_a_user() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("PASSWORD_RESET_URL_ALLOW_LIST", "https://app.example.com/reset")]).await;
    let nobody = world.api.with_token(None);
    let pool = world.pool().await;
    for (name, sql) in [
        ("gone", "UPDATE directus_users SET status = 'suspended' WHERE email = 'gone@example.com'"),
        ("sso", "UPDATE directus_users SET provider = 'google' WHERE email = 'sso@example.com'"),
        ("asked", "UPDATE directus_users SET status = 'invited' WHERE email = 'asked@example.com'"),
    ] {
        world.user(&format!("{name}@example.com"), &format!("{name}-token")).await;
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    for wrong in [
        json!({}),
        json!({"email": 5}),
        json!({"email": ["a@example.com"]}),
        json!({"email": {"$ne": ""}}),
        json!({"email": "a@b.cd", "reset_url": 5}),
    ] {
        nobody.post(REQUEST, wrong).await.refused(400, "INVALID_PAYLOAD");
    }
    let asked = [
        "nobody@example.com",
        "not an address",
        "gone@example.com",
        "sso@example.com",
        "asked@example.com",
        ADMIN,
    ];
    for email in asked {
        let begun = Instant::now();
        nobody.post(REQUEST, json!({"email": email})).await.expect(204);
        let took = begun.elapsed().as_millis();
        assert!(took >= 100, "{email}: {took} ms");
        let evil = json!({"email": email, "reset_url": "https://app.example.com@evil.example/reset"});
        let begun = Instant::now();
        let refused = nobody.post(REQUEST, evil).await.refused(400, "INVALID_PAYLOAD");
        assert!(refused.text.contains("can't be used to reset passwords"), "{}", refused.text);
        let took = begun.elapsed().as_millis();
        assert!(took >= 100, "{email}: {took} ms");
    }
    assert_eq!(smtp.wait(1).await[0].to, [ADMIN]);
    let mails: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.mails").fetch_one(&pool).await.unwrap();
    assert_eq!(mails, 1);
    // Nobody is drowned in mails.
    for _ in 0..8 {
        nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    }
    assert_eq!(smtp.wait(5).await.len(), 5);
    let mails: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.mails").fetch_one(&pool).await.unwrap();
    assert_eq!(mails, 5);
    // Links lead where the settings say, whatever a header says.
    let forged = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("content-type", "application/json"),
    ];
    world.user("eva@example.com", "eva-token").await;
    let body = json!({"email": "eva@example.com"}).to_string();
    nobody.raw(http::Method::POST, REQUEST, &forged, body).await.unwrap().expect(204);
    assert!(!smtp.wait(6).await[5].source.contains("evil"));
}

#[tokio::test]
async fn tokens_that_are_none() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let nobody = world.api.with_token(None);
    let access = login(&nobody, ADMIN, PASSWORD).await.expect(200).data()["access_token"].clone();
    for token in [json!("x"), json!("a.b.c"), access] {
        for path in [RESET, "/users/invite/accept"] {
            let body = json!({"token": token, "password": "a new password"});
            nobody.post(path, body).await.refused(403, "INVALID_TOKEN");
        }
    }
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let token = smtp.wait(1).await[0].token();
    // It is for a password, and for nothing else.
    let body = json!({"token": token, "password": "a new password"});
    nobody.post("/users/invite/accept", body).await.refused(403, "FORBIDDEN");
    nobody.get(&format!("/users/register/verify-email?token={token}")).await.refused(403, "FORBIDDEN");
    nobody.with_token(Some(&token)).get("/users/me").await.refused(403, "INVALID_TOKEN");
    let mut bent = token.clone().into_bytes();
    let last = bent.len() - 5;
    bent[last] = if bent[last] == b'A' { b'B' } else { b'A' };
    let bent = json!({"token": String::from_utf8(bent).unwrap(), "password": "a new password"});
    nobody.post(RESET, bent).await.refused(403, "INVALID_TOKEN");
    login(&nobody, ADMIN, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn the_policy_holds_on_every_road() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    let eva = world.user("eva@example.com", "eva-token").await;
    let path = format!("/users/{eva}");
    nobody.post(REQUEST, json!({"email": "eva@example.com"})).await.expect(204);
    let token = smtp.wait(1).await[0].token();
    settings(&world, json!({"auth_password_policy": "/^.{8,}$/"})).await;
    let refused = nobody.post(RESET, json!({"token": token, "password": "short"})).await;
    let refused = refused.refused(400, "FAILED_VALIDATION");
    let said = &refused.json()["errors"][0]["extensions"];
    assert_eq!((&said["field"], &said["type"]), (&json!("password"), &json!("regex")));
    assert!(!refused.text.contains("short"), "{}", refused.text);
    api.post("/users", json!({"email": "new@example.com", "password": "short"}))
        .await
        .refused(400, "FAILED_VALIDATION");
    api.patch(&path, json!({"password": "short"})).await.refused(400, "FAILED_VALIDATION");
    api.patch("/users/me", json!({"password": "short"})).await.refused(400, "FAILED_VALIDATION");
    api.patch(&path, json!({"password": "**********", "first_name": "Eva"})).await.expect(200);
    api.post("/users", json!({"email": "none@example.com"})).await.expect(200);
    nobody.post(RESET, json!({"token": token, "password": "long enough"})).await.expect(204);
    let strong = r"/(?=^.{8,}$)(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[!@#$%^&*()_+}{';'?>.<,])(?!.*\s).*$/";
    for (policy, good, bad) in
        [("^.{8,}$", "12345678", "1234567"), ("abc", "xabcx", "ABC"), (strong, "Passw0rd!", "passw0rd!")]
    {
        settings(&world, json!({"auth_password_policy": policy})).await;
        api.patch(&path, json!({"password": bad})).await.refused(400, "FAILED_VALIDATION");
        api.patch(&path, json!({"password": good})).await.expect(200);
        login(&nobody, "eva@example.com", good).await.expect(200);
    }
    settings(&world, json!({"auth_password_policy": "/(/"})).await;
    let refused = api.patch(&path, json!({"password": "whatever it is"})).await;
    assert!(refused.refused(422, "UNPROCESSABLE_CONTENT").text.contains("auth_password_policy"));
    login(&nobody, "eva@example.com", "Passw0rd!").await.expect(200);
    settings(&world, json!({"auth_password_policy": null})).await;
    api.patch(&path, json!({"password": "x"})).await.expect(200);
}

/// Nothing can be done about it while the items service is away: told, not lost.
#[tokio::test]
async fn an_outage_is_told() {
    let smtp = Smtp::start().await;
    let mut world: World = mailing(&smtp, &[]).await;
    let nobody = world.api.with_token(None);
    nobody.post(REQUEST, json!({"email": ADMIN})).await.expect(204);
    let token = smtp.wait(1).await[0].token();
    let items = world.process_of("items");
    if items == world.process_of("gateway") {
        return;
    }
    world.kill9(items);
    let body = json!({"token": token, "password": "a new password"});
    nobody.post(RESET, body.clone()).await.refused(503, "SERVICE_UNAVAILABLE");
    world.spawn(items);
    world.ready().await;
    let done = || async { nobody.post(RESET, body.clone()).await.status == 204 };
    testkit::eventually(Duration::from_secs(10), done).await;
    login(&nobody, ADMIN, "a new password").await.expect(200);
}
