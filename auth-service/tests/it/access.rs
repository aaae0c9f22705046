//! What somebody holds: role tree, policies and flags; and who may ask.

use model::{Accountability, ErrorCode};
use uuid::Uuid;

use crate::world::{PASSWORD, TOKEN, World, code};

#[tokio::test(flavor = "multi_thread")]
async fn policies_come_from_the_user_and_his_role_tree() {
    let world = World::new().await;
    let user = world.user("editor@example.com", PASSWORD).await;
    let [grand, parent, role] = [1, 2, 3].map(Uuid::from_u128);
    let [of_grand, of_user, bound] = [11, 12, 13].map(Uuid::from_u128);
    let pool = world.pool();
    for (id, above) in [(grand, None), (parent, Some(grand)), (role, Some(parent))] {
        sqlx::query("INSERT INTO directus_roles (id, name, parent) VALUES ($1, 'r', $2)")
            .bind(id)
            .bind(above)
            .execute(pool)
            .await
            .unwrap();
    }
    for (id, app, admin, addresses) in [
        (of_grand, true, false, None),
        (of_user, false, false, Some("")),
        (bound, false, true, Some("10.0.0.0/8")),
    ] {
        sqlx::query("INSERT INTO directus_policies (id, name, app_access, admin_access, ip_access) VALUES ($1, 'p', $2, $3, $4)")
            .bind(id).bind(app).bind(admin).bind(addresses).execute(pool).await.unwrap();
    }
    for (of_role, of, policy) in
        [(Some(grand), None, of_grand), (None, Some(user), of_user), (None, Some(user), bound)]
    {
        sqlx::query(r#"INSERT INTO directus_access (id, role, "user", policy) VALUES (gen_random_uuid(), $1, $2, $3)"#)
            .bind(of_role).bind(of).bind(policy).execute(pool).await.unwrap();
    }
    sqlx::query("UPDATE directus_users SET role = $1, token = 'editor' WHERE id = $2")
        .bind(role)
        .bind(user)
        .execute(pool)
        .await
        .unwrap();

    let held = world.authenticate("editor").await.unwrap().accountability.unwrap();
    let texts = |ids: &[Uuid]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(held.role, Some(role.to_string()));
    assert_eq!(held.roles, texts(&[role, parent, grand]));
    // Those of the tree come before his own. A policy bound to addresses is told apart: the address is not known here.
    assert_eq!(held.policies, texts(&[of_grand, of_user]));
    assert!(held.app && !held.admin);
    let answer = world.authenticate("editor").await.unwrap();
    let told: Vec<&str> = answer.held.iter().map(|held| held.policy.as_str()).collect();
    assert_eq!(told, texts(&[of_grand, of_user, bound]));
    assert_eq!(answer.held[2].ip_access, ["10.0.0.0/8"]);
    assert!(answer.held[2].admin && !answer.held[0].admin);

    // Roles in a circle end the walk.
    sqlx::query("UPDATE directus_roles SET parent = $1 WHERE id = $2")
        .bind(role)
        .bind(grand)
        .execute(pool)
        .await
        .unwrap();
    let held = world.authenticate("editor").await.unwrap().accountability.unwrap();
    assert_eq!(held.roles, texts(&[role, parent, grand]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_the_public_policy_applies() {
    let world = World::new().await;
    world.user("nobody@example.com", PASSWORD).await;
    world.execute("UPDATE directus_users SET token = 'nobody' WHERE email = 'nobody@example.com'").await;
    let held = world.authenticate("nobody").await.unwrap().accountability.unwrap();
    assert_eq!(held.policies, [auth_service::PUBLIC_POLICY.to_string()]);
    assert!(!held.admin && !held.app);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_processes_of_the_fleet_may_authenticate() {
    let world = World::new().await;
    for stranger in [
        Accountability::default(),
        Accountability { user: Some(world.admin), admin: true, ..Accountability::default() },
    ] {
        assert_eq!(code(world.authenticate_as(stranger.clone(), "x").await), ErrorCode::Forbidden);
        assert_eq!(code(world.versions_as(stranger).await), ErrorCode::Forbidden);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_outside_the_fleet_are_known_by_their_token() {
    let world = World::new().await;
    // Known, and refused what only processes may do.
    assert_eq!(code(world.versions_by_bearer(TOKEN).await), ErrorCode::Forbidden);
    assert_eq!(code(world.versions_by_bearer("wrong").await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_access_is_written_beside_the_hot_path() {
    let world = World::new().await;
    world.authenticate(TOKEN).await.unwrap();
    world.until("SELECT count(*) FROM directus_users WHERE last_access IS NOT NULL", 1).await;
    world.stop().await;
}
