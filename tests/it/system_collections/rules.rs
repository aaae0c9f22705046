//! What the system forbids, and what goes with a deletion.

use std::time::Duration;

use serde_json::{Value, json};

use super::admin;
use crate::api::Api;
use crate::world::World;

/// Id of the first item of a path that fits a filter.
async fn id(api: &Api, path: &str) -> String {
    api.get(path).await.expect(200).data()[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_last_admin_stays() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let me = admin(api).await.as_str().unwrap().to_owned();
    let role = id(api, "/roles?filter[name][_eq]=Administrator").await;
    let policy = id(api, "/policies?filter[name][_eq]=Administrator").await;
    let access = id(api, &format!("/access?filter[policy][_eq]={policy}")).await;
    let log = "SELECT count(*) FROM eventus.events";
    let pool = world.pool().await;
    let before: i64 = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    let refused = async || {
        let answers = [
            api.delete(&format!("/users/{me}"), None).await,
            api.delete("/users", Some(json!({"query": {}}))).await,
            api.patch(&format!("/users/{me}"), json!({"status": "suspended"})).await,
            api.patch("/users/me", json!({"role": null})).await,
            api.delete(&format!("/roles/{role}"), None).await,
            api.patch(&format!("/policies/{policy}"), json!({"admin_access": false})).await,
            api.patch(&format!("/policies/{policy}"), json!({"ip_access": ["10.0.0.1"]})).await,
            api.delete(&format!("/policies/{policy}"), None).await,
            api.patch(&format!("/access/{access}"), json!({"role": null})).await,
            api.delete(&format!("/access/{access}"), None).await,
        ];
        for answer in answers {
            answer.refused(422, "UNPROCESSABLE_CONTENT");
        }
    };
    refused().await;
    let after: i64 = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    assert_eq!(after, before, "nothing was changed");
    let second = json!({"email": "second@example.com", "role": role, "status": "draft"});
    let second = api.post("/users", second).await.expect(200).data();
    api.delete(&format!("/users/{me}"), None).await.refused(422, "UNPROCESSABLE_CONTENT");
    let path = format!("/users/{}", second["id"].as_str().unwrap());
    api.patch(&path, json!({"status": "active", "token": "the-token-of-the-second"})).await.expect(200);
    // Both try to remove the other one at the same time: one admin is left.
    let other = api.with_token(Some("the-token-of-the-second"));
    let mine = format!("/users/{me}");
    let (one, two) = tokio::join!(
        api.patch(&path, json!({"status": "suspended"})),
        other.patch(&mine, json!({"status": "suspended"})),
    );
    let done = [one.status, two.status];
    assert!(done.contains(&200) && done.iter().any(|status| [401, 422].contains(status)), "{done:?}");
    let active = "SELECT count(*) FROM directus_users WHERE status = 'active'";
    let active: i64 = sqlx::query_scalar(active).fetch_one(&pool).await.unwrap();
    assert_eq!(active, 1);
}

#[tokio::test]
async fn no_role_is_above_itself() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let mut roles: Vec<Value> = Vec::new();
    for parent in [None, Some(0), Some(1)] {
        let role = json!({"name": "r", "parent": parent.map(|index: usize| roles[index].clone())});
        roles.push(api.post("/roles", role).await.expect(200).data()["id"].clone());
    }
    let path = |index: usize| format!("/roles/{}", roles[index].as_str().unwrap());
    for (child, parent) in [(0, 0), (0, 1), (0, 2), (1, 2)] {
        api.patch(&path(child), json!({"parent": roles[parent]})).await.refused(400, "INVALID_PAYLOAD");
    }
    api.patch(&path(2), json!({"parent": roles[0]})).await.expect(200);
    api.patch(&path(1), json!({"parent": roles[2]})).await.expect(200);
    api.patch(&path(0), json!({"parent": roles[1]})).await.refused(400, "INVALID_PAYLOAD");
}

#[tokio::test]
async fn flows_are_not_made_active() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    for flow in [json!({"name": "f", "status": "active"}), json!({"name": "f"})] {
        let refused = api.post("/flows", flow).await.refused(400, "INVALID_PAYLOAD");
        assert!(refused.text.contains("inactive"), "{}", refused.text);
    }
    let made = api.post("/flows", json!({"name": "f", "status": "inactive"})).await.expect(200).data();
    let path = format!("/flows/{}", made["id"].as_str().unwrap());
    api.patch(&path, json!({"status": "active"})).await.refused(400, "INVALID_PAYLOAD");
    api.patch(&path, json!({"name": "g"})).await.expect(200);
    assert_eq!(api.get(&path).await.expect(200).data()["status"], "inactive");
}

