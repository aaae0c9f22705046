//! `POST /utils/sort/:collection` and `POST /utils/revert/:revision`.

use http::Method;
use serde_json::{Value, json};

use crate::world::{Shape, World};

async fn world(shape: Shape) -> World {
    let world = World::start(shape).await;
    let fields = json!([
        {"field": "title", "type": "string"},
        {"field": "pos", "type": "integer"},
        {"field": "changed", "type": "timestamp", "meta": {"special": ["date-updated"]}},
    ]);
    world.collection("steps", fields).await;
    world.api.patch("/collections/steps", json!({"meta": {"sort_field": "pos"}})).await.expect(200);
    world
}

/// Keys and places in their order.
async fn order(world: &World) -> Value {
    let items = world.api.get("/items/steps?fields=id,pos&sort=pos,id").await.expect(200).data();
    items.as_array().unwrap().iter().map(|item| json!([item["id"], item["pos"]])).collect()
}

async fn sort(world: &World, item: impl Into<Value>, to: impl Into<Value>) -> Value {
    let body = json!({"item": item.into(), "to": to.into()});
    let answer = world.api.post("/utils/sort/steps", body).await.expect(200);
    assert_eq!(answer.text, "");
    order(world).await
}

async fn events(world: &World) -> Vec<(String, String, Option<Value>)> {
    let sql = "SELECT name, key, payload FROM eventus.events WHERE collection = 'steps' ORDER BY position";
    sqlx::query_as(sql).fetch_all(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn items_take_the_places_of_others() {
    let world = world(shape!()).await;
    let five: Value = (1..=5).map(|n| json!({"title": format!("t{n}"), "pos": n})).collect();
    world.api.post("/items/steps", five).await.expect(200);
    assert_eq!(sort(&world, 1, 4).await, json!([[2, 1], [3, 2], [4, 3], [1, 4], [5, 5]]));
    let moved = events(&world).await.split_off(5);
    assert!(moved.iter().all(|event| event.0 == "items.update"));
    assert_eq!((moved.len(), &moved[0].1), (4, &"1".to_owned()));
    assert_eq!(moved[0].2, Some(json!({"pos": 4})), "sorting stamps nobody");
    assert_eq!(sort(&world, "5", "2").await, json!([[5, 1], [2, 2], [3, 3], [4, 4], [1, 5]]));
    let before = events(&world).await.len();
    assert_eq!(sort(&world, 2, 2).await, json!([[5, 1], [2, 2], [3, 3], [4, 4], [1, 5]]));
    assert_eq!(events(&world).await.len(), before);
    // Items without a place, and items that share one, get places first.
    world.api.patch("/items/steps", json!({"keys": [1, 2, 5], "data": {"pos": null}})).await.expect(200);
    world.api.patch("/items/steps", json!({"keys": [3, 4], "data": {"pos": 7}})).await.expect(200);
    assert_eq!(sort(&world, 2, 3).await, json!([[2, 1], [3, 2], [4, 3], [1, 4], [5, 5]]));
}

#[tokio::test]
async fn what_can_not_be_sorted_stays() {
    let world = world(shape!()).await;
    world.collection("plain", json!([{"field": "title", "type": "string"}])).await;
    let api = &world.api;
    api.post("/items/steps", json!([{"pos": 1}, {"pos": 2}])).await.expect(200);
    let before = events(&world).await.len();
    for body in [
        json!({}),
        json!({"item": 1}),
        json!({"to": 1}),
        json!({"item": null, "to": 1}),
        json!({"item": {}, "to": 1}),
        json!({"item": 1, "to": 2, "x": 1}),
        json!([{"item": 1, "to": 2}]),
    ] {
        api.post("/utils/sort/steps", body).await.refused(400, "INVALID_PAYLOAD");
    }
    for (item, to) in
        [(json!(99), json!(1)), (json!(1), json!(99)), (json!("x"), json!(1)), (json!(1.5), json!(1))]
    {
        api.post("/utils/sort/steps", json!({"item": item, "to": to})).await.refused(403, "FORBIDDEN");
    }
    let both = json!({"item": 1, "to": 2});
    for unsorted in ["plain", "directus_users"] {
        api.post(&format!("/utils/sort/{unsorted}"), both.clone()).await.refused(400, "INVALID_PAYLOAD");
    }
    api.post("/utils/sort/nope", both.clone()).await.refused(403, "FORBIDDEN");
    api.with_token(None).post("/utils/sort/steps", both).await.refused(403, "FORBIDDEN");
    api.get("/utils/sort/steps").await.refused(404, "ROUTE_NOT_FOUND");
    assert_eq!((order(&world).await, events(&world).await.len()), (json!([[1, 1], [2, 2]]), before));
}

#[tokio::test]
async fn sorts_at_the_same_time_leave_every_place_once() {
    let world = world(shape!()).await;
    let ten: Value = (1..=10).map(|n| json!({"pos": n})).collect();
    world.api.post("/items/steps", ten).await.expect(200);
    let calls = (0..24).map(|call| {
        let api = world.api.clone();
        let body = json!({"item": call % 10 + 1, "to": (call * 7) % 10 + 1});
        crate::storm::spawn(async move { api.post("/utils/sort/steps", body).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().expect(200);
    }
    let order = order(&world).await;
    let places: Vec<&Value> = order.as_array().unwrap().iter().map(|pair| &pair[1]).collect();
    assert_eq!(json!(places), (1..=10).collect::<Value>());
}

#[tokio::test]
async fn an_item_goes_back_to_a_revision() {
    let world = world(shape!()).await;
    let fields = json!([
        {"field": "title", "type": "string"}, {"field": "n", "type": "bigInteger"}, {"field": "tags", "type": "csv"},
        {"field": "meta", "type": "json"}, {"field": "secret", "type": "string", "meta": {"special": ["conceal"]}},
    ]);
    world.collection("notes", fields).await;
    let api = &world.api;
    let first = json!({"title": "one", "n": "9007199254740993", "tags": ["a", "b"], "meta": {"a": [1]}, "secret": "s"});
    let first = api.post("/items/notes", first).await.expect(200).data();
    let second =
        api.patch("/items/notes/1", json!({"title": "two", "n": 2, "meta": null, "tags": null})).await;
    let second = second.expect(200).data();
    let found =
        api.get("/revisions?filter[collection][_eq]=notes&sort=id&fields=id").await.expect(200).data();
    let id = |at: usize| found[at]["id"].as_i64().unwrap();
    let revert = async |id: i64| api.call(Method::POST, &format!("/utils/revert/{id}"), None).await;
    assert_eq!(revert(id(0)).await.expect(204).text, "");
    assert_eq!(api.get("/items/notes/1").await.expect(200).data(), first);
    revert(id(1)).await.expect(204);
    assert_eq!(api.get("/items/notes/1").await.expect(200).data(), second);
    let secret: String =
        sqlx::query_scalar("SELECT secret FROM notes").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(secret, "s", "a mask is not written back");
    let named = "SELECT array_agg(name ORDER BY position) FROM eventus.events WHERE collection = 'notes'";
    let named: Vec<String> = sqlx::query_scalar(named).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(named, ["items.create", "items.update", "items.update", "items.update"]);
    for wrong in ["999999", "abc", "-1", "1.5", "99999999999999999999"] {
        api.call(Method::POST, &format!("/utils/revert/{wrong}"), None).await.refused(403, "FORBIDDEN");
    }
    let public = api.with_token(None);
    public.call(Method::POST, &format!("/utils/revert/{}", id(0)), None).await.refused(403, "FORBIDDEN");
    api.get(&format!("/utils/revert/{}", id(0))).await.refused(404, "ROUTE_NOT_FOUND");
    api.delete("/items/notes/1", None).await.expect(204);
    revert(id(0)).await.refused(403, "FORBIDDEN");
    // Items of system collections and of singletons, too.
    let folder = api.post("/folders", json!({"name": "x"})).await.expect(200).data();
    let folder = format!("/folders/{}", folder["id"].as_str().unwrap());
    api.patch(&folder, json!({"name": "y"})).await.expect(200);
    let found =
        api.get("/revisions?filter[collection][_eq]=directus_folders&sort=id&fields=id").await.expect(200);
    revert(found.data()[0]["id"].as_i64().unwrap()).await.expect(204);
    assert_eq!(api.get(&folder).await.expect(200).data()["name"], "x");
}
