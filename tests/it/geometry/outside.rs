//! Tables and extensions as others have made them.

use serde_json::{Value, json};

use super::{percent, point, prepared, refused, samples};
use crate::world::World;

/// Columns that Directus would not make: other systems, heights, the globe, what GeoJSON has no word for.
#[tokio::test]
async fn tables_of_others_are_read() {
    let sql = "CREATE EXTENSION postgis SCHEMA public; SET search_path = public;
         CREATE TABLE outside (id serial PRIMARY KEY, globe geography(Point, 4326), high geometry(PointZ, 4326), loose geometry,
             meters geometry(Point, 3857), gathered geometry(GeometryCollection, 4326), pair point,
             made geometry(Point, 4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(1, 2), 4326)) STORED,
             filled geometry(Point, 4326) DEFAULT ST_SetSRID(ST_MakePoint(3, 4), 4326));
         INSERT INTO outside (globe, high, loose, meters, gathered, pair) VALUES ('POINT(1 2)', 'SRID=4326;POINT(1 2 3)',
             'POINT(1 2)', 'SRID=3857;POINT(1 2)', 'SRID=4326;GEOMETRYCOLLECTION(POINT(1 2))', '(1,2)');
         INSERT INTO outside (loose) VALUES ('CIRCULARSTRING(0 0, 1 1, 1 0)'), ('GEOMETRYCOLLECTION(CIRCULARSTRING(0 0, 1 1, 1 0))'),
             ('POLYHEDRALSURFACE(((0 0 0, 0 9 0, 9 0 0, 0 0 0)))'), ('POINT(NaN 1)'), ('POINT EMPTY')";
    let Some(world) = prepared(sql).await else { return };
    let api = &world.api;
    let fields = api.get("/fields/outside").await.expect(200).data();
    let described: Vec<(&str, &str)> = fields.as_array().unwrap()[1..]
        .iter()
        .map(|field| (field["type"].as_str().unwrap(), field["schema"]["data_type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        described,
        [
            ("geometry.Point", "Point"),
            ("geometry.Point", "POINT"),
            ("geometry", "GEOMETRY"),
            ("geometry.Point", "POINT"),
            ("unknown", "GEOMETRYCOLLECTION"),
            ("unknown", "point"),
            ("geometry.Point", "POINT"),
            ("geometry.Point", "POINT"),
        ]
    );
    let items = api.get("/items/outside?fields=globe,high,loose,meters,made,filled").await.expect(200).data();
    let high = json!({"type": "Point", "coordinates": [1, 2, 3]});
    assert_eq!(
        items[0],
        json!({"globe": point(1, 2), "high": high, "loose": point(1, 2), "meters": point(1, 2), "made": point(1, 2), "filled": point(3, 4)})
    );
    let loose: Vec<&Value> = items.as_array().unwrap()[1..].iter().map(|item| &item["loose"]).collect();
    let odd = json!("{\"type\":\"Point\",\"coordinates\":[NaN,1]}");
    let empty = json!({"type": "Point", "coordinates": []});
    assert_eq!(loose, [&Value::Null, &Value::Null, &Value::Null, &odd, &empty]);
    writes_outside(&world, &high).await;
}

async fn writes_outside(world: &World, high: &Value) {
    let api = &world.api;
    for (field, good, bad) in [
        ("globe", point(1, 2), high.clone()),
        ("high", high.clone(), point(1, 2)),
        ("loose", high.clone(), json!("POINT(1 2)")),
        ("meters", point(1, 2), high.clone()),
        ("gathered", json!("SRID=4326;GEOMETRYCOLLECTION(POINT(1 2))"), json!("nonsense")),
    ] {
        let made = api
            .post(&format!("/items/outside?fields={field}"), json!({field: good}))
            .await
            .expect(200)
            .data();
        if field != "gathered" {
            assert_eq!(made, json!({field: good}));
        }
        refused(api.post("/items/outside", json!({field: bad})).await);
    }
    let kept = "SELECT array_agg(DISTINCT ST_SRID(meters)) FROM outside WHERE meters IS NOT NULL";
    let kept: Vec<i32> = sqlx::query_scalar(kept).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(kept, [3857], "coordinates are those of the column's system, on both ways");
    for field in ["globe", "high", "meters"] {
        for (operator, least) in [("_intersects", 1), ("_intersects_bbox", 1), ("_nintersects", 0)] {
            let filter = percent(&json!({field: {operator: point(1, 2)}}).to_string());
            let found =
                api.get(&format!("/items/outside?fields=id&filter={filter}")).await.expect(200).data();
            let found = found.as_array().unwrap().len();
            assert!(found >= least && (least == 1 || found == 0), "{field} {operator}: {found}");
        }
    }
    // Some of these can't be compared with anything.
    let filter = percent(&json!({"loose": {"_intersects": point(1, 2)}}).to_string());
    let answer = api.get(&format!("/items/outside?fields=id&filter={filter}")).await;
    assert!(answer.status == 200 || answer.code() == "INVALID_QUERY", "{}", answer.text);
}

/// The extension stands where its administrator put it; the sessions' search path is `public` alone.
#[tokio::test]
async fn postgis_may_stand_in_a_schema_of_its_own() {
    let sql = "CREATE SCHEMA \"Its place\"; CREATE EXTENSION postgis SCHEMA \"Its place\"";
    let Some(world) = prepared(sql).await else { return };
    let api = &world.api;
    let at = json!({"field": "at", "type": "geometry.Point", "schema": {"is_indexed": true, "default_value": point(9, 9)}});
    world.collection("places", json!([at, {"field": "any", "type": "geometry"}])).await;
    let field = api.get("/fields/places/at").await.expect(200).data();
    assert_eq!((&field["type"], &field["schema"]["data_type"]), (&json!("geometry.Point"), &json!("POINT")));
    let items = json!([{"at": point(1, 2), "any": point(3, 4)}, {}]);
    let made = api.post("/items/places?fields=at,any", items).await.expect(200).data();
    assert_eq!(made, json!([{"at": point(1, 2), "any": point(3, 4)}, {"at": point(9, 9), "any": null}]));
    for operator in ["_intersects", "_intersects_bbox"] {
        for (field, value) in [("at", point(1, 2)), ("any", point(3, 4))] {
            let filter = percent(&json!({field: {operator: value}}).to_string());
            let found = api.get(&format!("/items/places?fields=id&filter={filter}")).await.expect(200).data();
            assert_eq!(found, json!([{"id": 1}]), "{field} {operator}");
        }
    }
    api.patch("/fields/places/at", json!({"type": "geometry"})).await.expect(200);
    let made = api.patch("/items/places/1?fields=at", json!({"at": samples()[3].2})).await.expect(200).data();
    assert_eq!(made["at"], samples()[3].2);
    api.patch("/fields/places/any", json!({"type": "text"})).await.expect(200);
    api.patch("/fields/places/any", json!({"type": "geometry.Point"})).await.expect(200);
}