/// What hangs on a deleted item goes or lets go, and each change is an event.
#[tokio::test]
async fn what_hangs_on_an_item_follows_it() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let make = async |path: &str, item: Value| api.post(path, item).await.expect(200).data()["id"].clone();
    let path = |path: &str, id: &Value| {
        format!("{path}/{}", id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    };
    let role = make("/roles", json!({"name": "r"})).await;
    let child = make("/roles", json!({"name": "child", "parent": role})).await;
    let policy = make("/policies", json!({"name": "p"})).await;
    make("/access", json!({"role": role, "policy": policy})).await;
    make("/permissions", json!({"policy": policy, "collection": "a", "action": "read"})).await;
    let user =
        make("/users", json!({"email": "a@example.com", "role": role, "token": "the-token-of-somebody"}))
            .await;
    let admin = admin(api).await;
    let note = make("/notifications", json!({"recipient": admin, "sender": user, "subject": "s"})).await;
    let comment = make("/comments", json!({"collection": "a", "item": "1", "comment": "c"})).await;
    let own = "UPDATE directus_comments SET user_created = $1::uuid, user_updated = $1::uuid";
    sqlx::query(own).bind(user.as_str()).execute(&world.pool().await).await.unwrap();
    api.delete(&path("/roles", &role), None).await.expect(204);
    assert_eq!(api.get(&path("/users", &user)).await.expect(200).data()["role"], Value::Null);
    assert_eq!(api.get(&path("/roles", &child)).await.expect(200).data()["parent"], Value::Null);
    api.delete(&path("/policies", &policy), None).await.expect(204);
    let left = api.get("/permissions?aggregate[count]=*").await.expect(200).data();
    assert_eq!(left, json!([{"count": "0"}]));
    api.delete(&path("/users", &user), None).await.expect(204);
    assert_eq!(api.get(&path("/notifications", &note)).await.expect(200).data()["sender"], Value::Null);
    let comment = api.get(&path("/comments", &comment)).await.expect(200).data();
    assert_eq!((&comment["user_created"], &comment["user_updated"]), (&Value::Null, &Value::Null));
    let flow = make("/flows", json!({"name": "f", "status": "inactive"})).await;
    let step = json!({"flow": flow, "key": "b", "type": "log", "position_x": 1, "position_y": 1});
    let last = make("/operations", step.clone()).await;
    let mut first = step;
    first["resolve"] = last;
    make("/operations", first).await;
    api.delete(&path("/flows", &flow), None).await.expect(204);
    assert_eq!(api.get("/operations").await.expect(200).data(), json!([]));
    let names =
        "SELECT array_agg(DISTINCT name ORDER BY name) FROM eventus.events WHERE name ~ 'delete|update'";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(
        names,
        [
            "access.delete",
            "comments.update",
            "flows.delete",
            "notifications.update",
            "operations.delete",
            "permissions.delete",
            "policies.delete",
            "roles.delete",
            "roles.update",
            "users.delete",
            "users.update",
        ]
    );
}

/// A collection of the user's own whose items take rows of a system collection along.
async fn owners(api: &Api, system: &str) -> String {
    let name = format!("owners_of_{system}");
    api.post("/collections", json!({"collection": name, "schema": {}, "meta": {}})).await.expect(200);
    api.post(&format!("/items/{name}"), json!({})).await.expect(200);
    let field = json!({"field": "owner", "type": "integer", "schema": {}, "meta": {}});
    api.post(&format!("/fields/{system}"), field).await.expect(200);
    let relation = json!({"collection": system, "field": "owner", "related_collection": name, "schema": {"on_delete": "CASCADE"}});
    api.post("/relations", relation).await.expect(200);
    name
}

