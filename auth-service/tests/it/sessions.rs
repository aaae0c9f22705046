//! Sessions: rotation, reuse, the grace, logout, expiry.

use std::time::Duration;

use model::ErrorCode;

use crate::world::{ADMIN, PASSWORD, World, code};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_rotates_the_token_within_its_session() {
    let world = World::new().await;
    let first = world.login(ADMIN, PASSWORD).await.unwrap();
    world.advance(Duration::from_secs(600));
    let second = world.refresh(&first.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    let third = world.refresh(&second.refresh_token).await.unwrap();
    assert_ne!(second.refresh_token, third.refresh_token);
    assert_eq!(world.count("SELECT count(*) FROM directus_sessions").await, 1);
    // Access tokens of the session live on until they expire.
    for tokens in [&first, &second, &third] {
        world.authenticate(&tokens.access_token).await.unwrap();
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_token_ends_its_session() {
    let world = World::new().await;
    let first = world.login(ADMIN, PASSWORD).await.unwrap();
    let other = world.login(ADMIN, PASSWORD).await.unwrap();
    let second = world.refresh(&first.refresh_token).await.unwrap();
    world.advance(Duration::from_secs(11));
    assert_eq!(code(world.refresh(&first.refresh_token).await), ErrorCode::InvalidCredentials);
    // The thief's and the owner's tokens are dead alike, another session is not.
    assert_eq!(code(world.refresh(&second.refresh_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(code(world.authenticate(&second.access_token).await), ErrorCode::InvalidCredentials);
    world.refresh(&other.refresh_token).await.unwrap();
    world.authenticate(&other.access_token).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_but_one_token_ends_the_session_even_within_the_grace() {
    let world = World::new().await;
    let first = world.login(ADMIN, PASSWORD).await.unwrap();
    let second = world.refresh(&first.refresh_token).await.unwrap();
    world.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(code(world.refresh(&first.refresh_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(world.count("SELECT count(*) FROM directus_sessions").await, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_at_once_are_given_the_same_successor() {
    let world = World::new().await;
    let first = world.login(ADMIN, PASSWORD).await.unwrap();
    let (a, b, c) = tokio::join!(
        world.refresh(&first.refresh_token),
        world.refresh(&first.refresh_token),
        world.refresh(&first.refresh_token),
    );
    let successor = a.unwrap().refresh_token;
    assert_eq!(b.unwrap().refresh_token, successor);
    assert_eq!(c.unwrap().refresh_token, successor);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.refresh(&first.refresh_token).await.unwrap().refresh_token, successor);
    // The grace is counted from the rotation; answers within it do not prolong it.
    world.advance(Duration::from_secs(6));
    assert_eq!(code(world.refresh(&first.refresh_token).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_access_tokens_and_tells_all_processes() {
    let world = World::new().await;
    let before = world.control("sessions").await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    assert_eq!(world.control("sessions").await, before);
    let mut pings = world.pings().await;
    world.logout(&tokens.refresh_token).await.unwrap();
    pings.arrive().await;
    assert_eq!(code(world.authenticate(&tokens.access_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(code(world.refresh(&tokens.refresh_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(world.control("sessions").await, before + 1);
    // Unknown tokens are as good as ended ones; none at all is a bad request.
    world.logout(&tokens.refresh_token).await.unwrap();
    world.logout("nope").await.unwrap();
    assert_eq!(code(world.logout("").await), ErrorCode::InvalidPayload);
    assert_eq!(world.control("sessions").await, before + 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire() {
    let world = World::new().await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    world.advance(Duration::from_secs(899));
    world.authenticate(&tokens.access_token).await.unwrap();
    world.advance(Duration::from_secs(1));
    assert_eq!(code(world.authenticate(&tokens.access_token).await), ErrorCode::TokenExpired);
    world.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(code(world.refresh(&tokens.refresh_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(world.count("SELECT count(*) FROM directus_sessions").await, 0);
    assert_eq!(code(world.refresh("").await), ErrorCode::InvalidPayload);
    assert_eq!(code(world.refresh("unknown").await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_loses_sessions_and_tokens() {
    let world = World::new().await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    world.execute("UPDATE directus_users SET status = 'suspended'").await;
    assert_eq!(code(world.authenticate(&tokens.access_token).await), ErrorCode::InvalidCredentials);
    assert_eq!(code(world.refresh(&tokens.refresh_token).await), ErrorCode::UserSuspended);
    world.execute("UPDATE directus_users SET status = 'active'").await;
    assert_eq!(code(world.refresh(&tokens.refresh_token).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_mode_refreshes_by_its_access_token() {
    let world = World::new().await;
    let first = world.login_session(ADMIN, PASSWORD).await.unwrap();
    let second = world.refresh_session(&first.access_token).await.unwrap();
    assert_eq!(second.refresh_expires, 86_400_000);
    // Two tabs share one cookie: the old one is good for the grace, then it is not.
    world.authenticate(&first.access_token).await.unwrap();
    world.advance(Duration::from_secs(11));
    assert_eq!(code(world.authenticate(&first.access_token).await), ErrorCode::InvalidCredentials);
    world.authenticate(&second.access_token).await.unwrap();
    world.logout(&second.access_token).await.unwrap();
    assert_eq!(code(world.authenticate(&second.access_token).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_directus_is_not_honoured() {
    let world = World::new().await;
    let token = "iEtBJx8d9KjiBjoAV9Udr-l1Qh2w8K4lMyeg3F1EZc2pt5Y1ovCgarkKBy6AK1tR";
    sqlx::query(
        r#"INSERT INTO directus_sessions (token, "user", expires) VALUES ($1, $2, now() + interval '1 day')"#,
    )
    .bind(token)
    .bind(world.admin)
    .execute(world.pool())
    .await
    .unwrap();
    assert_eq!(code(world.refresh(token).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}
