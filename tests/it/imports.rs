//! `POST /utils/import/:collection`: files of items, written at once or as jobs that outlive every process.

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, Shape, World};

mod facts;
mod jobs;
mod uploads;

const CSV: &str = "text/csv";
const JSON: &str = "application/json";

/// A fleet with the collection that the original was asked about.
async fn world(shape: Shape, options: Options) -> World {
    let world = World::with(shape, options).await;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    let fields = json!([
        {"field": "s", "type": "string", "schema": {"is_nullable": false, "default_value": "dflt"}},
        {"field": "t", "type": "text"},
        {"field": "n", "type": "integer"},
        {"field": "f", "type": "float"},
        {"field": "d", "type": "decimal", "schema": {"numeric_precision": 12, "numeric_scale": 4}},
        {"field": "big", "type": "bigInteger"},
        {"field": "b", "type": "boolean", "meta": {"special": ["cast-boolean"]}},
        {"field": "j", "type": "json", "meta": {"special": ["cast-json"]}},
        {"field": "c", "type": "csv", "meta": {"special": ["cast-csv"]}},
        {"field": "ts", "type": "timestamp"},
        {"field": "dd", "type": "date"},
        {"field": "u", "type": "uuid"},
        {"field": "uq", "type": "string", "schema": {"is_unique": true}},
        {"field": "author", "type": "integer", "meta": {"special": ["m2o"]}},
        {"field": "h", "type": "string", "meta": {"special": ["hash", "conceal"]}},
        {"field": "v", "type": "string", "meta": {"validation": {"_and": [{"v": {"_regex": "^[a-z]+$"}}]}}},
    ]);
    world.collection("goods", fields).await;
    let relation = json!({"collection": "goods", "field": "author", "related_collection": "authors", "meta": {}, "schema": {}});
    world.api.post("/relations", relation).await.expect(200);
    world
}

/// A form with one file.
fn form(media_type: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--x\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nnot a file\r\n\
         --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\ncontent-type: {media_type}\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--x--\r\n"].concat()
}

async fn import_with(api: &Api, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let form = ("content-type", "multipart/form-data; boundary=x");
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([form]).collect();
    api.raw(Method::POST, &format!("/utils/import/{path}"), &headers, body).await.unwrap()
}

async fn import(api: &Api, path: &str, media_type: &str, file: impl AsRef<[u8]>) -> Answer {
    import_with(api, path, &[], form(media_type, file.as_ref())).await
}

/// The items without their keys and what is null in them.
async fn items(world: &World) -> Value {
    let mut items = world.api.get("/items/goods?limit=-1&sort=id").await.expect(200).data();
    for item in items.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().retain(|name, value| name != "id" && !value.is_null());
    }
    items
}

async fn count(world: &World, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.pool().await).await.unwrap()
}

/// Events of goods.
async fn events(world: &World) -> i64 {
    count(world, "SELECT count(*) FROM eventus.events WHERE collection = 'goods'").await
}

/// Nothing is left of any file.
async fn no_pieces(world: &World) {
    let pieces = || count(world, "SELECT count(*) FROM eventus.import_pieces");
    testkit::eventually(testkit::PATIENCE, || async { pieces().await == 0 }).await;
}
