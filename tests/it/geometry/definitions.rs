//! Definitions of geometries: other types, defaults, documents, what is derived from the schema.

use serde_json::{Value, json};

use super::super::{schema_apply, types};
use super::{INSTALL, places, point, refused, run, samples, with_postgis};
use crate::world::World;

#[tokio::test]
async fn types_and_defaults_change() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    world
        .collection("places", json!([{"field": "at", "type": "string", "schema": {"is_indexed": true}}]))
        .await;
    api.post("/items/places", json!({"at": "POINT(1 2)"})).await.expect(200);
    let retype = async |kind: &str| api.patch("/fields/places/at", json!({"type": kind, "schema": {}})).await;
    let at = async || api.get("/items/places/1").await.expect(200).data()["at"].clone();
    for kind in ["geometry.Point", "geometry", "geometry.Point"] {
        let field = retype(kind).await.expect(200).data();
        assert_eq!((&field["type"], &field["schema"]["is_indexed"]), (&json!(kind), &json!(true)));
        assert_eq!(at().await, point(1, 2));
    }
    refused(retype("geometry.Polygon").await);
    refused(retype("integer").await);
    assert_eq!(at().await, point(1, 2));
    let field = retype("text").await.expect(200).data();
    assert_eq!((&field["type"], &field["schema"]["is_indexed"]), (&json!("text"), &json!(true)));
    assert_eq!(at().await, "0101000020E6100000000000000000F03F0000000000000040", "as the original");
    retype("geometry.Point").await.expect(200);
    retype("json").await.refused(400, "INVALID_PAYLOAD");
    api.patch("/fields/places/at", json!({"schema": {"is_indexed": false}})).await.expect(200);
    assert_eq!(retype("json").await.expect(200).data()["type"], "json");
    assert_eq!(at().await["coordinates"], json!([1, 2]));
    refused(retype("geometry.Point").await);
    defaults(&world).await;
}

async fn defaults(world: &World) {
    let api = &world.api;
    let hex = "0101000020E6100000000000000000F03F0000000000000040";
    for (name, default) in [
        ("object", point(1, 2)),
        ("text", Value::from(point(1, 2).to_string())),
        ("ewkb", json!(hex)),
        ("ewkt", json!("SRID=4326;POINT(1 2)")),
    ] {
        let field = json!({"field": name, "type": "geometry.Point", "schema": {"default_value": default}});
        let made = api.post("/fields/places", field).await.expect(200).data();
        assert_eq!(made["schema"]["default_value"], hex, "{name}");
    }
    for wrong in
        [json!("nonsense"), json!(5), json!([1, 2]), json!("LINESTRING(0 0, 1 1)"), samples()[3].2.clone()]
    {
        let field = json!({"field": "wrong", "type": "geometry.Point", "schema": {"default_value": wrong}});
        refused(api.post("/fields/places", field).await);
        refused(api.patch("/fields/places/object", json!({"schema": {"default_value": wrong}})).await);
    }
    let made = api.post("/items/places?fields=object,text,ewkb,ewkt", json!({})).await.expect(200).data();
    assert!(made.as_object().unwrap().values().all(|value| *value == point(1, 2)), "{made}");
    let given = json!([{"object": point(3, 4)}, {}]);
    let made = api.post("/items/places?fields=object", given).await.expect(200).data();
    assert_eq!(made, json!([{"object": point(3, 4)}, {"object": point(1, 2)}]));
    let changed = json!({"schema": {"default_value": point(7, 8)}});
    let changed = api.patch("/fields/places/object", changed).await.expect(200).data();
    assert_eq!(changed["type"], "geometry.Point", "the type stays");
    let made = api.post("/items/places?fields=object", json!({})).await.expect(200).data();
    assert_eq!(made, json!({"object": point(7, 8)}));
    let key = json!({"field": "k", "type": "geometry.Point", "schema": {"is_primary_key": true}});
    let body = json!({"collection": "keyed", "schema": {}, "fields": [key]});
    assert_eq!(refused(api.post("/collections", body).await), "A geometry can't be a primary key");
    let unique = json!({"field": "once", "type": "geometry.Point", "schema": {"is_unique": true}});
    api.post("/fields/places", unique).await.expect(200);
    api.post("/items/places", json!({"once": point(1, 1)})).await.expect(200);
    api.post("/items/places", json!({"once": point(1, 1)})).await.refused(400, "RECORD_NOT_UNIQUE");
}

#[tokio::test]
async fn documents_and_types_know_geometries() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    places(&world).await;
    let default = json!({"field": "with default", "type": "geometry.Point", "schema": {"default_value": point(1, 2), "is_unique": true}, "meta": {}});
    api.post("/fields/places", default).await.expect(200);
    let document = schema_apply::snapshot(api).await;
    let other = World::start(shape!()).await;
    let diff = other.api.post("/schema/diff", document.clone()).await.expect(200).data();
    refused(other.api.post("/schema/apply", diff).await);
    other.api.get("/collections/places").await.refused(403, "FORBIDDEN");
    run(&other.database, INSTALL).await;
    schema_apply::apply(&other.api, &document).await.expect(204);
    assert_eq!(schema_apply::snapshot(&other.api).await, document);
    other.api.post("/schema/diff", document.clone()).await.expect(204);
    // Another kind, by its type alone as by both of its names.
    for (kind, data_type) in [("geometry.Point", None), ("geometry.LineString", Some("LINESTRING"))] {
        let mut wanted = schema_apply::snapshot(&other.api).await;
        let fields = wanted["fields"].as_array_mut().unwrap();
        let field = fields.iter_mut().find(|field| field["field"] == "geometry_Polygon").unwrap();
        field["type"] = json!(kind);
        if let Some(data_type) = data_type {
            field["schema"]["data_type"] = json!(data_type);
        }
        schema_apply::apply(&other.api, &wanted).await.expect(204);
        let field = other.api.get("/fields/places/geometry_Polygon").await.expect(200).data();
        assert_eq!(field["type"], kind);
        other.api.post("/schema/diff", wanted).await.expect(204);
    }
    schema_apply::apply(&other.api, &document).await.expect(204);
    assert_eq!(schema_apply::snapshot(&other.api).await, document);
    let oas = api.get("/server/specs/oas").await.expect(200).json();
    let properties = &oas["components"]["schemas"]["ItemsPlaces"]["properties"];
    assert_eq!(properties["geometry_Point"]["type"], json!(["object", "null"]));
    types_compile(&world).await;
}

async fn types_compile(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), "{\"type\": \"module\"}").unwrap();
    world.collection("spots", json!([{"field": "at", "type": "geometry.Point"}])).await;
    let types = types::typescript(world, &folder.path().join("schema.ts")).await;
    assert!(types.contains("\tat: { type: 'Point'; coordinates: number[] } | null;"), "{types}");
    let program = "import { createDirectus, createItem, readItems, rest } from '@directus/sdk';\n\
        import type { Schema } from './schema.js';\n\
        const client = createDirectus<Schema>('http://localhost').with(rest());\n\
        const at = { type: 'Point' as const, coordinates: [1, 2] };\n\
        await client.request(createItem('spots', { at }));\n\
        const spots = await client.request(readItems('spots', { fields: ['at'], filter: { at: { _intersects: at } } }));\n\
        const x: number | undefined = spots[0]?.at?.coordinates[0];\nexport { x };\n";
    types::compiles(folder.path(), program).await.unwrap();
}
