//! Fields of geometries: on PostGIS where the server has it, refused by name where it has not.

mod definitions;
mod outside;

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::api::Answer;
use crate::world::{Options, World};

/// Every type with what its column is called, and a value.
fn samples() -> [(&'static str, &'static str, Value); 7] {
    let ring = json!([[0, 0], [4, 0], [4, 4], [0, 0]]);
    let hole = json!([[1, 0.5], [2, 0.5], [2, 1.5], [1, 0.5]]);
    let collection = json!({"type": "GeometryCollection", "geometries": [
        {"type": "Point", "coordinates": [1, 2]}, {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}]});
    let of = |kind: &str, coordinates: Value| json!({"type": kind, "coordinates": coordinates});
    [
        ("geometry", "GEOMETRY", collection),
        ("geometry.Point", "POINT", of("Point", json!([13.404954, 52.520008]))),
        ("geometry.LineString", "LINESTRING", of("LineString", json!([[0, 0], [1, 1.5]]))),
        ("geometry.Polygon", "POLYGON", of("Polygon", json!([ring, hole]))),
        ("geometry.MultiPoint", "MULTIPOINT", of("MultiPoint", json!([[1, 2], [3, 4]]))),
        ("geometry.MultiLineString", "MULTILINESTRING", of("MultiLineString", json!([[[0, 0], [1, 1]]]))),
        ("geometry.MultiPolygon", "MULTIPOLYGON", of("MultiPolygon", json!([[ring], [hole]]))),
    ]
}

/// A field of this type: a name with a dot would be a path.
fn named(kind: &str) -> String {
    kind.replace('.', "_")
}

fn point(x: impl Into<Value>, y: impl Into<Value>) -> Value {
    json!({"type": "Point", "coordinates": [x.into(), y.into()]})
}

/// Makes PostGIS usable in a database.
pub const INSTALL: &str = "CREATE EXTENSION postgis SCHEMA public";

/// Runs statements on a database.
pub async fn run(database: &testkit::TestDatabase, sql: &'static str) {
    let mut session = sqlx::PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
}

/// Whether the server can have PostGIS.
pub async fn is_available(database: &testkit::TestDatabase) -> bool {
    let mut session = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'";
    let available: i64 = sqlx::query_scalar(available).fetch_one(&mut session).await.unwrap();
    if available == 0 {
        println!("the server has no PostGIS");
    }
    available > 0
}

/// A fleet on a database where this was done first; none, when the server has no PostGIS.
async fn prepared(sql: &'static str) -> Option<World> {
    let database = testkit::database(db::migrate_url).await;
    if !is_available(&database).await {
        return None;
    }
    run(&database, sql).await;
    Some(World::over(shape!(), Options::default(), database).await)
}

/// A fleet whose database has PostGIS; none, when the server hasn't.
async fn with_postgis() -> Option<World> {
    prepared(INSTALL).await
}

/// Where it is missing this is seen; where it comes, nobody needs to be told.
#[tokio::test]
async fn without_postgis_the_refusal_names_it() {
    let world = World::start(shape!()).await;
    refused_without(&world).await;
    if is_available(&world.database).await {
        run(&world.database, INSTALL).await;
        places(&world).await;
        world.api.patch("/fields/bare/title", json!({"type": "geometry"})).await.expect(200);
    }
}

/// What is answered without the extension: the name of what is missing, and nothing is left behind.
async fn refused_without(world: &World) {
    let api = &world.api;
    world.collection("bare", json!([{"field": "title", "type": "string"}])).await;
    let before = api.get("/fields").await.expect(200).data();
    for (kind, ..) in samples() {
        let field = json!({"field": "at", "type": kind, "schema": {}});
        let whole = json!({"collection": "more", "schema": {}, "fields": [field]});
        for answer in [
            api.post("/fields/bare", field).await,
            api.post("/collections", whole).await,
            api.patch("/fields/bare/title", json!({"type": kind})).await,
        ] {
            let answer = answer.refused(400, "INVALID_PAYLOAD");
            let reason = answer.json()["errors"][0]["extensions"]["reason"].clone();
            assert_eq!(reason, format!("\"type\" {kind} needs PostGIS: CREATE EXTENSION postgis"));
        }
    }
    assert_eq!(api.get("/fields").await.expect(200).data(), before);
    api.get("/collections/more").await.refused(403, "FORBIDDEN");
}

