//! Attempts to log in: those that fail are counted, those that don't suspend nobody.

use futures_util::future::join_all;
use serde_json::json;

use super::{ADMIN, PASSWORD, login, settings, user};
use crate::world::{Options, World};

fn quick() -> Options {
    Options::default().set("LOGIN_STALL_TIME", "20")
}

#[tokio::test]
async fn too_many_wrong_ones_suspend() {
    let mut world = World::with(shape!(), quick()).await;
    let replica = (shape!() == crate::world::Shape::AllInOne).then(|| world.replica());
    world.ready().await;
    let eva = world.user("eva@example.com", "eva-token").await;
    settings(&world, json!({"auth_login_attempts": 3})).await;
    let other = replica.as_ref().unwrap_or(&world.api);
    login(&world.api, "eva@example.com", "wrong").await.refused(401, "INVALID_CREDENTIALS");
    login(other, "eva@example.com", "wrong").await.refused(401, "INVALID_CREDENTIALS");
    // A right one takes the count back.
    login(&world.api, "eva@example.com", PASSWORD).await.expect(200);
    for api in [&world.api, other, &world.api] {
        assert_eq!(user(&world, "eva@example.com").await["status"], "active");
        login(api, "EVA@example.com", "wrong").await.refused(401, "INVALID_CREDENTIALS");
    }
    assert_eq!(user(&world, "eva@example.com").await["status"], "suspended");
    login(&world.api, "eva@example.com", PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    world.api.with_token(Some("eva-token")).get("/users/me").await.refused(401, "INVALID_CREDENTIALS");
    let event: (String, Option<uuid::Uuid>) = sqlx::query_as(
        "SELECT payload->>'status', \"user\" FROM eventus.events WHERE name = 'users.update' AND key = $1",
    )
    .bind(eva.to_string())
    .fetch_one(&world.pool().await)
    .await
    .unwrap();
    assert_eq!(event, ("suspended".to_owned(), None));
    // Whoever lets him in again gives him all attempts back.
    world.api.patch(&format!("/users/{eva}"), json!({"status": "active"})).await.expect(200);
    login(&world.api, "eva@example.com", "wrong").await.refused(401, "INVALID_CREDENTIALS");
    login(&world.api, "eva@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn many_right_ones_at_once_suspend_nobody() {
    let world = World::with(shape!(), quick()).await;
    settings(&world, json!({"auth_login_attempts": 1})).await;
    let api = world.api.clone();
    let answers = join_all((0..64).map(|_| login(&api, ADMIN, PASSWORD))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // More than may wait to be hashed are told to come again.
    assert_eq!(count(200) + count(503), 64, "{answers:?}");
    assert!(count(200) >= 32 && answers.iter().all(|a| a.status == 200 || a.header("retry-after").is_some()));
    assert_eq!(user(&world, ADMIN).await["status"], "active");
    login(&world.api, ADMIN, PASSWORD).await.expect(200);
}

/// Nobody locks the last administrator out for good: he is refused for a while, and stays what he is.
#[tokio::test]
async fn the_last_administrator_is_refused_for_a_while() {
    let world = World::with(shape!(), quick()).await;
    settings(&world, json!({"auth_login_attempts": 2})).await;
    for _ in 0..2 {
        login(&world.api, ADMIN, "wrong").await.refused(401, "INVALID_CREDENTIALS");
    }
    assert_eq!(user(&world, ADMIN).await["status"], "active");
    login(&world.api, ADMIN, PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    let pool = world.pool().await;
    sqlx::query("UPDATE eventus.logins SET failed_at = now() - interval '16 minutes'")
        .execute(&pool)
        .await
        .unwrap();
    login(&world.api, ADMIN, PASSWORD).await.expect(200);
    // Without a limit nobody is counted out.
    settings(&world, json!({"auth_login_attempts": null})).await;
    for _ in 0..3 {
        login(&world.api, ADMIN, "wrong").await.refused(401, "INVALID_CREDENTIALS");
    }
    login(&world.api, ADMIN, PASSWORD).await.expect(200);
}

/// Whoever can't log in by password is not suspended by those who try.
#[tokio::test]
async fn all_refusals_are_alike() {
    let world = World::with(shape!(), quick()).await;
    settings(&world, json!({"auth_login_attempts": 2})).await;
    let pool = world.pool().await;
    for (name, status, provider) in [("sso", "active", "google"), ("gone", "suspended", "default")] {
        let id = world.user(&format!("{name}@example.com"), &format!("{name}-token")).await;
        sqlx::query("UPDATE directus_users SET status = $2, provider = $3 WHERE id = $1")
            .bind(id)
            .bind(status)
            .bind(provider)
            .execute(&pool)
            .await
            .unwrap();
    }
    let mut texts = std::collections::BTreeSet::new();
    for email in ["nobody@example.com", "sso@example.com", "gone@example.com", ADMIN] {
        for password in if email == ADMIN { ["wrong"; 2] } else { ["wrong", PASSWORD] } {
            let answer = login(&world.api, email, password).await.refused(401, "INVALID_CREDENTIALS");
            texts.insert(answer.text);
        }
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(user(&world, "sso@example.com").await["status"], "active");
}

/// Nobody has others written to without end, and whether there is such a user is not told by it either.
#[tokio::test]
async fn wishes_for_mails_are_limited() {
    let options = quick().set("REGISTER_STALL_TIME", "20").set("EVENTUS_LOGIN_LIMITER_POINTS", "3");
    let world = World::with(shape!(), options).await;
    let nobody = world.api.with_token(None);
    for email in [ADMIN, "missing@example.com"] {
        let wish = json!({"email": email});
        for _ in 0..3 {
            nobody.post("/auth/password/request", wish.clone()).await.expect(204);
        }
        let refused = nobody.post("/auth/password/request", wish).await;
        assert!(refused.header("retry-after").is_some());
        refused.refused(429, "REQUESTS_EXCEEDED");
    }
    let wish = json!({"email": "new@example.com", "password": "long enough"});
    for _ in 0..3 {
        nobody.post("/users/register", wish.clone()).await.refused(403, "FORBIDDEN");
    }
    nobody.post("/users/register", wish).await.refused(429, "REQUESTS_EXCEEDED");
    // Logins are counted by themselves.
    login(&world.api, ADMIN, PASSWORD).await.expect(200);
}
