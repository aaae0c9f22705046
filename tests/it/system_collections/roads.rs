//! The rules of users, roles, policies and access hold on every road that leads to them: nested, by query, in bulk, by
//! going back, by what was granted to a role above.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::admin;
use crate::api::{Answer, Api};
use crate::world::{PASSWORD, World};

async fn made(api: &Api, path: &str, item: Value) -> String {
    api.post(path, item).await.expect(200).data()["id"].as_str().unwrap().to_owned()
}

/// Waits until who asks so is answered with this status.
async fn answered(api: &Api, status: u16) {
    let asked = || async { api.get("/settings").await.status == status };
    testkit::eventually(Duration::from_secs(2), asked).await;
}

/// The first admin's power as it is stored: users, roles, policies, access.
async fn power(world: &World) -> String {
    let sql = "SELECT concat_ws('|',
        (SELECT json_agg(u ORDER BY id)::text FROM (SELECT id, status, role FROM directus_users) u),
        (SELECT json_agg(r ORDER BY id)::text FROM (SELECT id, parent FROM directus_roles) r),
        (SELECT json_agg(p ORDER BY id)::text FROM (SELECT id, admin_access, ip_access FROM directus_policies) p),
        (SELECT json_agg(a ORDER BY id)::text FROM (SELECT id, role, \"user\", policy FROM directus_access) a))";
    sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap()
}

/// Every request that would take it.
fn roads([me, role, policy, access, other]: [&str; 5]) -> Vec<(Method, String, Value)> {
    let (at_me, at_role, at_policy) =
        (format!("/users/{me}"), format!("/roles/{role}"), format!("/policies/{policy}"));
    let bulk = |data: Value, key: &str| json!({"keys": [key], "data": data});
    vec![
        (Method::PATCH, at_role.clone(), json!({"users": []})),
        (Method::PATCH, at_role.clone(), json!({"users": {"create": [], "update": [], "delete": [me]}})),
        (
            Method::PATCH,
            at_role.clone(),
            json!({"users": {"create": [], "delete": [], "update": [{"id": me, "status": "archived"}]}}),
        ),
        (Method::PATCH, at_role.clone(), json!({"policies": []})),
        (
            Method::PATCH,
            at_role.clone(),
            json!({"policies": [{"id": access, "policy": {"id": policy, "admin_access": false}}]}),
        ),
        (Method::PATCH, at_policy.clone(), json!({"roles": []})),
        (
            Method::PATCH,
            at_policy.clone(),
            json!({"roles": {"create": [], "update": [], "delete": [access]}}),
        ),
        (Method::PATCH, at_policy.clone(), json!({"admin_access": null})),
        (Method::PATCH, at_policy, json!({"ip_access": "10.0.0.1"})),
        (Method::PATCH, at_me.clone(), json!({"role": other})),
        (Method::PATCH, at_me.clone(), json!({"role": {"name": "New"}})),
        (Method::PATCH, at_me.clone(), json!({"status": "invited"})),
        (Method::PATCH, at_me, json!({"role": {"id": role, "policies": []}})),
        (Method::PATCH, "/users".into(), bulk(json!({"status": "archived"}), me)),
        (Method::PATCH, "/users".into(), json!([{"id": me, "role": null}])),
        (
            Method::PATCH,
            "/users".into(),
            json!({"query": {"filter": {"id": {"_nnull": true}}}, "data": {"status": "draft"}}),
        ),
        (Method::PATCH, "/access".into(), json!([{"id": access, "user": null, "role": other}])),
        (Method::PATCH, "/policies".into(), bulk(json!({"admin_access": false}), policy)),
        (Method::DELETE, "/users".into(), json!([me])),
        (Method::DELETE, "/roles".into(), json!([role, other])),
        (Method::DELETE, "/roles".into(), json!({"query": {}})),
        (Method::DELETE, "/access".into(), json!({"query": {"filter": {"policy": {"_eq": policy}}}})),
        (Method::DELETE, "/policies".into(), json!({"keys": [policy]})),
    ]
}

#[tokio::test]
async fn no_road_leads_away_from_the_last_admin() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let me = admin(api).await.as_str().unwrap().to_owned();
    let of = async |path: &str| api.get(path).await.expect(200).data()[0]["id"].as_str().unwrap().to_owned();
    let role = of("/roles?filter[name][_eq]=Administrator").await;
    let policy = of("/policies?filter[name][_eq]=Administrator").await;
    let access = of(&format!("/access?filter[policy][_eq]={policy}")).await;
    let other = made(api, "/roles", json!({"name": "Other"})).await;
    let before = power(&world).await;
    let roads = roads([&me, &role, &policy, &access, &other]);
    for (method, path, body) in roads {
        let answer = api.call(method.clone(), &path, Some(body.clone())).await;
        let told = answer.json()["errors"][0]["extensions"].take();
        let nothing = body == json!({"admin_access": null});
        let expected = match nothing {
            true => {
                json!({"field": "admin_access", "path": [], "type": "nnull", "code": "FAILED_VALIDATION"})
            }
            false => {
                let reason = "Cannot remove the last admin user from the system";
                json!({"reason": reason, "code": "UNPROCESSABLE_CONTENT"})
            }
        };
        assert_eq!(told, expected, "{method} {path} {body}: {}", answer.text);
        assert_eq!(power(&world).await, before, "{method} {path} {body}");
    }
    api.get("/settings").await.expect(200);
}

#[tokio::test]
async fn the_last_admin_by_a_role_above_stays() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let me = admin(api).await.as_str().unwrap().to_owned();
    let above = made(api, "/roles", json!({"name": "Above"})).await;
    let middle = made(api, "/roles", json!({"name": "Middle", "parent": above})).await;
    let below = made(api, "/roles", json!({"name": "Below", "parent": middle})).await;
    let policy = made(api, "/policies", json!({"name": "All", "admin_access": true})).await;
    made(api, "/access", json!({"role": above, "policy": policy})).await;
    let second = json!({"email": "second@example.com", "role": below, "password": PASSWORD});
    made(api, "/users", second).await;
    let login = json!({"email": "second@example.com", "password": PASSWORD});
    let token =
        api.with_token(None).post("/auth/login", login).await.expect(200).data()["access_token"].clone();
    let second = api.with_token(token.as_str());
    second.get("/settings").await.expect(200);
    second.delete(&format!("/users/{me}"), None).await.expect(204);
    let refused = |answer: Answer| answer.refused(422, "UNPROCESSABLE_CONTENT");
    for role in [&middle, &below] {
        refused(second.patch(&format!("/roles/{role}"), json!({"parent": null})).await);
        refused(second.delete(&format!("/roles/{role}"), None).await);
    }
    refused(second.delete(&format!("/roles/{above}"), None).await);
    refused(second.patch(&format!("/roles/{above}"), json!({"children": []})).await);
    refused(second.patch(&format!("/policies/{policy}"), json!({"admin_access": false})).await);
    second.get("/settings").await.expect(200);
    // In a circle nobody is above: refused by itself, nested too.
    let nested =
        json!({"children": {"create": [], "delete": [], "update": [{"id": below, "children": [above]}]}});
    second.patch(&format!("/roles/{middle}"), nested).await.refused(400, "INVALID_PAYLOAD");
}