/// A collection with a field of every type, called after it.
async fn places(world: &World) {
    let fields: Vec<Value> = samples()
        .iter()
        .map(|(kind, ..)| json!({"field": named(kind), "type": kind, "schema": {}, "meta": {"interface": "map"}}))
        .collect();
    world.collection("places", Value::from(fields)).await;
}

#[tokio::test]
async fn every_type_is_made_filled_and_read() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    let names = |list: &Value| {
        let names = list.as_array().unwrap().iter().map(|entry| entry["collection"].clone());
        names
            .filter(|name| {
                ["spatial_ref_sys", "geometry_columns", "geography_columns"].iter().any(|n| name == n)
            })
            .count()
    };
    assert_eq!(
        names(&api.get("/collections").await.expect(200).data()),
        0,
        "what is PostGIS's own stays hidden"
    );
    api.get("/items/spatial_ref_sys").await.refused(403, "FORBIDDEN");
    places(&world).await;
    let mut item = json!({"id": 1});
    for (kind, data_type, value) in samples() {
        let field = api.get(&format!("/fields/places/{}", named(kind))).await.expect(200).data();
        assert_eq!((&field["type"], &field["schema"]["data_type"]), (&json!(kind), &json!(data_type)));
        assert_eq!(
            (
                &field["schema"]["max_length"],
                &field["schema"]["numeric_precision"],
                &field["meta"]["special"]
            ),
            (&json!(null), &json!(null), &json!(null))
        );
        item[named(kind)] = value;
    }
    let made = api.post("/items/places", item.clone()).await.expect(200).data();
    assert_eq!(made, item);
    assert_eq!(api.get("/items/places/1").await.expect(200).data(), item);
    // The text of an object, and a feature, say the same.
    let text = json!({"geometry_Point": item["geometry_Point"].to_string(), "geometry":
        {"type": "Feature", "properties": {"a": 1}, "geometry": item["geometry_Polygon"]}});
    let made = api.post("/items/places?fields=geometry,geometry_Point", text).await;
    let made = made.expect(200).data();
    assert_eq!(made, json!({"geometry": item["geometry_Polygon"], "geometry_Point": item["geometry_Point"]}));
    let srid = "SELECT array_agg(DISTINCT ST_SRID(geometry)) FROM places";
    let srid: Vec<i32> = sqlx::query_scalar(srid).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(srid, [4326]);
    kinds_are_kept_apart(&world).await;
}

/// Each field takes its own kind, `geometry` all of them.
async fn kinds_are_kept_apart(world: &World) {
    let before = count(world).await;
    for (holds, ..) in samples() {
        let field = named(holds);
        for (kind, _, value) in samples() {
            let answer = world.api.post("/items/places?fields=id", json!({&field: value})).await;
            if field == "geometry" || holds == kind {
                answer.expect(200);
                continue;
            }
            let name = value["type"].as_str().unwrap();
            let wanted = holds.strip_prefix("geometry.").unwrap();
            let reason = format!("\"{field}\" must be a {wanted}, not a {name}");
            assert_eq!(refused(answer), reason);
        }
    }
    assert_eq!(count(world).await, before + 13);
}

fn refused(answer: Answer) -> String {
    let answer = answer.refused(400, "INVALID_PAYLOAD");
    answer.json()["errors"][0]["extensions"]["reason"].as_str().unwrap().to_owned()
}

async fn count(world: &World) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM places) + (SELECT count(*) FROM eventus.events WHERE collection = 'places')";
    let rows_and_events: i64 = sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(rows_and_events % 2, 0, "an event for each item");
    rows_and_events / 2
}

