//! System collections over HTTP: the same forms as user collections, at places of their own.

mod roads;
mod rules;
mod samples;
mod users;

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

/// The id of the admin who makes the calls.
async fn admin(api: &Api) -> Value {
    api.get("/users/me?fields=id").await.expect(200).data()["id"].clone()
}

/// Every given value stands in the item.
#[track_caller]
fn holds(item: &Value, given: &Value) {
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(&item[name], value, "{name} of {item}");
    }
}

#[tokio::test]
async fn rows_live_in_every_form() {
    let world = World::start(shape!()).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    let api = &world.api;
    api.patch("/collections/articles", json!({"meta": {"versioning": true}})).await.expect(200);
    api.post("/items/articles", json!({"id": 1})).await.expect(200);
    for (path, [first, second], change) in samples::all(api).await {
        life(api, path, [&first, &second], &change).await;
        let collection = format!("directus{}", path.replace('/', "_"));
        api.get(&format!("/items/{collection}")).await.refused(403, "FORBIDDEN");
        api.post(&format!("/items/{collection}"), first).await.refused(403, "FORBIDDEN");
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM eventus.events WHERE collection = $1 AND batch_index = 0 GROUP BY name ORDER BY name",
        )
        .bind(&collection)
        .fetch_all(&world.pool().await)
        .await
        .unwrap();
        let scope = path.trim_start_matches('/');
        assert_eq!(names, ["create", "delete", "update"].map(|action| format!("{scope}.{action}")));
    }
}

/// The items of a list that stand in a table: permissions that the app gives do not.
fn stored(list: Value) -> Value {
    let Value::Array(list) = list else { return list };
    list.into_iter().filter(|item| item["system"] != json!(true)).collect()
}

async fn life(api: &Api, path: &str, [first, second]: [&Value; 2], change: &Value) {
    let made = api.post(path, first.clone()).await.expect(200).data();
    holds(&made, first);
    let also = api.post(path, json!([second])).await.expect(200).data()[0].clone();
    holds(&also, second);
    let text = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    let one = format!("{path}/{}", text(&made["id"]));
    assert_eq!(api.get(&one).await.expect(200).data(), made, "{path}");
    let asked = json!({"query": {"filter": {"id": {"_eq": made["id"]}}, "fields": ["id"]}});
    let found = api.call(Method::from_bytes(b"SEARCH").unwrap(), path, Some(asked)).await.expect(200).data();
    assert_eq!(stored(found), json!([{"id": made["id"]}]));
    let found = api.get(&format!("{path}?filter[id][_eq]={}&fields=id", text(&also["id"]))).await.expect(200);
    assert_eq!(stored(found.data()), json!([{"id": also["id"]}]));
    holds(&api.patch(&one, change.clone()).await.expect(200).data(), change);
    let both = json!({"keys": [made["id"], also["id"]], "data": change});
    let both = api.patch(path, both).await.expect(200).data();
    assert_eq!(both.as_array().unwrap().len(), 2);
    let mut each = change.clone();
    each["id"] = also["id"].clone();
    holds(&api.patch(path, json!([each])).await.expect(200).data()[0], change);
    api.delete(&one, None).await.expect(204);
    api.get(&one).await.refused(403, "FORBIDDEN");
    api.delete(path, Some(json!([also["id"]]))).await.expect(204);
}

/// Who and when is written by the system, and defaults stand where nothing was said.
#[tokio::test]
async fn items_bear_their_stamps() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let admin = admin(api).await;
    let stamped =
        |item: &Value, name: &str| assert!(item[name].as_str().unwrap().ends_with('Z'), "{name}: {item}");
    let comment = json!({"collection": "articles", "item": "1", "comment": "a", "user_created": null});
    let comment = api.post("/comments", comment).await.expect(200).data();
    assert_eq!(comment["user_created"], admin);
    stamped(&comment, "date_created");
    let path = format!("/comments/{}", comment["id"].as_str().unwrap());
    let changed = api.patch(&path, json!({"comment": "b"})).await.expect(200).data();
    assert_eq!(changed["user_updated"], admin);
    let file = api
        .post("/files", json!({"storage": "local", "filename_download": "a", "type": "text/plain"}))
        .await
        .expect(200)
        .data();
    assert_eq!((&file["uploaded_by"], &file["modified_by"]), (&admin, &Value::Null));
    stamped(&file, "created_on");
    let note = json!({"recipient": admin, "subject": "s"});
    let note = api.post("/notifications", note).await.expect(200).data();
    assert_eq!(note["status"], "inbox");
    stamped(&note, "timestamp");
    let user = api.post("/users", json!({})).await.expect(200).data();
    assert_eq!((&user["status"], &user["provider"]), (&json!("active"), &json!("default")));
    api.post("/roles", json!({})).await.refused(400, "FAILED_VALIDATION");
}

