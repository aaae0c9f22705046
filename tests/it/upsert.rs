//! `PUT /items/:collection`: items that agree with a present one change it, others are made, all or none.

use http::Method;
use serde_json::{Value, json};

mod nested;

use crate::api::{Answer, Api};
use crate::world::{Shape, World};

async fn world(shape: Shape) -> World {
    let world = World::start(shape).await;
    world
        .collection(
            "goods",
            json!([
                {"field": "slug", "type": "string", "schema": {"is_unique": true}},
                {"field": "shop", "type": "integer"},
                {"field": "number", "type": "string"},
                {"field": "price", "type": "decimal", "schema": {"numeric_precision": 10, "numeric_scale": 2}},
                {"field": "stock", "type": "integer", "schema": {"default_value": 5}},
                {"field": "token", "type": "string", "schema": {"is_unique": true}, "meta": {"special": ["conceal"]}},
            ]),
        )
        .await;
    let pool = world.pool().await;
    for sql in [
        "CREATE UNIQUE INDEX ON goods (shop, number)",
        "CREATE UNIQUE INDEX ON goods (stock) WHERE stock < 0",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    world
}

async fn put(api: &Api, path: &str, body: Value) -> Answer {
    api.call(Method::PUT, &format!("/items/goods{path}"), Some(body)).await
}

async fn events(world: &World) -> Vec<(String, String, Option<Value>)> {
    let sql = "SELECT name, key, payload FROM eventus.events WHERE collection = 'goods' ORDER BY position";
    sqlx::query_as(sql).fetch_all(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn present_items_change_and_others_are_made() {
    let world = world(shape!()).await;
    let api = &world.api;
    let made =
        put(api, "?on_conflict=slug&fields=id,slug,stock", json!([{"slug": "b", "stock": 1}, {"slug": "a"}]));
    let made = made.await.expect(200).data();
    assert_eq!(
        (&made[0]["slug"], &made[1]["slug"], &made[1]["stock"]),
        (&json!("b"), &json!("a"), &json!(5))
    );
    let (b, a) = (made[0]["id"].clone(), made[1]["id"].clone());
    // Each changes what it names: the price of one stays null, the stock of the other stays.
    let rows = json!([{"slug": "c", "price": 3}, {"slug": "a", "stock": 9}, {"price": "1.5", "slug": "b"}, {"slug": null}]);
    let rows = put(api, "?on_conflict=slug&fields=id,slug,price,stock", rows).await.expect(200).data();
    let c = rows[0]["id"].clone();
    assert_eq!(
        rows,
        json!([
            {"id": c, "slug": "c", "price": "3.00", "stock": 5},
            {"id": a, "slug": "a", "price": null, "stock": 9},
            {"id": b, "slug": "b", "price": "1.50", "stock": 1},
            {"id": rows[3]["id"], "slug": null, "price": null, "stock": 5},
        ])
    );
    // By the key: one object in, one object out; a key that is not there makes the item.
    let one = put(api, "?fields=id,stock", json!({"id": a, "stock": 7})).await.expect(200).data();
    assert_eq!(one, json!({"id": a, "stock": 7}));
    let new = put(api, "?fields=id,slug", json!({"id": 50, "slug": "fifty"})).await.expect(200).data();
    assert_eq!(new, json!({"id": 50, "slug": "fifty"}));
    let next = put(api, "?fields=id", json!({"slug": "next"})).await.expect(200).data();
    assert_eq!(next, json!({"id": 51}), "the sequence is past it");
    // What says nothing new changes nothing.
    let same = put(api, "?on_conflict=slug&fields=slug", json!([{"slug": "fifty"}])).await.expect(200).data();
    assert_eq!(same, json!([{"slug": "fifty"}]));
    let events = events(&world).await;
    let text = |key: &Value| key.to_string();
    let of = |key: &Value| events.iter().filter(|event| event.1 == text(key)).collect::<Vec<_>>();
    let names = |key: &Value| of(key).iter().map(|event| event.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), ["items.create", "items.update", "items.update"]);
    assert_eq!(of(&b)[1].2, Some(json!({"price": "1.50"})), "the field that decides is as it was");
    assert_eq!(names(&json!(50)), ["items.create"]);
    assert_eq!(put(api, "", json!([])).await.expect(200).data(), json!([]));
    // Keys of one's own, keys of the sequence and present items in one request: each answer stands in its place.
    let mixed = json!([{"slug": "m1"}, {"id": 300, "slug": "m2"}, {"slug": "b", "stock": 8}, {"id": 200, "slug": "m4"}, {"slug": "m5"}]);
    let mixed = put(api, "?on_conflict=slug&fields=id,slug", mixed).await.expect(200).data();
    let slugs: Vec<&Value> = mixed.as_array().unwrap().iter().map(|item| &item["slug"]).collect();
    assert_eq!(json!(slugs), json!(["m1", "m2", "b", "m4", "m5"]));
    assert_eq!((&mixed[1]["id"], &mixed[2]["id"], &mixed[3]["id"]), (&json!(300), &b, &json!(200)));
    let places = "SELECT array_agg(batch_index ORDER BY batch_index) FROM eventus.events \
                  WHERE batch_id = (SELECT batch_id FROM eventus.events ORDER BY position DESC LIMIT 1)";
    let places: Vec<i32> = sqlx::query_scalar(places).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(places, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn under_a_key_it_is_done_once() {
    let world = world(shape!()).await;
    let api = &world.api;
    let json: (&str, &str) = ("content-type", "application/json");
    let put = async |header: (&str, &str), body: &str| {
        let path = "/items/goods?on_conflict=slug&fields=id,slug";
        api.raw(Method::PUT, path, &[json, header], body.to_owned()).await.unwrap()
    };
    let body = r#"[{"slug":"a"},{"stock":3}]"#;
    let first = put(("idempotency-key", "k1"), body).await.expect(200);
    let again = put(("idempotency-key", "k1"), body).await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.text), (Some("true"), &first.text));
    assert_eq!(events(&world).await.len(), 2);
    assert_eq!(put(("idempotency-key", "k1"), r#"[{"slug":"b"}]"#).await.status, 422);
    put(("if-match", "\"1\""), body).await.refused(400, "INVALID_HEADER");
    assert_eq!(events(&world).await.len(), 2);
}

#[tokio::test]
async fn several_fields_decide_together() {
    let world = world(shape!()).await;
    let api = &world.api;
    let path = "?on_conflict=number,shop&fields=shop,number,stock";
    let rows = json!([{"shop": 1, "number": "x", "stock": 1}, {"shop": 2, "number": "x", "stock": 2}]);
    put(api, path, rows).await.expect(200);
    let rows = json!([{"shop": "2", "number": "x", "stock": 20}, {"shop": 1, "number": "y"}, {"shop": 1, "stock": 3}]);
    let rows = put(api, path, rows).await.expect(200).data();
    assert_eq!(
        rows,
        json!([
            {"shop": 2, "number": "x", "stock": 20}, {"shop": 1, "number": "y", "stock": 5},
            {"shop": 1, "number": null, "stock": 3},
        ])
    );
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let world = world(shape!()).await;
    let api = &world.api;
    put(api, "", json!([{"id": 1, "slug": "a"}, {"id": 2, "slug": "b"}])).await.expect(200);
    let before = events(&world).await.len();
    for names in ["shop", "number", "slug,shop", "stock", "token", "price,shop"] {
        let path = format!("?on_conflict={names}");
        put(api, &path, json!({"slug": "x", "shop": 1})).await.refused(400, "INVALID_QUERY");
    }
    put(api, "?on_conflict=nope", json!({"slug": "x"})).await.refused(403, "FORBIDDEN");
    let twice = json!([{"slug": "x"}, {"slug": "y"}, {"slug": "x"}]);
    put(api, "?on_conflict=slug", twice).await.refused(400, "INVALID_PAYLOAD");
    let twice = json!([{"id": 1, "stock": 1}, {"id": "1", "stock": 2}]);
    put(api, "", twice).await.refused(400, "INVALID_PAYLOAD");
    // The second is new, and the slug of the third is taken.
    let rows = json!([{"id": 1, "stock": 1}, {"id": 8, "slug": "new"}, {"id": 9, "slug": "b"}]);
    put(api, "", rows).await.refused(400, "RECORD_NOT_UNIQUE");
    let other = json!({"slug": "a", "id": 2, "stock": 1});
    put(api, "?on_conflict=slug", other).await.refused(400, "INVALID_PAYLOAD");
    let within = json!([{"field": "goods", "type": "integer"}]);
    world.collection("parts", within).await;
    let to = json!({"collection": "parts", "field": "goods", "related_collection": "goods", "meta": {"one_field": "parts"}});
    api.post("/fields/goods", json!({"field": "parts", "type": "alias", "meta": {"special": ["o2m"]}}))
        .await
        .expect(200);
    api.post("/relations", to).await.expect(200);
    put(api, "", json!({"id": 1, "parts": 5})).await.refused(400, "INVALID_PAYLOAD");
    for body in [json!({"id": "x"}), json!([{"slug": "n", "shop": "x"}]), json!([1])] {
        put(api, "", body).await.refused(400, "INVALID_PAYLOAD");
    }
    let public = api.with_token(None);
    put(&public, "", json!({"id": 1, "stock": 1})).await.refused(403, "FORBIDDEN");
    api.call(Method::PUT, "/items/nope", Some(json!({"id": 1}))).await.refused(403, "FORBIDDEN");
    api.call(Method::PUT, "/items/directus_users", Some(json!({"id": 1}))).await.refused(403, "FORBIDDEN");
    api.call(Method::PUT, "/items/goods/1", Some(json!({"id": 1}))).await.refused(404, "ROUTE_NOT_FOUND");
    api.call(Method::PUT, "/users", Some(json!({"id": 1}))).await.refused(404, "ROUTE_NOT_FOUND");
    assert_eq!(events(&world).await.len(), before);
    let left = api.get("/items/goods?fields=id,stock").await.expect(200).data();
    assert_eq!(left, json!([{"id": 1, "stock": 5}, {"id": 2, "stock": 5}]));
}

#[tokio::test]
async fn of_many_that_bring_the_same_at_once_one_makes_it() {
    let world = world(shape!()).await;
    for round in 0..10 {
        let calls = (0..8).map(|caller| {
            let api = world.api.clone();
            crate::storm::spawn(async move {
                let mut rows = vec![
                    json!({"slug": format!("r{round}"), "stock": caller}),
                    json!({"slug": format!("s{round}"), "stock": caller}),
                    json!({"slug": format!("own-{round}-{caller}")}),
                ];
                rows.rotate_left(caller % 3);
                put(&api, "?on_conflict=slug&fields=id,slug", json!(rows)).await
            })
        });
        for call in calls.collect::<Vec<_>>() {
            let rows = call.await.unwrap().expect(200).data();
            assert_eq!(rows.as_array().unwrap().len(), 3);
        }
    }
    let sql = "SELECT count(*) FILTER (WHERE name = 'items.create'), count(*) FILTER (WHERE name = 'items.update') \
               FROM eventus.events WHERE collection = 'goods'";
    let counted: (i64, i64) = sqlx::query_as(sql).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(counted, (10 * (2 + 8), 10 * 2 * 7));
    let gaps = "SELECT count(*) FROM (SELECT version - row_number() OVER (PARTITION BY key ORDER BY position) AS gap \
                FROM eventus.events WHERE collection = 'goods') e WHERE gap <> 0";
    let gaps: i64 = sqlx::query_scalar(gaps).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(gaps, 0);
}