#[tokio::test]
async fn wrong_values_change_nothing() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    places(&world).await;
    api.post("/items/places", json!({"geometry_Point": point(1, 2)})).await.expect(200);
    let before = api.get("/items/places").await.expect(200).data();
    for wrong in [
        json!("POINT(1 2)"),
        json!("0101000020E6100000000000000000F03F0000000000000040"),
        json!(""),
        json!(5),
        json!([1, 2]),
        json!({}),
        json!({"type": "Point"}),
        json!({"type": "Point", "coordinates": []}),
        json!({"type": "Point", "coordinates": [1]}),
        json!({"type": "Point", "coordinates": [1, 2, 3]}),
        json!({"type": "Point", "coordinates": [1, null]}),
        json!({"type": "point", "coordinates": [1, 2]}),
        json!({"type": "FeatureCollection", "features": []}),
        json!({"type": "GeometryCollection", "geometries": []}),
        json!({"type": "LineString", "coordinates": [[1, 1]]}),
        json!({"type": "LineString", "coordinates": [[0, 0, 1], [1, 1]]}),
        json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [1, 1]]]}),
    ] {
        for field in ["geometry", "geometry_Point"] {
            let good = json!({"geometry_Point": point(3, 4)});
            let reason = refused(api.post("/items/places", json!([good, {field: wrong}])).await);
            assert!(reason.starts_with(&format!("\"{field}\" ")), "{reason}");
            refused(api.patch("/items/places/1", json!({field: wrong})).await);
        }
    }
    assert_eq!(api.get("/items/places").await.expect(200).data(), before);
    assert_eq!(count(&world).await, 1);
    // A null where none may be is told as for every field.
    let strict = json!({"field": "strict", "type": "geometry.Point", "schema": {"is_nullable": false}});
    refused(api.post("/fields/places", strict.clone()).await);
    api.delete("/items/places/1", None).await.expect(204);
    api.post("/fields/places", strict).await.expect(200);
    api.post("/items/places", json!({"strict": null})).await.refused(400, "FAILED_VALIDATION");
}

/// A coordinate comes back as the number that it was, however many digits it has.
#[tokio::test]
async fn coordinates_lose_nothing() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    places(&world).await;
    let numbers = [
        "0.1",
        "0.30000000000000004",
        "13.123456789012345",
        "-179.99999999999997",
        "1.0000000000000002",
        "1e-7",
        "1e-20",
        "5e-324",
        "1.7976931348623157e308",
        "-1e300",
        "123456789.12345679",
        "4503599627370497.5",
        "0.00012345678901234568",
    ];
    for pair in numbers.windows(2) {
        let body = format!(
            "{{\"geometry_Point\":{{\"type\":\"Point\",\"coordinates\":[{}, {}]}}}}",
            pair[0], pair[1]
        );
        let answer = api
            .raw(
                http::Method::POST,
                "/items/places?fields=geometry_Point",
                &[("content-type", "application/json")],
                body,
            )
            .await
            .unwrap()
            .expect(200);
        let read = answer.text.split_once("\"coordinates\":[").unwrap().1.split_once(']').unwrap().0;
        let read: Vec<f64> = read.split(',').map(|number| number.parse().unwrap()).collect();
        let sent: Vec<f64> = pair.iter().map(|number| number.parse().unwrap()).collect();
        assert_eq!(read, sent);
        let filter = format!(
            "{{\"geometry_Point\":{{\"_intersects\":{{\"type\":\"Point\",\"coordinates\":[{}, {}]}}}}}}",
            pair[0], pair[1]
        );
        let found =
            api.get(&format!("/items/places?fields=id&filter={}", percent(&filter))).await.expect(200).data();
        assert_eq!(found.as_array().unwrap().len(), 1, "{filter}");
    }
    let zero = json!({"geometry_Point": point(-0.0, 0)});
    let zero = api.post("/items/places?fields=geometry_Point", zero).await.expect(200);
    assert!(zero.text.contains("[0,0]"), "{}", zero.text);
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Name, payload, previous.
type Logged = (String, Option<Value>, Option<Value>);

