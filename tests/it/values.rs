//! What a payload's values must be and become, beside what a live Directus 11.17.4 made of the same ones
//! (`tests/fixtures/directus-11.17.4-values`).

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::world::{Options, World};

mod collisions;

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/directus-11.17.4-values");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn rows(name: &str) -> Vec<Value> {
    fixture(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn collections(world: &World, names: &[&str]) {
    let fields: Value = serde_json::from_str(&fixture("fields.json")).unwrap();
    for name in names {
        world.collection(name, fields[name].clone()).await;
    }
}

/// The errors of an answer, without what the client is told beside.
fn errors(answer: &Value) -> Value {
    answer["errors"].clone()
}

/// Every request of the fixture has the status and the errors of the original, one after the other.
#[tokio::test]
async fn payloads_are_judged_as_the_original_does() {
    let world = World::start(shape!()).await;
    collections(&world, &["vf", "vr", "vc", "vo"]).await;
    let mut unlike = Vec::new();
    for row in rows("judged.jsonl") {
        let method = row["method"].as_str().unwrap().parse().unwrap();
        let path = format!("{}?fields=id", row["path"].as_str().unwrap());
        let answer = world.api.call(method, &path, Some(row["body"].clone())).await;
        let said = if answer.status < 300 { Value::Null } else { errors(&answer.json()) };
        let expected = row.get("ours").unwrap_or(&row["errors"]);
        if i64::from(answer.status) != row["status"] || said != *expected {
            unlike.push(format!(
                "{} {path} {}\n  {} {said}\n  {} {expected}",
                row["method"], row["body"], answer.status, row["status"]
            ));
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
    let taken = "SELECT count(*) FROM eventus.events WHERE collection IN ('vf', 'vr', 'vc', 'vo')";
    let events: i64 = sqlx::query_scalar(taken).fetch_one(&world.pool().await).await.unwrap();
    let stored = "SELECT (SELECT count(*) FROM vf) + (SELECT count(*) FROM vr) + (SELECT count(*) FROM vc) + (SELECT count(*) FROM vo)";
    let stored: i64 = sqlx::query_scalar(stored).fetch_one(&world.pool().await).await.unwrap();
    assert!(stored > 30 && events > stored, "{stored} {events}");
}

/// What is made anew with each write: instants, ids of users and roles, uuids.
const MADE: [&str; 12] = [
    "created",
    "createddt",
    "createdd",
    "updated",
    "updateddt",
    "updatedd",
    "both",
    "ucreated",
    "uupdated",
    "rcreated",
    "rupdated",
    "uuidspecial",
];

/// An answer in the form of the fixture.
fn seen(answer: &crate::api::Answer, field: &str) -> Value {
    if answer.status >= 500 {
        return json!({"status": answer.status});
    }
    if answer.status != 200 {
        let all = errors(&answer.json());
        let told = all.as_array().unwrap().iter().map(|error| {
            let mut told = error["extensions"].as_object().unwrap().clone();
            told.insert("message".to_owned(), error["message"].clone());
            Value::Object(told)
        });
        return json!({"status": answer.status, "errors": told.collect::<Vec<_>>()});
    }
    let value = answer.data()[field].clone();
    let given = |text: &str| ["2020-01-01", "6f9619ff"].iter().any(|sent| text.starts_with(sent));
    let made = MADE.contains(&field) && value.as_str().is_some_and(|text| !given(text));
    json!({"status": 200, "value": if made { Value::from("made") } else { value }})
}

/// Each value sent to each field, by POST and by PATCH: the answer of the original, or the one that stands in the fixture
/// with the reason why it is another.
#[tokio::test]
async fn values_become_what_they_become_in_the_original() {
    let world = World::start(shape!()).await;
    collections(&world, &["vt", "vs"]).await;
    let api = &world.api;
    let itself = json!({"collection": "vt", "field": "parent", "related_collection": "vt", "schema": {"on_delete": "SET NULL"}});
    api.post("/relations", itself).await.expect(200);
    api.post("/items/vt", json!([{"code": "taken", "uniqueint": 7}, {}])).await.expect(200);
    api.post("/items/vs", json!([{}, {}])).await.expect(200);
    let (mut unlike, mut equal, mut explained) = (Vec::new(), 0, 0);
    for row in rows("answers.jsonl") {
        let text = |name: &str| row[name].as_str().unwrap();
        let (collection, field) = (text("collection"), text("field"));
        let body = format!("{{{}:{}}}", row["field"], text("value"));
        let fields = if field == "nope" { "id".to_owned() } else { format!("id,{field}") };
        let send = async |method: http::Method, path: String| {
            let headers: &[(&str, &str)] = &[("content-type", "application/json")];
            api.raw(method, &path, headers, body.clone()).await.unwrap()
        };
        let post = send(http::Method::POST, format!("/items/{collection}?fields={fields}")).await;
        let patch = send(http::Method::PATCH, format!("/items/{collection}/2?fields={fields}")).await;
        if matches!(field, "code" | "uniqueint") {
            api.patch("/items/vt/2", json!({"code": null, "uniqueint": null})).await.expect(200);
        }
        for (name, answer) in [("post", post), ("patch", patch)] {
            let expected = row["ours"].get(name).unwrap_or(&row[name]);
            let seen = seen(&answer, field);
            if seen != *expected {
                unlike.push(format!("{name} {field} <- {}\n  {seen}\n  {expected}", row["value"]));
            }
            equal += usize::from(seen == row[name]);
            explained += usize::from(!row["reason"].is_null() && seen != row[name]);
        }
    }
    assert!(unlike.is_empty(), "{} differ\n{}", unlike.len(), unlike.join("\n"));
    assert!(equal > 400 && equal + explained > 700, "{equal} equal, {explained} explained");
}

/// One request changes no more items than it may, whatever its form.
#[tokio::test]
async fn a_request_changes_only_so_many_items() {
    let world = World::with(shape!(), Options::default().set("MAX_BATCH_MUTATION", "2")).await;
    let api = &world.api;
    world.collection("vb", json!([{"field": "a", "type": "string"}])).await;
    let reason = "Invalid payload. Exceeded max batch mutation limit of 2.";
    let refused = |answer: crate::api::Answer| {
        let answer = answer.refused(400, "INVALID_PAYLOAD");
        assert_eq!(answer.json()["errors"][0]["message"], reason);
    };
    api.post("/items/vb", json!([{"a": "1"}, {"a": "2"}])).await.expect(200);
    refused(api.post("/items/vb", json!([{}, {}, {}])).await);
    api.post("/items/vb", json!([{}])).await.expect(200);
    refused(api.patch("/items/vb", json!({"keys": [1, 2, 3], "data": {"a": "x"}})).await);
    refused(api.patch("/items/vb", json!({"query": {}, "data": {"a": "x"}})).await);
    refused(api.patch("/items/vb", json!([{"id": 1}, {"id": 2}, {"id": 3}])).await);
    api.patch("/items/vb", json!({"keys": [1, 2], "data": {"a": "x"}})).await.expect(200);
    refused(api.delete("/items/vb", Some(json!([1, 2, 3]))).await);
    refused(api.delete("/items/vb", Some(json!({"query": {}}))).await);
    assert_eq!(api.get("/items/vb?fields=id").await.expect(200).data().as_array().unwrap().len(), 3);
    api.delete("/items/vb", Some(json!([1, 2]))).await.expect(204);
}

/// Bytes are base64 both ways, and the list of bytes that the original shows is taken.
#[tokio::test]
async fn bytes_come_back_as_they_were_sent() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("blobs", json!([{"field": "data", "type": "binary"}])).await;
    for (sent, read) in [
        (json!("AP8Q"), "AP8Q"),
        (json!({"type": "Buffer", "data": [0, 255, 16]}), "AP8Q"),
        (json!("QUFB\nQUFB"), "QUFBQUFB"),
        (json!(""), ""),
    ] {
        let made = api.post("/items/blobs?fields=data", json!({"data": sent})).await.expect(200).data();
        assert_eq!(made, json!({"data": read}), "{sent}");
    }
    for bad in [json!("abc"), json!(5), json!([1]), json!({"data": [256]}), json!("\\x00")] {
        api.post("/items/blobs", json!({"data": bad})).await.refused(400, "INVALID_PAYLOAD");
    }
}
