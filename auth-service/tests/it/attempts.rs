//! Too many failed logins while nobody can be suspended: refused all the same.

use model::ErrorCode;

use crate::world::{ADMIN, PASSWORD, World, code};

#[tokio::test(flavor = "multi_thread")]
async fn who_can_not_be_suspended_is_refused() {
    let world = World::new().await;
    world.execute("UPDATE directus_settings SET auth_login_attempts = 2").await;
    let other = world.user("other@example.com", PASSWORD).await;
    assert!(!other.is_nil());
    for _ in 0..2 {
        assert_eq!(code(world.login("other@example.com", "wrong").await), ErrorCode::InvalidCredentials);
    }
    // The items service, which writes users, is not there.
    assert_eq!(world.count("SELECT count(*) FROM directus_users WHERE status = 'suspended'").await, 0);
    assert_eq!(code(world.login("other@example.com", PASSWORD).await), ErrorCode::InvalidCredentials);
    world.login(ADMIN, PASSWORD).await.unwrap();
    // Who is missing has no line, who is refused for another reason neither.
    assert_eq!(code(world.login("nobody@example.com", "wrong").await), ErrorCode::InvalidCredentials);
    assert_eq!(world.count("SELECT count(*) FROM eventus.logins").await, 1);
    world.execute("UPDATE eventus.logins SET failed_at = now() - interval '16 minutes'").await;
    world.login("other@example.com", PASSWORD).await.unwrap();
    world.stop().await;
}
