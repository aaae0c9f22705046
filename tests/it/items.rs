//! Items over HTTP: the forms, the envelopes, the refusals.

use http::Method;
use serde_json::{Value, json};

use crate::world::{Shape, World};

async fn articles(shape: Shape) -> World {
    let world = World::start(shape).await;
    world
        .collection(
            "articles",
            json!([
                {"field": "title", "type": "string", "schema": {"is_nullable": false}, "meta": {"required": true}},
                {"field": "slug", "type": "string", "schema": {"is_unique": true}},
                {"field": "status", "type": "string", "schema": {"default_value": "draft"}},
                {"field": "words", "type": "integer"},
                {"field": "views", "type": "bigInteger"},
                {"field": "price", "type": "decimal", "schema": {"numeric_precision": 10, "numeric_scale": 2}},
                {"field": "published_at", "type": "timestamp"},
                {"field": "starts", "type": "dateTime"},
                {"field": "day", "type": "date"},
                {"field": "at", "type": "time"},
                {"field": "active", "type": "boolean"},
                {"field": "metadata", "type": "json"},
                {"field": "tags", "type": "csv"},
                {"field": "code", "type": "string", "schema": {"max_length": 5}},
            ]),
        )
        .await;
    world
}

#[tokio::test]
async fn an_item_lives() {
    let world = articles(shape!()).await;
    let api = &world.api;
    let made = api
        .post(
            "/items/articles",
            json!({
                "title": "Hello", "slug": "hello", "views": "9007199254740993", "price": 12.5, "active": true,
                "published_at": "2026-01-02T03:04:05+01:00", "starts": "2026-01-02T03:04:05", "day": "2026-01-02",
                "at": "03:04:05", "metadata": {"a": [1, 2]}, "tags": ["x", "y"], "nope": 1,
            }),
        )
        .await
        .expect(200)
        .data();
    assert_eq!(
        made,
        json!({
            "id": 1, "title": "Hello", "slug": "hello", "status": "draft", "words": null,
            "views": "9007199254740993", "price": "12.50", "published_at": "2026-01-02T02:04:05.000Z",
            "starts": "2026-01-02T03:04:05", "day": "2026-01-02", "at": "03:04:05", "active": true,
            "metadata": {"a": [1, 2]}, "tags": ["x", "y"], "code": null,
        })
    );
    let two = json!([{"title": "B", "words": 2}, {"title": "C", "words": 3, "status": null}]);
    let two = api.post("/items/articles?fields=id,status", two).await.expect(200).data();
    assert_eq!(two, json!([{"id": 2, "status": "draft"}, {"id": 3, "status": null}]));
    assert_eq!(api.get("/items/articles/1").await.expect(200).data(), made);
    let list =
        api.get("/items/articles?fields=id,words&filter[words][_gte]=2&sort=-words&meta=*").await.expect(200);
    assert_eq!(
        list.text,
        r#"{"meta":{"total_count":3,"filter_count":2},"data":[{"id":3,"words":3},{"id":2,"words":2}]}"#
    );
    let changed =
        api.patch("/items/articles/2?fields=id,title", json!({"title": "BB"})).await.expect(200).data();
    assert_eq!(changed, json!({"id": 2, "title": "BB"}));
    let both = json!({"keys": [2, 3], "data": {"status": "live"}});
    let both = api.patch("/items/articles?fields=id,status", both).await.expect(200).data();
    assert_eq!(both, json!([{"id": 2, "status": "live"}, {"id": 3, "status": "live"}]));
    let each = json!([{"id": 3, "words": 30}, {"id": 2, "title": "B2"}]);
    let each = api.patch("/items/articles?fields=id,title,words", each).await.expect(200).data();
    assert_eq!(each, json!([{"id": 2, "title": "B2", "words": 2}, {"id": 3, "title": "C", "words": 30}]));
    let fitting = json!({"query": {"filter": {"words": {"_gt": 10}}}, "data": {"code": "abc"}});
    let fitting = api.patch("/items/articles?fields=id,code", fitting).await.expect(200).data();
    assert_eq!(fitting, json!([{"id": 3, "code": "abc"}]));
    api.delete("/items/articles/1", None).await.expect(204);
    api.delete("/items/articles", Some(json!([2]))).await.expect(204);
    api.delete("/items/articles", Some(json!({"query": {"filter": {"id": {"_eq": 3}}}}))).await.expect(204);
    assert_eq!(api.get("/items/articles").await.expect(200).data(), json!([]));
    api.patch("/items/articles/99", json!({"title": "x"})).await.expect(204);
    api.delete("/items/articles/99", None).await.expect(204);
    versions(&world).await;
}