/// The rules hold for what goes with others as for what is asked for.
#[tokio::test]
async fn no_deletion_elsewhere_takes_the_last_admin_or_leaves_his_power() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let me = api.get("/users/me").await.expect(200).data()["id"].clone();
    let of_users = owners(api, "directus_users").await;
    let mine = format!("/users/{}", me.as_str().unwrap());
    api.patch(&mine, json!({"owner": 1})).await.expect(200);
    api.delete(&format!("/items/{of_users}/1"), None).await.refused(422, "UNPROCESSABLE_CONTENT");
    api.get("/settings").await.expect(200);
    // A second admin by a role of his own, which goes with an item: his power goes in the same moment.
    let of_roles = owners(api, "directus_roles").await;
    let role =
        api.post("/roles", json!({"name": "Second", "owner": 1})).await.expect(200).data()["id"].clone();
    let policy = api.post("/policies", json!({"name": "All", "admin_access": true})).await.expect(200).data();
    api.post("/access", json!({"role": role, "policy": policy["id"]})).await.expect(200);
    let second = json!({"email": "second@example.com", "role": role, "token": "token-of-the-second-admin"});
    api.post("/users", second).await.expect(200);
    let second = api.with_token(Some("token-of-the-second-admin"));
    second.get("/settings").await.expect(200);
    api.delete(&format!("/items/{of_roles}/1"), None).await.expect(204);
    // Who loses his role so is suspended.
    testkit::eventually(Duration::from_secs(2), || async { second.get("/settings").await.status == 401 })
        .await;
    // Fields that are the system's own refer to nothing else.
    let status = json!({"collection": "directus_users", "field": "status", "related_collection": of_users});
    api.post("/relations", status).await.refused(400, "INVALID_PAYLOAD");
    for place in ["directus_activity", "directus_sessions", "directus_access"] {
        let field = json!({"field": "x", "type": "string"});
        api.post(&format!("/fields/{place}"), field).await.refused(403, "FORBIDDEN");
    }
    for flow in ["{\"name\":\"f\",\"status\":\"\\u0061ctive\"}", "{\"name\":\"f\"}"] {
        let flow: Value = serde_json::from_str(flow).unwrap();
        api.post("/flows", flow).await.refused(400, "INVALID_PAYLOAD");
    }
}

/// What Directus refuses of system collections in its own words.
#[tokio::test]
async fn roles_translations_and_files_have_rules_of_their_own() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let role = api.post("/roles", json!({"name": "a"})).await.expect(200).data()["id"].clone();
    let path = format!("/roles/{}", role.as_str().unwrap());
    let own = api.patch(&path, json!({"parent": role})).await.refused(400, "INVALID_PAYLOAD");
    assert!(own.text.contains("A role cannot be a parent of itself"), "{}", own.text);
    let child = api.post("/roles", json!({"name": "b", "parent": role})).await.expect(200).data();
    api.patch(&path, json!({"parent": child["id"]})).await.refused(400, "INVALID_PAYLOAD");
    let text = |language: &str| json!({"key": "hello", "language": language, "value": "x"});
    let first = api.post("/translations", text("en-US")).await.expect(200).data();
    api.post("/translations", text("en-US")).await.refused(400, "INVALID_PAYLOAD");
    api.post("/translations", json!([text("de-DE"), text("de-DE")])).await.refused(400, "INVALID_PAYLOAD");
    api.post("/translations", text("de-DE")).await.expect(200);
    let path = format!("/translations/{}", first["id"].as_str().unwrap());
    api.patch(&path, json!({"language": "de-DE"})).await.refused(400, "INVALID_PAYLOAD");
    api.patch(&path, json!({"language": "en-US", "value": "y"})).await.expect(200);
    for email in ["x", "a@b", "a b@c.de", "@c.de", "a@c.d", "a@.de"] {
        api.post("/users", json!({"email": email})).await.refused(400, "FAILED_VALIDATION");
    }
    api.post("/users", json!({"email": "ä.b+c@sub.example.de"})).await.expect(200);
    let untyped = json!({"storage": "local", "filename_download": "a"});
    let untyped = api.post("/files", untyped).await.refused(400, "INVALID_PAYLOAD");
    assert!(untyped.text.contains("\\\"type\\\" is required"), "{}", untyped.text);
    // A list in a column of texts stands there without blanks, however it was sent.
    let file = json!({"storage": "local", "filename_download": "a", "type": "text/plain"});
    let file = api.post("/files", file).await.expect(200).data()["id"].clone();
    let body = "{\"tags\": [\"a b\",  \"c\"]}".to_owned();
    let path = format!("/files/{}", file.as_str().unwrap());
    api.raw(http::Method::PATCH, &path, &[("content-type", "application/json")], body)
        .await
        .unwrap()
        .expect(200);
    let stored: String = sqlx::query_scalar("SELECT tags::text FROM directus_files")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(stored, r#"["a b","c"]"#);
    let empty = json!({"keys": [""], "data": {}});
    let empty = api.patch("/translations", empty).await.refused(400, "INVALID_PAYLOAD");
    assert!(empty.text.contains("keys[0]"), "{}", empty.text);
}