#[tokio::test]
async fn singletons_are_written_by_patch() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let settings = api.get("/settings").await.expect(200).data();
    assert_eq!(settings["project_name"], "Directus");
    let change = json!({"project_name": "Mine", "module_bar": [{"id": "content"}]});
    holds(&api.patch("/settings", change.clone()).await.expect(200).data(), &change);
    assert_eq!(
        api.get("/settings?fields=project_name").await.expect(200).data(),
        json!({"project_name": "Mine"})
    );
    let count = "SELECT count(*) FROM directus_settings";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(count, 1);
    let key = api.patch("/settings", json!({"ai_openai_api_key": "sk"})).await.expect(200).data();
    assert_eq!(key["ai_openai_api_key"], "**********");
    for (method, path) in
        [(Method::POST, "/settings"), (Method::DELETE, "/settings"), (Method::PATCH, "/settings/1")]
    {
        api.call(method, path, Some(json!({"project_name": "x"}))).await.refused(404, "ROUTE_NOT_FOUND");
    }
    let fields = json!([{"field": "name", "type": "string", "schema": {"default_value": "d"}}, {"field": "n", "type": "integer"}]);
    let one = json!({"collection": "one", "schema": {}, "meta": {"singleton": true}, "fields": fields});
    api.post("/collections", one).await.expect(200);
    api.post("/items/one", json!({"n": 1})).await.refused(404, "ROUTE_NOT_FOUND");
    api.patch("/items/one", json!([{"n": 1}])).await.refused(400, "INVALID_PAYLOAD");
    let first = (1..=8).map(|n| api.patch("/items/one", json!({"n": n})));
    for answer in futures_util::future::join_all(first).await {
        assert_eq!(answer.expect(200).data()["id"], 1, "made once");
    }
    let changed = api.patch("/items/one?fields=id,name,n", json!({"n": 20})).await.expect(200).data();
    assert_eq!(changed, json!({"id": 1, "name": "d", "n": 20}));
    let refused = api.patch("/items/one/1", json!({"n": 1})).await.refused(404, "ROUTE_NOT_FOUND");
    assert_eq!(refused.json()["errors"][0]["extensions"]["path"], "/items/one/1");
    assert_eq!(api.get("/items/one").await.expect(200).data()["n"], 20);
}