/// Name, key, version, payload, previous.
type Logged = (String, String, i64, Option<Value>, Option<Value>);

/// One event per change, versions without gaps, values as on the wire.
async fn versions(world: &World) {
    let pool = world.pool().await;
    let events: Vec<Logged> = sqlx::query_as(
        "SELECT name, key, version, payload, previous FROM eventus.events WHERE collection = 'articles' ORDER BY position",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let of = |key: &str| events.iter().filter(|event| event.1 == key).collect::<Vec<_>>();
    let names = |key: &str| of(key).iter().map(|event| (event.0.as_str(), event.2)).collect::<Vec<_>>();
    assert_eq!(names("1"), [("items.create", 1), ("items.delete", 2)]);
    let update = "items.update";
    assert_eq!(names("3"), [("items.create", 1), (update, 2), (update, 3), (update, 4), ("items.delete", 5)]);
    let first = of("1")[0].3.clone().unwrap();
    assert_eq!((&first["price"], &first["status"]), (&json!("12.50"), &json!("draft")));
    let changed = of("3")[2];
    assert_eq!(
        (changed.3.clone(), changed.4.clone()),
        (Some(json!({"words": 30})), Some(json!({"words": 3})))
    );
    assert_eq!(of("1")[1].4.clone().unwrap()["title"], "Hello");
}

/// What can't be asked.
async fn questions(api: &crate::api::Api) {
    for path in [
        "/items/nope",
        "/items/articles/999",
        "/items/articles/abc",
        "/items/articles?fields=nope",
        "/items/articles?sort=nope",
        "/items/articles?filter[nope][_eq]=1",
        "/items/directus_users",
        "/collections/nope",
        "/fields/articles/nope",
    ] {
        api.get(path).await.refused(403, "FORBIDDEN");
    }
    for path in [
        "/items/articles?filter={bad",
        "/items/articles?filter[id][_foo]=1",
        "/items/articles?filter[active][_in]=1",
        "/items/articles?limit=-5",
        "/items/articles?limit=abc",
        "/items/articles?export=xlsx",
    ] {
        api.get(path).await.refused(400, "INVALID_QUERY");
    }
}

#[tokio::test]
async fn bad_input_is_refused_and_leaves_nothing() {
    let world = articles(shape!()).await;
    let api = &world.api;
    api.post("/items/articles", json!({"title": "one", "slug": "one"})).await.expect(200);
    let raw = async |body: &str| {
        let headers: &[(&str, &str)] = &[("content-type", "application/json")];
        api.raw(Method::POST, "/items/articles", headers, body.to_owned()).await.unwrap()
    };
    raw("{bad").await.refused(400, "INVALID_PAYLOAD");
    raw("[1]").await.refused(400, "INVALID_PAYLOAD");
    raw(&format!("{}{}", "[".repeat(200), "]".repeat(200))).await.refused(400, "INVALID_PAYLOAD");
    let large = json!({"title": "x".repeat(2_000_000)}).to_string();
    raw(&large).await.refused(413, "CONTENT_TOO_LARGE");
    let post = async |body: Value| api.post("/items/articles", body).await;
    post(json!({"slug": "x"})).await.refused(400, "FAILED_VALIDATION");
    post(json!({"title": null})).await.refused(400, "FAILED_VALIDATION");
    let twice = post(json!({"title": "x", "slug": "one"})).await.refused(400, "RECORD_NOT_UNIQUE");
    let extensions = &twice.json()["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["collection"], &extensions["field"], &extensions["value"]),
        (&json!("articles"), &json!("slug"), &json!("one"))
    );
    post(json!([{"title": "good"}, {"title": "x", "slug": "one"}])).await.refused(400, "RECORD_NOT_UNIQUE");
    post(json!({"title": "x", "words": "notanumber"})).await.refused(400, "INVALID_PAYLOAD");
    post(json!({"title": "x", "words": 3_000_000_000_u32})).await.refused(400, "VALUE_OUT_OF_RANGE");
    post(json!({"title": "x", "price": 123_456_789_012.5})).await.refused(400, "VALUE_OUT_OF_RANGE");
    post(json!({"title": "x", "code": "abcdef"})).await.refused(400, "VALUE_TOO_LONG");
    post(json!({"title": "x", "day": "2026-02-30"})).await.refused(400, "INVALID_PAYLOAD");
    post(json!({"title": "x", "published_at": "now"})).await.refused(400, "INVALID_PAYLOAD");
    questions(api).await;
    api.get("/nope").await.refused(404, "ROUTE_NOT_FOUND");
    api.call(Method::PUT, "/items/articles/1", Some(json!({}))).await.refused(404, "ROUTE_NOT_FOUND");
    api.delete("/items/articles", Some(json!({}))).await.refused(400, "INVALID_PAYLOAD");
    let public = api.with_token(None);
    public.get("/items/articles").await.refused(403, "FORBIDDEN");
    public.post("/items/articles", json!({"title": "x"})).await.refused(403, "FORBIDDEN");
    api.with_token(Some("wrong")).get("/items/articles").await.refused(401, "INVALID_CREDENTIALS");
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM articles").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(count, 1, "nothing but the first item is stored");
    let events = "SELECT count(*) FROM eventus.events WHERE name LIKE 'items.%'";
    let events: i64 = sqlx::query_scalar(events).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(events, 1);
}

#[tokio::test]
async fn keys_of_ones_own_and_the_sequence_get_along() {
    let world = articles(shape!()).await;
    let api = &world.api;
    api.post("/items/articles", json!({"id": 5, "title": "five"})).await.expect(200);
    let next = api.post("/items/articles?fields=id", json!({"title": "six"})).await.expect(200).data();
    assert_eq!(next, json!({"id": 6}));
    api.post("/items/articles", json!({"id": 5, "title": "again"})).await.refused(400, "RECORD_NOT_UNIQUE");
    api.delete("/items/articles/5", None).await.expect(204);
    api.post("/items/articles", json!({"id": 5, "title": "reborn"})).await.expect(200);
    let versions = "SELECT array_agg(version ORDER BY position) FROM eventus.events WHERE collection = 'articles' AND key = '5'";
    let versions: Vec<i64> = sqlx::query_scalar(versions).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(versions, [1, 2, 3], "a key that lives again goes on counting");
    let uuids = json!([{"field": "id", "type": "uuid", "schema": {"is_primary_key": true}}, {"field": "n", "type": "integer"}]);
    world.collection("things", uuids).await;
    let made = api.post("/items/things", json!([{"n": 1}, {"n": 2}])).await.expect(200).data();
    assert_eq!(made.as_array().unwrap().len(), 2);
    let id = made[0]["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/items/things/{id}?fields=n")).await.expect(200).data()["n"], made[0]["n"]);
}

