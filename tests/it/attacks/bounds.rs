//! One request gets only so much: items, depth, related items, on every road to them.

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::{Options, World};

async fn filled(world: &World) {
    world.collection("rooms", json!([{"field": "name", "type": "string"}])).await;
    world.collection("chairs", json!([{"field": "room", "type": "integer"}])).await;
    let alias = json!({"field": "chairs", "type": "alias", "meta": {"special": ["o2m"]}});
    world.api.post("/fields/rooms", alias).await.expect(200);
    let relation = json!({
        "collection": "chairs", "field": "room", "related_collection": "rooms", "meta": {"one_field": "chairs"}
    });
    world.api.post("/relations", relation).await.expect(200);
    let pool = world.pool().await;
    for fill in [
        "INSERT INTO rooms (name) SELECT 'room ' || n FROM generate_series(1, 30) n",
        "INSERT INTO chairs (room) SELECT 1 FROM generate_series(1, 30)",
    ] {
        sqlx::query(fill).execute(&pool).await.unwrap();
    }
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

async fn listed(api: &Api, path: &str) -> Value {
    api.get(path).await.expect(200).data()
}

#[tokio::test]
async fn nobody_gets_more_than_the_most() {
    let options = Options::default().set("QUERY_LIMIT_MAX", "20").set("MAX_RELATIONAL_DEPTH", "3");
    let world = World::with(shape!(), options).await;
    filled(&world).await;
    let api = &world.api;
    assert_eq!(count(&listed(api, "/items/rooms?limit=-1").await), 20);
    assert_eq!(count(&listed(api, "/items/rooms").await), 20);
    assert_eq!(count(&listed(api, "/items/rooms?limit=-1&page=2").await), 10);
    assert_eq!(count(&listed(api, "/items/rooms?aggregate[count]=id&groupBy=id&limit=-1").await), 20);
    let file = api.get("/items/rooms?export=csv&limit=-1&fields=id").await.expect(200);
    assert_eq!(file.text.lines().count(), 21);
    let all = json!({"query": {"limit": -1}, "keys": (1..=30).collect::<Vec<i32>>()});
    let found = api.call(Method::from_bytes(b"SEARCH").unwrap(), "/items/rooms", Some(all)).await.expect(200);
    assert_eq!(count(&found.data()), 20);
    let chairs = "/items/rooms/1?fields=chairs.id&deep[chairs][_limit]=";
    assert_eq!(count(&listed(api, &format!("{chairs}-1")).await["chairs"]), 20);
    assert_eq!(count(&listed(api, "/items/rooms/1?fields=chairs.id").await["chairs"]), 20);
    for refused in [
        "/items/rooms?limit=21",
        "/items/rooms?limit=21&export=json",
        "/items/rooms?limit=9223372036854775807",
        "/items/rooms/1?limit=21",
        &format!("{chairs}21"),
        "/items/rooms?aggregate[count]=id&groupBy=id&limit=21",
        "/items/rooms?fields=*.*.*.*",
        "/items/rooms?fields=chairs.room.chairs.id",
        "/items/rooms?sort=chairs.room.chairs.id",
        "/items/rooms?filter[chairs][room][chairs][id][_eq]=1",
        "/items/rooms?deep={\"a\":{\"b\":{\"c\":{\"d\":{\"_limit\":1}}}}}",
        "/items/rooms?offset=9223372036854775808",
        "/items/rooms?page=9223372036854775807",
    ] {
        let refused = refused.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        api.get(&refused).await.refused(400, "INVALID_QUERY");
    }
    // Far away is nothing, and soon said.
    assert_eq!(listed(api, "/items/rooms?offset=9007199254740991").await, json!([]));
    assert_eq!(listed(api, "/items/rooms?fields=*.*.*&limit=1").await.as_array().unwrap().len(), 1);
}
