//! Static tokens: hashed as new ones are, plain as a taken-over database has them.

use model::ErrorCode;

use crate::world::{PASSWORD, TOKEN, World, code};

#[tokio::test(flavor = "multi_thread")]
async fn new_ones_are_stored_hashed_and_old_ones_work_plain() {
    let world = World::new().await;
    let stored: String = sqlx::query_scalar("SELECT token FROM directus_users WHERE id = $1")
        .bind(world.admin)
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert!(stored.starts_with("sha256:") && !stored.contains(TOKEN), "{stored}");
    let who = world.authenticate(TOKEN).await.unwrap();
    assert_eq!(who.valid_until, 0);
    let accountability = who.accountability.unwrap();
    assert!(accountability.admin && accountability.session.is_none());

    // What stands in the database opens nothing.
    assert_eq!(code(world.authenticate(&stored).await), ErrorCode::InvalidCredentials);

    let old = world.user("old@example.com", PASSWORD).await;
    world
        .execute("UPDATE directus_users SET token = 'plain-old-token' WHERE email = 'old@example.com'")
        .await;
    let accountability = world.authenticate("plain-old-token").await.unwrap().accountability.unwrap();
    assert_eq!(accountability.user, Some(old.to_string()));
    assert!(!accountability.admin);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_inactive_ones_are_refused_alike() {
    let world = World::new().await;
    for unknown in ["invalid-token", "a\0b", "sha256:", "sha256:abc", "'; --"] {
        assert_eq!(code(world.authenticate(unknown).await), ErrorCode::InvalidCredentials, "{unknown:?}");
    }
    world.execute("UPDATE directus_users SET status = 'archived'").await;
    assert_eq!(code(world.authenticate(TOKEN).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}