#[tokio::test]
async fn login_refresh_logout_and_me() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    let body = json!({"email": "admin@example.com", "password": crate::world::PASSWORD});
    let tokens = nobody.post("/auth/login", body).await.expect(200).data();
    let bearer = |tokens: &Value| world.api.with_token(tokens["access_token"].as_str());
    let me = bearer(&tokens).get("/users/me?fields=email,password,token").await.expect(200).data();
    assert_eq!(me, json!({"email": "admin@example.com", "password": "**********", "token": "**********"}));
    nobody.get("/users/me").await.refused(401, "INVALID_CREDENTIALS");
    let refresh = json!({"refresh_token": tokens["refresh_token"], "mode": "json"});
    let newer = nobody.post("/auth/refresh", refresh).await.expect(200).data();
    bearer(&newer).get("/users/me").await.expect(200);
    let out = json!({"refresh_token": newer["refresh_token"]});
    nobody.post("/auth/logout", out).await.expect(204);
    testkit::eventually(std::time::Duration::from_secs(2), || async {
        bearer(&newer).get("/users/me").await.status == 401
    })
    .await;
    let wrong = json!({"email": "admin@example.com", "password": "wrong"});
    nobody.post("/auth/login", wrong).await.refused(401, "INVALID_CREDENTIALS");
    nobody.post("/auth/login", json!({"email": "notanemail"})).await.refused(400, "INVALID_PAYLOAD");
}
