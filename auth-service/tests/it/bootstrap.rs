//! The first admin.

use auth_service::{Error, FirstAdmin, Given};

use crate::world::{ADMIN, PASSWORD, World};

#[tokio::test(flavor = "multi_thread")]
async fn twice_and_side_by_side_makes_one_admin() {
    let world = World::bare().await;
    let admin = FirstAdmin { email: ADMIN.into(), password: Given::None, token: Given::Made };
    let (a, b, c) = tokio::join!(world.bootstrap(&admin), world.bootstrap(&admin), world.bootstrap(&admin));
    let mut made: Vec<_> =
        [a, b, c].into_iter().map(Result::unwrap).filter(|done| done.admin.is_some()).collect();
    assert_eq!(made.len(), 1);
    let made = made.remove(0);
    assert!(world.bootstrap(&admin).await.unwrap().admin.is_none());

    for (sql, expected) in [
        ("SELECT count(*) FROM directus_users", 1),
        ("SELECT count(*) FROM directus_roles", 1),
        ("SELECT count(*) FROM directus_policies", 2),
        ("SELECT count(*) FROM directus_policies WHERE id = 'abf8a154-5b1c-4a46-ac9c-7300570f4f17'", 1),
        ("SELECT count(*) FROM directus_access WHERE role IS NULL AND \"user\" IS NULL AND sort = 1", 1),
        ("SELECT count(*) FROM directus_access", 2),
        ("SELECT count(*) FROM directus_settings WHERE id = 1", 1),
        ("SELECT count(*) FROM eventus.events WHERE name = 'users.create'", 1),
        (
            "SELECT count(*) FROM directus_users WHERE password LIKE '$argon2id$%' AND token LIKE 'sha256:%'",
            1,
        ),
    ] {
        assert_eq!(world.count(sql).await, expected, "{sql}");
    }
    // The generated secrets are the ones that work, and stand nowhere.
    let (password, token) = (made.password.unwrap(), made.token.unwrap());
    world.login(ADMIN, password.expose()).await.unwrap();
    world.authenticate(token.expose()).await.unwrap();
    let logged: Vec<String> =
        sqlx::query_scalar("SELECT payload::text FROM eventus.events").fetch_all(world.pool()).await.unwrap();
    let logged = logged.concat();
    assert!(!logged.contains("argon2") && !logged.contains("sha256") && !logged.contains(token.expose()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_secrets_are_taken_and_not_given_back() {
    let world = World::bare().await;
    let admin = FirstAdmin {
        email: ADMIN.into(),
        password: Some(PASSWORD.to_owned()).into(),
        token: Given::from(None),
    };
    let done = world.bootstrap(&admin).await.unwrap();
    assert!(done.admin.is_some() && done.password.is_none() && done.token.is_none());
    world.login(ADMIN, PASSWORD).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM directus_users WHERE token IS NULL").await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_by_an_inherited_role_is_an_admin() {
    let world = World::new().await;
    world.execute(
        "WITH top AS (SELECT role FROM directus_users), made AS (
            INSERT INTO directus_roles (id, name, parent) SELECT gen_random_uuid(), 'below', role FROM top RETURNING id)
         UPDATE directus_users SET role = (SELECT id FROM made)",
    )
    .await;
    let admin = FirstAdmin { email: "x@example.com".into(), password: Given::None, token: Given::None };
    assert!(world.bootstrap(&admin).await.unwrap().admin.is_none());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_makes_nobody_admin() {
    let world = World::bare().await;
    world.user(ADMIN, PASSWORD).await;
    let admin = FirstAdmin { email: "Admin@example.com".into(), password: Given::None, token: Given::None };
    assert!(matches!(world.bootstrap(&admin).await, Err(Error::EmailTaken)));
    assert_eq!(world.count("SELECT count(*) FROM directus_policies").await, 0);
    world.stop().await;
}