#[tokio::test]
async fn changes_and_events_speak_geojson() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    world.collection("places", json!([{"field": "at", "type": "geometry.Point"}])).await;
    let two = json!([{"at": point(1, 2)}, {"at": null}, {}]);
    let made = api.post("/items/places?fields=at", two).await.expect(200).data();
    assert_eq!(made, json!([{"at": point(1, 2)}, {"at": null}, {"at": null}]));
    let both = json!({"keys": [1, 2], "data": {"at": point(3, 4)}});
    let changed = api.patch("/items/places?fields=at", both).await.expect(200).data();
    assert_eq!(changed, json!([{"at": point(3, 4)}, {"at": point(3, 4)}]));
    let each = json!([{"id": 1, "at": point(5, 6)}, {"id": 2, "at": null}]);
    let changed = api.patch("/items/places?fields=at", each).await.expect(200).data();
    assert_eq!(changed, json!([{"at": point(5, 6)}, {"at": null}]));
    api.delete("/items/places/1", None).await.expect(204);
    let logged = "SELECT name, payload, previous FROM eventus.events WHERE collection = 'places' AND key = '1' ORDER BY position";
    let logged: Vec<Logged> = sqlx::query_as(logged).fetch_all(&world.pool().await).await.unwrap();
    let at = |x: i32, y: i32| Some(json!({"at": point(x, y)}));
    let item = |x: i32, y: i32| Some(json!({"id": 1, "at": point(x, y)}));
    assert_eq!(
        logged,
        [
            ("items.create".to_owned(), item(1, 2), None),
            ("items.update".to_owned(), at(3, 4), at(1, 2)),
            ("items.update".to_owned(), at(5, 6), at(3, 4)),
            ("items.delete".to_owned(), None, item(5, 6)),
        ]
    );
    let revision =
        "/revisions?filter[collection][_eq]=places&filter[item][_eq]=1&sort=id&limit=1&fields=data";
    let revision = api.get(revision).await.expect(200).data();
    assert_eq!(revision[0]["data"], json!({"id": 1, "at": point(1, 2)}));
}

#[tokio::test]
async fn places_are_found() {
    let Some(world) = with_postgis().await else { return };
    let api = &world.api;
    let index = json!({"is_indexed": true});
    world.collection("places", json!([{"field": "at", "type": "geometry.Point", "schema": index}])).await;
    api.post("/items/places", json!([{"at": point(1, 2)}, {"at": point(5, 1)}, {"at": point(50, 2)}, {}]))
        .await
        .expect(200);
    let area = json!({"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 0]]]});
    let found = async |operator: &str, value: &Value| {
        let filter = json!({"at": {operator: value}}).to_string();
        let list =
            api.get(&format!("/items/places?fields=id&filter={}", percent(&filter))).await.expect(200).data();
        list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    for value in [area.clone(), Value::from(area.to_string()), json!({"type": "Feature", "geometry": area})] {
        assert_eq!(found("_intersects", &value).await, [2], "the triangle");
        assert_eq!(found("_nintersects", &value).await, [1, 3]);
        assert_eq!(found("_intersects_bbox", &value).await, [1, 2], "the box around it");
        assert_eq!(found("_nintersects_bbox", &value).await, [3]);
    }
    assert_eq!(found("_null", &json!(true)).await, [4]);
    assert_eq!(found("_nnull", &json!(true)).await, [1, 2, 3]);
    for (filter, reason) in [
        ("filter[at][_intersects]=POINT(1 2)", "\"_intersects\" has to be a valid GeoJSON object"),
        ("filter[at][_eq]=x", "\"geometry\" field type does not contain the \"_eq\" filter operator"),
        (
            "filter[id][_intersects]={}",
            "\"integer\" field type does not contain the \"_intersects\" filter operator",
        ),
    ] {
        let answer = api.get(&format!("/items/places?{}", filter.replace(' ', "%20"))).await;
        assert!(
            answer.refused(400, "INVALID_QUERY").text.contains(&json!(reason).to_string()[1..]),
            "{filter}"
        );
    }
    let method = "SELECT am.amname::text FROM pg_class c JOIN pg_am am ON am.oid = c.relam WHERE c.relname = 'places_at_index'";
    let method: String = sqlx::query_scalar(method).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(method, "gist");
    let concurrent = json!({"field": "later", "type": "geometry.Polygon", "schema": {"is_indexed": true}});
    api.post("/fields/places?concurrentIndexCreation=true", concurrent).await.expect(200);
    let is_indexed =
        || async { api.get("/fields/places/later").await.expect(200).data()["schema"]["is_indexed"] == true };
    testkit::eventually(Duration::from_secs(20), is_indexed).await;
    // Of any size: no index is in the way.
    let mut ring: Vec<[f64; 2]> = (0..2_000).map(|step| (f64::from(step) / 320.0).sin_cos().into()).collect();
    ring.push(ring[0]);
    let large = json!({"later": {"type": "Polygon", "coordinates": [ring]}});
    let made = api.post("/items/places?fields=later", large).await.expect(200).data();
    assert_eq!(made["later"]["coordinates"][0].as_array().unwrap().len(), 2_001);
}
