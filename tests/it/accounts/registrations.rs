//! Registrations: only where the settings allow, as the settings say, and silent about who is a user already.

use std::time::Instant;

use serde_json::json;
use testkit::Smtp;

use super::{ADMIN, PASSWORD, login, mailing, settings, user};

const REGISTER: &str = "/users/register";

#[tokio::test]
async fn a_registration_is_verified_by_mail() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[("USER_REGISTER_URL_ALLOW_LIST", "https://app.example.com/verify")]).await;
    let nobody = world.api.with_token(None);
    let role = world.api.post("/roles", json!({"name": "Guests"})).await.expect(200).data()["id"].clone();
    let ida = json!({"email": "Ida@example.com", "password": "a password", "first_name": "Ida"});
    nobody.post(REGISTER, ida.clone()).await.refused(403, "FORBIDDEN");
    settings(&world, json!({"public_registration": true, "public_registration_role": role, "public_registration_email_filter": {"email": {"_ends_with": "@example.com"}}})).await;
    nobody.post(REGISTER, ida).await.expect(204);
    let mail = smtp.wait(1).await.remove(0);
    assert!(
        mail.text().contains("https://data.example.com/users/register/verify-email?token="),
        "{}",
        mail.text()
    );
    let made = user(&world, "Ida@example.com").await;
    assert_eq!(
        (&made["status"], &made["role"], &made["first_name"]),
        (&json!("unverified"), &role, &json!("Ida"))
    );
    login(&nobody, "ida@example.com", "a password").await.refused(401, "INVALID_CREDENTIALS");
    // Again: another mail, the password stays.
    let again = json!({"email": "ida@example.com", "password": "another one", "verification_url": "https://app.example.com/verify"});
    nobody.post(REGISTER, again).await.expect(204);
    assert!(smtp.wait(2).await[1].text().contains("https://app.example.com/verify?token="));
    let path = format!("/users/register/verify-email?token={}", mail.token());
    let gone = nobody.get(&path).await.expect(302);
    assert_eq!(
        gone.header("location"),
        Some(format!("/admin/users/{}", made["id"].as_str().unwrap()).as_str())
    );
    nobody.get(&path).await.refused(400, "INVALID_PAYLOAD");
    login(&nobody, "ida@example.com", "a password").await.expect(200);
    nobody.get("/users/register/verify-email").await.refused(403, "INVALID_TOKEN");
    nobody.get("/users/register/verify-email?token=x").await.refused(403, "INVALID_TOKEN");
    assert!(!world.whole_logs().contains(&mail.token()));
    settings(&world, json!({"public_registration_verify_email": false})).await;
    nobody.post(REGISTER, json!({"email": "max@example.com", "password": "a password"})).await.expect(204);
    login(&nobody, "max@example.com", "a password").await.expect(200);
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test]
async fn nobody_makes_himself_more_than_the_settings_say() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let nobody = world.api.with_token(None);
    let admins: String = sqlx::query_scalar("SELECT id::text FROM directus_roles")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    let filter = json!({"_and": [{"email": {"_ends_with": "@example.com"}}]});
    settings(&world, json!({"public_registration": true, "public_registration_email_filter": filter, "auth_password_policy": "^.{6,}$"})).await;
    for (name, value) in [
        ("role", json!(admins)),
        ("status", json!("active")),
        ("policies", json!([])),
        ("id", json!("00000000-0000-4000-8000-000000000001")),
        ("token", json!("mine")),
        ("provider", json!("google")),
        ("tfa_secret", json!(null)),
    ] {
        let mut body = json!({"email": "eve@example.com", "password": "a password"});
        body[name] = value;
        let refused = nobody.post(REGISTER, body).await.refused(400, "INVALID_PAYLOAD");
        assert!(refused.text.contains("is not allowed"), "{}", refused.text);
    }
    for body in [
        json!({}),
        json!({"email": "eve@example.com"}),
        json!({"password": "a password"}),
        json!({"email": "eve", "password": "a password"}),
        json!({"email": "eve@example.com", "password": ""}),
        json!({"email": "eve@example.com", "password": 5}),
        json!({"email": {"$ne": ""}, "password": "a password"}),
        json!({"email": "eve@example.com", "password": "a password", "first_name": 5}),
        json!({"email": "eve@example.com", "password": "a password", "verification_url": "https://evil.example"}),
    ] {
        nobody.post(REGISTER, body).await.refused(400, "INVALID_PAYLOAD");
    }
    let other = json!({"email": "eve@example.org", "password": "a password"});
    nobody.post(REGISTER, other).await.refused(403, "FORBIDDEN");
    // Alike for who is there and who is not: a bad password, and the time of a good one.
    for email in [ADMIN, "nobody@example.com"] {
        let short = json!({"email": email, "password": "short"});
        nobody.post(REGISTER, short).await.refused(400, "FAILED_VALIDATION");
        let begun = Instant::now();
        nobody.post(REGISTER, json!({"email": email, "password": "a password"})).await.expect(204);
        let took = begun.elapsed().as_millis();
        assert!(took >= 150, "{email}: {took} ms");
    }
    login(&nobody, ADMIN, PASSWORD).await.expect(200);
    assert_eq!(smtp.wait(1).await[0].to, ["nobody@example.com"]);
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM directus_users")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!((users, smtp.mails().len()), (2, 1));
}

#[tokio::test]
async fn at_once_one_user_is_made() {
    let smtp = Smtp::start().await;
    let world = mailing(&smtp, &[]).await;
    let nobody = world.api.with_token(None);
    settings(&world, json!({"public_registration": true})).await;
    // Each has a silent answer.
    let race =
        (0..5).map(|_| nobody.post(REGISTER, json!({"email": "race@example.com", "password": "a password"})));
    let answers = futures_util::future::join_all(race).await;
    assert!(answers.iter().all(|answer| answer.status == 204), "{answers:?}");
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM directus_users")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(users, 2);
}