#[tokio::test]
async fn going_back_follows_the_rules() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let me = admin(api).await.as_str().unwrap().to_owned();
    let role = api.get("/users/me?fields=role").await.expect(200).data()["role"].clone();
    let token = "roads-suite-token-of-the-second-01";
    let draft = json!({"email": "second@example.com", "role": role, "status": "draft", "token": token});
    let second = made(api, "/users", draft).await;
    let answer = api.patch(&format!("/users/{second}"), json!({"status": "active"})).await.expect(200);
    let request = answer.header("x-request-id").unwrap().to_owned();
    let other = api.with_token(Some(token));
    answered(&other, 200).await;
    other.patch(&format!("/users/{me}"), json!({"status": "suspended"})).await.expect(200);
    answered(api, 401).await;
    // Back to the draft that the last admin was.
    let path = format!("/revisions?filter[item][_eq]={second}&sort=id&limit=1");
    let first = other.get(&path).await.expect(200).data()[0]["id"].clone();
    let before = power(&world).await;
    other.post(&format!("/utils/revert/{first}"), json!({})).await.refused(422, "UNPROCESSABLE_CONTENT");
    let undone = other.post("/utils/undo", json!({"request_id": request})).await.refused(409, "CONFLICT");
    assert!(undone.text.contains("last admin"), "{}", undone.text);
    assert_eq!(power(&world).await, before);
    other.get("/settings").await.expect(200);
    // Of somebody else it may be, and it ends his sessions at once.
    other.patch(&format!("/users/{me}"), json!({"status": "active"})).await.expect(200);
    answered(api, 200).await;
    let login = json!({"email": "admin@example.com", "password": PASSWORD});
    let tokens = api.with_token(None).post("/auth/login", login).await.expect(200).data();
    let session = api.with_token(tokens["access_token"].as_str());
    session.get("/settings").await.expect(200);
    let path = format!("/revisions?filter[item][_eq]={me}&sort=-id&limit=2&fields=id");
    let suspended = other.get(&path).await.expect(200).data();
    let suspended = suspended[1]["id"].clone();
    other.post(&format!("/utils/revert/{suspended}"), json!({})).await.expect(204);
    answered(&session, 401).await;
    answered(api, 401).await;
    let left = "SELECT count(*) FROM directus_sessions WHERE \"user\" = $1::uuid";
    let left: i64 = sqlx::query_scalar(left).bind(&me).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_granted_ends_at_once_on_every_road() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let grant = async || {
        let policy = made(api, "/policies", json!({"name": "All", "admin_access": true})).await;
        let role = made(api, "/roles", json!({"name": "r", "policies": [{"policy": policy}]})).await;
        let token = format!("roads-suite-token-{role}");
        let user = json!({"email": format!("{role}@example.com"), "role": role, "token": token});
        let user = made(api, "/users", user).await;
        let somebody = api.with_token(Some(&token));
        answered(&somebody, 200).await;
        (policy, role, user, somebody)
    };
    let (policy, role, user, _) = grant().await;
    let _ = (policy, role, user);
    for road in 0..6 {
        let (policy, role, user, somebody) = grant().await;
        let empty = json!({"create": [], "update": [], "delete": []});
        let (path, body) = match road {
            0 => (format!("/roles/{role}"), json!({"policies": []})),
            1 => (format!("/policies/{policy}"), json!({"admin_access": false})),
            2 => (format!("/policies/{policy}"), json!({"roles": []})),
            3 => (format!("/roles/{role}"), json!({"users": []})),
            4 => (format!("/users/{user}"), json!({"role": {"id": role, "policies": []}})),
            _ => {
                let mut users = empty;
                users["update"] = json!([{"id": user, "status": "archived"}]);
                (format!("/roles/{role}"), json!({"users": users}))
            }
        };
        api.patch(&path, body.clone()).await.expect(200);
        let asked = || async { somebody.get("/settings").await.status != 200 };
        testkit::eventually(Duration::from_secs(2), asked).await;
    }
}
