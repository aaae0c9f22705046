//! Logins: who is let in, and that nobody learns why another is not.

use std::time::{Duration, Instant};

use model::ErrorCode;

use crate::world::{ADMIN, PASSWORD, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_opens_a_session() {
    let world = World::new().await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    assert_eq!((tokens.expires, tokens.refresh_expires), (900_000, 604_800_000));
    assert_eq!(tokens.refresh_token.len(), 64);

    let who = world.authenticate(&tokens.access_token).await.unwrap();
    let accountability = who.accountability.unwrap();
    assert!(accountability.admin && accountability.app);
    assert_eq!(accountability.user, Some(world.admin.to_string()));
    assert_eq!(accountability.roles.len(), 1);
    assert_eq!(accountability.policies.len(), 1);
    assert_eq!(who.valid_until / 1_000, world.now().unix_timestamp() + 900);

    // Stored are hashes: neither half of the token stands in the database.
    let (token, next): (String, String) = sqlx::query_as("SELECT token, next_token FROM directus_sessions")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(accountability.session.as_deref(), Some(token.as_str()));
    assert_eq!(token.len(), 64);
    assert!(token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    for stored in [token, next] {
        assert!(
            !stored.contains(&tokens.refresh_token[..32]) && !stored.contains(&tokens.refresh_token[32..])
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letter_case_of_the_address_does_not_matter() {
    let world = World::new().await;
    world.login("ADMIN@Example.com", PASSWORD).await.unwrap();
    // The Kelvin sign folds to k outside ASCII: another address.
    let strange = world.user("kelvin@example.com", PASSWORD).await;
    assert!(!strange.is_nil());
    let refused = world.login("\u{212A}elvin@example.com", PASSWORD).await.unwrap_err();
    assert_eq!(refused.0[0].code, ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_mode_names_the_session_in_the_access_token() {
    let world = World::new().await;
    let tokens = world.login_session(ADMIN, PASSWORD).await.unwrap();
    assert_eq!((tokens.expires, tokens.refresh_expires), (86_400_000, 86_400_000));
    world.authenticate(&tokens.access_token).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_address_is_a_bad_request() {
    let world = World::new().await;
    for bad in ["", "notanemail"] {
        let refused = world.login(bad, PASSWORD).await.unwrap_err();
        assert_eq!(refused.0[0].code, ErrorCode::InvalidPayload, "{bad}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_alike_in_body_and_time() {
    let world = World::new().await;
    world.user("suspended@example.com", PASSWORD).await;
    world
        .execute("UPDATE directus_users SET status = 'suspended' WHERE email = 'suspended@example.com'")
        .await;
    world.user("elsewhere@example.com", PASSWORD).await;
    world.execute("UPDATE directus_users SET provider = 'sso' WHERE email = 'elsewhere@example.com'").await;
    world.user("empty@example.com", PASSWORD).await;
    world.execute("UPDATE directus_users SET password = NULL WHERE email = 'empty@example.com'").await;

    let cases = [
        (ADMIN, "wrong"),
        ("nobody@example.com", PASSWORD),
        ("suspended@example.com", PASSWORD),
        ("elsewhere@example.com", PASSWORD),
        ("empty@example.com", PASSWORD),
    ];
    // The best of some rounds: a busy machine slows single ones.
    let mut best = [Duration::MAX; 5];
    let mut bodies = Vec::new();
    for _ in 0..3 {
        for (best, (email, password)) in best.iter_mut().zip(cases) {
            let started = Instant::now();
            bodies.push(world.login(email, password).await.unwrap_err());
            *best = started.elapsed().min(*best);
        }
    }
    assert_eq!(bodies[0].0[0].code, ErrorCode::InvalidCredentials);
    assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
    let (least, most) = (best.iter().min().unwrap(), best.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(500), "{best:?}");
    assert!(*most - *least < Duration::from_millis(100), "{best:?}");

    // A success is not held back.
    let mut success = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        world.login(ADMIN, PASSWORD).await.unwrap();
        success = started.elapsed().min(success);
    }
    assert!(success < Duration::from_millis(500), "{success:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_second_factor_is_not_let_in_without_it() {
    let world = World::new().await;
    world.execute("UPDATE directus_users SET tfa_secret = 'JBSWY3DPEHPK3PXP'").await;
    let refused = world.login(ADMIN, PASSWORD).await.unwrap_err();
    assert_eq!(refused.0[0].code, ErrorCode::InvalidOtp);
    // Only who knows the password learns of the second factor.
    let refused = world.login(ADMIN, "wrong").await.unwrap_err();
    assert_eq!(refused.0[0].code, ErrorCode::InvalidCredentials);
    assert_eq!(world.count("SELECT count(*) FROM directus_sessions").await, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_directus_are_verified() {
    let world = World::new().await;
    // The usual parameters of node's argon2 (64 MiB, 3 passes, 4 lanes), for the password "password".
    world.user("old@example.com", "password").await;
    let stored: String = {
        use argon2::password_hash::PasswordHasher;
        let params = argon2::Params::new(65_536, 3, 4, None).unwrap();
        let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash: argon2::password_hash::phc::PasswordHash = argon.hash_password(b"password").unwrap();
        hash.to_string()
    };
    assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{stored}");
    sqlx::query("UPDATE directus_users SET password = $1 WHERE email = 'old@example.com'")
        .bind(stored)
        .execute(world.pool())
        .await
        .unwrap();
    world.login("old@example.com", "password").await.unwrap();
    world.stop().await;
}
