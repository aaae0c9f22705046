//! Users, roles and policies with what hangs on them: the system's rules hold at every level.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn users_come_with_their_role_and_policies() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let user = json!({
        "email": "n@example.com", "password": "correct horse",
        "role": {"name": "Editors", "policies": [{"policy": {"name": "Edit", "permissions": {"create": [
            {"collection": "posts", "action": "read", "fields": ["*"]}], "update": [], "delete": []}}}]},
    });
    let fields =
        "fields=email,password,role.name,role.policies.policy.name,role.policies.policy.permissions.action";
    let made = api.post(&format!("/users?{fields}"), user).await.expect(200).data();
    let policy = json!({"name": "Edit", "permissions": [{"action": "read"}]});
    let role = json!({"name": "Editors", "policies": [{"policy": policy}]});
    assert_eq!(made, json!({"email": "n@example.com", "password": "**********", "role": role}));
    let login = json!({"email": "n@example.com", "password": "correct horse"});
    api.with_token(None).post("/auth/login", login).await.expect(200);
    // Nested users are users: passwords are hashed, addresses are unique, the last admin stays.
    let again = json!({"name": "r", "users": {"create": [{"email": "N@example.com"}]}});
    api.post("/roles", again).await.refused(400, "RECORD_NOT_UNIQUE");
    let role = json!({"name": "r", "users": [{"email": "m@example.com", "password": "p4ss"}]});
    let role = api.post("/roles?fields=id,users.id", role).await.expect(200).data();
    let admin = api.get("/users/me?fields=id,role").await.expect(200).data();
    let taken = json!({"users": [admin["id"], role["users"][0]["id"]]});
    api.patch(&format!("/roles/{}", role["id"].as_str().unwrap()), taken)
        .await
        .refused(422, "UNPROCESSABLE_CONTENT");
    assert_eq!(api.get("/users/me?fields=id,role").await.expect(200).data(), admin);
    // Who loses his role with it does not come in by what is left to him.
    let id = role["id"].as_str().unwrap();
    api.delete(&format!("/roles/{id}"), None).await.expect(204);
    let user = format!("/users/{}?fields=role,status", role["users"][0]["id"].as_str().unwrap());
    assert_eq!(api.get(&user).await.expect(200).data(), json!({"role": null, "status": "suspended"}));
    let events: Vec<String> =
        sqlx::query_scalar("SELECT payload::text FROM eventus.events WHERE name = 'users.create'")
            .fetch_all(&world.pool().await)
            .await
            .unwrap();
    assert!(
        events.iter().all(|payload| !payload.contains("correct horse") && !payload.contains("argon2")),
        "{events:?}"
    );
}
