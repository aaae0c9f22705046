//! `_json`: values inside json, by their paths.

use serde_json::json;

use super::{encoded, found};
use crate::world::World;

#[tokio::test]
async fn values_inside_json_are_filtered_by() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let fields = json!([{"field": "meta", "type": "json", "schema": {}}, {"field": "title", "type": "string", "schema": {}},
                        {"field": "kept", "type": "text", "schema": {}, "meta": {"special": ["cast-json"]}}]);
    world.collection("things", fields).await;
    let items = json!([
        {"meta": {"color": "red", "size": 5, "dims": [{"w": 1.50}, {"w": "9"}], "on": true}, "kept": {"a": 1}},
        {"meta": {"color": "Blue", "size": 10, "dims": [], "on": false, "none": null}, "kept": {"a": 2}},
        {"meta": {"color": "10", "size": "5", "a.b": 1, "_x": {"_eq": 3}}},
        {"meta": null},
        {"meta": [1, {"color": "red"}]},
    ]);
    api.post("/items/things", items).await.expect(200);
    for (conditions, keys) in [
        (json!({"color": {"_eq": "red"}}), &[1][..]),
        (json!({"color": "red"}), &[1]),
        (json!({"color": {"_neq": "red"}}), &[2, 3]),
        (json!({"color": {"_icontains": "BLU"}}), &[2]),
        (json!({"color": {"_starts_with": "%"}}), &[]),
        (json!({"color": {"_in": ["red", "Blue"]}}), &[1, 2]),
        (json!({"color": {"_null": true}}), &[4, 5]),
        (json!({"none": {"_null": true}, "color": {"_nnull": true}}), &[1, 2, 3]),
        // A number inside is compared as a number, a text as a text.
        (json!({"size": {"_eq": 5}}), &[1, 3]),
        (json!({"size": {"_eq": "5"}}), &[1, 3]),
        (json!({"size": {"_gt": 6}}), &[2]),
        (json!({"size": {"_gte": 5, "_lt": 10}}), &[1]),
        (json!({"size": {"_between": [4, 11]}}), &[1, 2]),
        (json!({"size": {"_in": [5.0, 7]}}), &[1]),
        (json!({"color": {"_eq": 10}}), &[3]),
        (json!({"on": {"_eq": true}}), &[1]),
        (json!({"dims[0].w": {"_eq": 1.5}}), &[1]),
        (json!({"dims": {"1": {"w": {"_eq": "9"}}}}), &[1]),
        (json!({"[1].color": {"_eq": "red"}}), &[5]),
        (json!({"_x._eq": {"_gt": 2}}), &[3]),
        (json!({"_or": [{"color": "red"}, {"size": {"_gt": 6}}]}), &[1, 2]),
        (json!({"_and": [{"color": "red"}, {"size": {"_gt": 6}}]}), &[]),
        (json!({"size": {"_or": [{"_gt": 6}, {"_eq": "5"}]}}), &[1, 2, 3]),
        (json!({"x') OR true --": {"_eq": "' OR true --"}}), &[]),
        (json!({"a\"}b,{": {"_eq": 1}}), &[]),
        (json!({}), &[1, 2, 3, 4, 5]),
    ] {
        let filter = json!({"meta": {"_json": conditions}}).to_string();
        let filter = format!("filter={}", encoded(&filter));
        assert_eq!(found(&world, "things", &filter).await, keys, "{conditions}");
    }
    assert_eq!(found(&world, "things", "filter[meta][_json][size][_gt]=6").await, [2]);
    let kept = format!("filter[kept][_json]={}", encoded(r#"{"a":2}"#));
    assert_eq!(found(&world, "things", &kept).await, [2]);
    let either = encoded(r#"{"_or":[{"meta":{"_json":{"on":true}}},{"id":4}]}"#);
    assert_eq!(found(&world, "things", &format!("filter={either}")).await, [1, 4]);
    writes_and_refusals(&world).await;
}

async fn writes_and_refusals(world: &World) {
    let api = &world.api;
    let patch =
        json!({"query": {"filter": {"meta": {"_json": {"size": {"_gt": 6}}}}}, "data": {"title": "large"}});
    api.patch("/items/things", patch).await.expect(200);
    assert_eq!(found(world, "things", "filter[title]=large").await, [2]);
    for (filter, code) in [
        (r#"{"title":{"_json":{"a":1}}}"#, "INVALID_QUERY"),
        (r#"{"meta":{"_json":"x"}}"#, "INVALID_QUERY"),
        (r#"{"meta":{"_json":{"$.a":1}}}"#, "INVALID_QUERY"),
        (r#"{"meta":{"_json":{"a":{"_eq":{}}}}}"#, "INVALID_QUERY"),
        (r#"{"meta":{"_json":{"a":{"_regex":"x"}}}}"#, "INVALID_QUERY"),
    ] {
        api.get(&format!("/items/things?filter={}", encoded(filter))).await.refused(400, code);
    }
    let nope = encoded(r#"{"nope":{"_json":{"a":1}}}"#);
    api.get(&format!("/items/things?filter={nope}")).await.refused(403, "FORBIDDEN");
}
