//! What happened here stands in the log.

use crate::world::{ADMIN, PASSWORD, World};

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_logouts_are_events_of_the_user() {
    let world = World::new().await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    world.logout(&tokens.refresh_token).await.unwrap();
    type Columns = (String, String, String, i64, Option<uuid::Uuid>, Option<String>, Option<String>, String);
    let logged: Vec<Columns> = sqlx::query_as(
        r#"SELECT name, collection, key, version, "user", request_id, ip, payload::text FROM eventus.events
           WHERE name LIKE 'auth.%' ORDER BY position"#,
    )
    .fetch_all(world.pool())
    .await
    .unwrap();
    let names: Vec<&str> = logged.iter().map(|columns| columns.0.as_str()).collect();
    assert_eq!(names, ["auth.login", "auth.logout"]);
    // Version 1 is users.create, by the bootstrap.
    let versions: Vec<i64> = logged.iter().map(|columns| columns.3).collect();
    assert_eq!(versions, [2, 3]);
    for (_, collection, key, _, user, request, ip, payload) in logged {
        assert_eq!(collection, "directus_users");
        assert_eq!(key, world.admin.to_string());
        assert_eq!(user, Some(world.admin));
        assert_eq!(request.as_deref(), Some("request-1"));
        assert_eq!(ip.as_deref(), Some("203.0.113.7"));
        assert!(payload.contains("\"provider\":\"default\""), "{payload}");
        assert!(!payload.contains(&tokens.refresh_token[..32]));
    }
    world.stop().await;
}