#[tokio::test]
async fn what_is_only_read_is_only_read() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    for path in ["/activity", "/revisions", "/extensions"] {
        api.get(path).await.expect(200);
        for method in [Method::POST, Method::PATCH, Method::DELETE] {
            api.call(method, path, Some(json!({}))).await.refused(404, "ROUTE_NOT_FOUND");
        }
    }
    let options = api.call(Method::OPTIONS, "/activity", None).await.expect(200);
    assert_eq!(options.header("allow"), Some("SEARCH,GET,HEAD"));
    api.patch("/activity/1", json!({})).await.refused(404, "ROUTE_NOT_FOUND");
    let extension = "INSERT INTO directus_extensions (id, folder, source) VALUES \
                     ('11111111-1111-4111-8111-111111111111', 'f', 'local')";
    sqlx::query(extension).execute(&world.pool().await).await.unwrap();
    let path = "/extensions/11111111-1111-4111-8111-111111111111";
    assert_eq!(api.patch(path, json!({"enabled": false})).await.expect(200).data()["enabled"], false);
    api.delete(path, None).await.refused(404, "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn only_admins_are_served() {
    let world = World::start(shape!()).await;
    let id = world.user("user@example.com", "a-static-token-of-a-user").await;
    let user = world.api.with_token(Some("a-static-token-of-a-user"));
    for somebody in [&user, &world.api.with_token(None)] {
        for path in [
            "/users",
            "/roles",
            "/policies",
            "/access",
            "/permissions",
            "/files",
            "/folders",
            "/presets",
            "/flows",
            "/operations",
            "/notifications",
            "/dashboards",
            "/panels",
            "/translations",
            "/shares",
            "/versions",
            "/comments",
            "/extensions",
            "/settings",
            "/activity",
            "/revisions",
        ] {
            somebody.get(path).await.refused(403, "FORBIDDEN");
        }
        somebody.get(&format!("/users/{id}")).await.refused(403, "FORBIDDEN");
        somebody.post("/users", json!({"password": "x"})).await.refused(403, "FORBIDDEN");
        somebody.patch(&format!("/users/{id}"), json!({"password": "x"})).await.refused(403, "FORBIDDEN");
        somebody.patch("/settings", json!({"project_name": "x"})).await.refused(403, "FORBIDDEN");
        somebody.delete("/users", Some(json!([id]))).await.refused(403, "FORBIDDEN");
    }
    user.patch("/users/me", json!({"first_name": "x"})).await.refused(403, "FORBIDDEN");
    assert_eq!(user.get("/roles/me").await.expect(200).data(), json!([]));
    let nobody = world.api.with_token(None);
    nobody.patch("/users/me", json!({})).await.refused(401, "INVALID_CREDENTIALS");
    nobody.get("/roles/me").await.refused(403, "FORBIDDEN");
    let mine = world.api.get("/roles/me?fields=name").await.expect(200).data();
    assert_eq!(mine, json!([{"name": "Administrator"}]));
    let me =
        world.api.patch("/users/me?fields=first_name", json!({"first_name": "Me"})).await.expect(200).data();
    assert_eq!(me, json!({"first_name": "Me"}));
}

/// Activity and revisions are the log, as the original would have written it down.
#[tokio::test]
async fn activity_and_revisions_are_read_from_the_log() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world
        .collection(
            "posts",
            json!([{"field": "title", "type": "string"}, {"field": "words", "type": "integer"}]),
        )
        .await;
    api.post("/items/posts", json!({"title": "a", "words": 1})).await.expect(200);
    api.patch("/items/posts/1", json!({"title": "b"})).await.expect(200);
    api.delete("/items/posts/1", None).await.expect(204);
    let posts = "filter[collection][_eq]=posts&sort=id";
    let activity =
        api.get(&format!("/activity?{posts}&fields=id,action,item,user,collection")).await.expect(200).data();
    let actions: Vec<&Value> = activity.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["create", "update", "delete"]);
    let me = api.get("/users/me").await.expect(200).data()["id"].clone();
    assert_eq!((&activity[1]["item"], &activity[1]["user"]), (&json!("1"), &me));
    let revisions = api.get(&format!("/revisions?{posts}")).await.expect(200).data();
    assert_eq!(revisions.as_array().unwrap().len(), 2, "a deletion has none");
    assert_eq!(revisions[0]["data"], json!({"id": 1, "title": "a", "words": 1}));
    assert_eq!(revisions[1]["delta"], json!({"title": "b"}));
    assert_eq!(revisions[1]["data"], json!({"id": 1, "title": "b", "words": 1}));
    for (accountability, entries) in
        [(json!("activity"), [3, 0]), (json!(null), [0, 0]), (json!("all"), [3, 2])]
    {
        api.patch("/collections/posts", json!({"meta": {"accountability": accountability}}))
            .await
            .expect(200);
        for (path, expected) in ["/activity", "/revisions"].into_iter().zip(entries) {
            let found = api.get(&format!("{path}?{posts}")).await.expect(200).data();
            assert_eq!(found.as_array().unwrap().len(), expected, "{path} {accountability}");
        }
    }
    assert_eq!(revisions[1]["activity"], activity[1]["id"]);
    let one = api.get(&format!("/activity/{}", activity[0]["id"])).await.expect(200).data();
    assert_eq!((&one["action"], &one["collection"]), (&json!("create"), &json!("posts")));
    for (path, body) in [("/activity", json!({"action": "x"})), ("/revisions", json!({"item": "1"}))] {
        api.post(path, body).await.refused(404, "ROUTE_NOT_FOUND");
    }
    let count = "SELECT count(*) FROM directus_activity";
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&world.pool().await).await.unwrap(), 0);
}
