//! Erasure: what an item held is nowhere any more, and everything else stands as it stood.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::sse;
use crate::world::World;

mod killed;
mod late;
mod refusals;
mod users;

const SOON: Duration = Duration::from_secs(30);
/// A text that stands nowhere else.
const MARKER: &str = "zebrafinch-7c1";

async fn people(world: &World) {
    let text = |name: &str| json!({"field": name, "type": "string"});
    let fields = json!([text("name"), text("town"), {"field": "note", "type": "text"}]);
    let people =
        json!({"collection": "people", "schema": {}, "meta": {"versioning": true}, "fields": fields});
    world.api.post("/collections", people).await.expect(200);
}

/// A call with headers of its own.
async fn with(api: &Api, header: (&str, &str), method: Method, path: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), header];
    api.raw(method, path, &headers, body.to_string()).await.unwrap()
}

/// Tables of ours and of the user in which the text stands, as PostgreSQL shows their rows or within bytes.
async fn in_tables(world: &World, text: &str) -> Vec<String> {
    let pool = world.pool().await;
    let tables = "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables \
                  WHERE table_schema IN ('eventus', 'public') AND table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(tables.len() > 40, "{tables:?}");
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT count(*) FROM {table} t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0"
        );
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(text)
            .bind(&hex)
            .fetch_one(&pool)
            .await
            .unwrap();
        if count > 0 {
            found.push(format!("{table}: {count}"));
        }
    }
    found
}

/// Subjects of the messages of the stream that hold the text, in headers or body.
async fn in_stream(world: &World, text: &str) -> Vec<String> {
    let stream = async_nats::jetstream::new(world.nats.client().await).get_stream("EVENTS").await.unwrap();
    let state = stream.cached_info().state.clone();
    assert!(state.messages > 0);
    let mut found = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        let body = String::from_utf8_lossy(&message.payload).into_owned();
        let headers = format!("{:?}", message.headers);
        if body.contains(text) || headers.contains(text) {
            found.push(format!("{sequence} {}", message.subject));
        }
    }
    found
}

/// Everything that the live stream tells from the beginning of the log.
async fn told_from_the_start(world: &World) -> String {
    let last: i64 = sqlx::query_scalar("SELECT max(position) FROM eventus.events")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    let mut live = sse::open(&world.api, "/events", Some("0")).await;
    let mut told = String::new();
    loop {
        let event = live.next().await;
        told.push_str(&event.data.to_string());
        if event.id.parse::<i64>().unwrap() >= last {
            return told;
        }
    }
}

/// An erasure, and its answer once it is done.
async fn erase(world: &World, body: Value) -> Value {
    let mut answer = world.api.post("/utils/erase", body).await.expect(200).data();
    let path = format!("/utils/erase/{}", answer["id"].as_str().unwrap());
    let deadline = std::time::Instant::now() + SOON;
    while answer["state"] != "done" {
        assert!(std::time::Instant::now() < deadline, "{answer}\n{}", world.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = world.api.get(&path).await.expect(200).data();
    }
    answer
}

/// The text in every place where a value of an item can be.
async fn spread(world: &World) {
    let api = &world.api;
    let person = json!({"name": format!("{MARKER} Ada"), "town": MARKER, "note": MARKER.repeat(20_000)});
    with(api, ("idempotency-key", "one"), Method::POST, "/items/people", person).await.expect(200);
    api.post("/items/people", json!({"name": "Bob", "town": "Ulm"})).await.expect(200);
    api.patch("/items/people/1", json!({"town": format!("{MARKER}-2"), "note": "short"})).await.expect(200);
    api.patch("/items/people/1", json!({"name": format!("{MARKER} A."), "town": null})).await.expect(200);
    let version = json!({"collection": "people", "item": "1", "key": "draft", "name": "Draft"});
    let version = api.post("/versions", version).await.expect(200).data();
    let place = format!("/versions/{}", version["id"].as_str().unwrap());
    for town in ["3", "4"] {
        api.post(&format!("{place}/save"), json!({"town": format!("{MARKER}-{town}")})).await.expect(200);
    }
    let custom = json!({"event": "custom.people.greeted", "collection": "people", "key": "1",
        "payload": {"said": format!("Hello {MARKER}")}});
    api.post("/events", custom).await.expect(200);
    world.quiet(SOON).await;
    let pool = world.pool().await;
    let letter = "INSERT INTO eventus.dead_letters (consumer, event_id, position, reason, attempts) \
        SELECT 'hooks', id, position, 'no room for ' || $1, 3 FROM eventus.events WHERE collection = 'people' \
        AND key = '1' ORDER BY position LIMIT 1";
    sqlx::query(letter).bind(MARKER).execute(&pool).await.unwrap();
    let activity =
        "INSERT INTO directus_activity (id, action, collection, item) VALUES (-1, 'create', 'people', '1')";
    sqlx::query(activity).execute(&pool).await.unwrap();
    let revision = "INSERT INTO directus_revisions (id, activity, collection, item, data, delta) \
        VALUES (-1, -1, 'people', '1', $1::text::json, $1::text::json)";
    let data = json!({"id": 1, "name": MARKER}).to_string();
    sqlx::query(revision).bind(data).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn what_an_item_held_is_nowhere_any_more() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let receiver = testkit::Sink::start().await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["*"]});
    api.post("/webhooks/endpoints", endpoint).await.expect(200);
    spread(&world).await;
    let tables = in_tables(&world, MARKER).await;
    for place in ["people", "events_p0", "idempotency_keys", "versions", "dead_letters", "directus_revisions"]
    {
        assert!(tables.iter().any(|table| table.contains(place)), "{place}: {tables:?}");
    }
    assert!(in_stream(&world, MARKER).await.len() >= 4);
    let others = world_but_people(&world).await;

    let wish = json!({"collection": "people", "keys": [1], "delete": true});
    let mut dry = wish.clone();
    dry["dry_run"] = json!(true);
    let would = api.post("/utils/erase", dry).await.expect(200).data();
    assert_eq!((&would["deleted"], &would["dry_run"], &would["id"]), (&json!(1), &json!(true), &Value::Null));
    assert_eq!(in_tables(&world, MARKER).await, tables, "nothing was done");

    let done = erase(&world, wish).await;
    assert_eq!((&done["deleted"], &done["messages_left"]), (&json!(1), &json!(0)));
    for place in ["revisions", "versions", "dead_letters"] {
        let would = would["erased"][place].as_i64().unwrap();
        assert!(would > 0 || place == "versions", "{place}: {done}");
    }
    assert!(done["erased"]["events"].as_i64().unwrap() > would["erased"]["events"].as_i64().unwrap());
    assert_eq!(done["erased"]["answers"], 1);

    assert_eq!(in_tables(&world, MARKER).await, Vec::<String>::new());
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
    let told = told_from_the_start(&world).await;
    assert!(!told.contains(MARKER) && told.contains("items.erase"));
    for path in [
        "/items/people/1/history",
        "/items/people?as_of=2999",
        "/revisions?limit=-1",
        "/activity?limit=-1",
        "/webhooks/deliveries?limit=100",
        "/versions?limit=-1",
    ] {
        let read = api.get(path).await;
        assert!(!read.text.contains(MARKER), "{path}: {}", read.text);
    }
    chain(&world).await;
    assert_eq!(world_but_people(&world).await, others, "what belongs to others");
    // What is kept under the key is that it was done.
    let person = json!({"name": format!("{MARKER} Ada"), "town": MARKER, "note": MARKER.repeat(20_000)});
    let again = with(api, ("idempotency-key", "one"), Method::POST, "/items/people", person).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (204, Some("true")), "{}", again.text);
    let letters = "DELETE FROM eventus.dead_letters WHERE reason = 'erased'";
    assert_eq!(sqlx::query(letters).execute(&world.pool().await).await.unwrap().rows_affected(), 1);
    world.quiet(SOON).await;
    // Once more: there is nothing left.
    let done = erase(&world, json!({"collection": "people", "keys": ["1"]})).await;
    assert_eq!(done["erased"]["events"], 0);
}

/// The events of everything but the erased item.
async fn world_but_people(world: &World) -> Vec<String> {
    let sql = "SELECT e::text FROM eventus.events e WHERE NOT (collection = 'people' AND key = '1') \
               AND collection <> 'directus_versions' AND name <> 'items.erase' ORDER BY position";
    sqlx::query_scalar(sql).fetch_all(&world.pool().await).await.unwrap()
}

/// The item's versions go on without a hole, its changed fields are named, and what is gone is said to be.
async fn chain(world: &World) {
    let told = world.api.get("/items/people/1/history").await.expect(200).data();
    let versions: Vec<i64> =
        told.as_array().unwrap().iter().map(|event| event["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, [4, 3, 2, 1]);
    assert_eq!(told[3]["payload"], json!({"id": 1, "name": null, "town": null, "note": null}));
    assert_eq!(told[3]["erased"], json!(["name", "note", "town"]));
    assert_eq!(
        (&told[1]["fields"], &told[1]["erased"]),
        (&json!(["name", "town"]), &json!(["name", "town"]))
    );
    let first = told[3]["position"].as_i64().unwrap();
    let then = world.api.get(&format!("/items/people?as_of={first}&fields=id,name,town")).await.expect(200);
    assert_eq!(then.data(), json!([{"id": 1, "name": null, "town": null}]));
    let revision = world.api.get(&format!("/revisions/{first}?fields=data")).await.expect(200).data();
    assert_eq!(revision["data"], json!({"id": 1}), "what is not known is no value of a revision");
}

#[tokio::test]
async fn named_fields_go_and_writes_that_held_them_are_not_taken_back() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    api.post("/items/people", json!({"name": MARKER, "town": "Ulm"})).await.expect(200);
    let change = json!({"name": "Ada", "town": "Bonn"});
    with(api, ("x-request-id", "second"), Method::PATCH, "/items/people/1", change).await.expect(200);
    let tag = api.get("/items/people/1").await.expect(200).header("etag").map(str::to_owned);
    let done = erase(&world, json!({"collection": "people", "keys": ["1"], "fields": ["name"]})).await;
    // The item stays as it is, with its present name; its history has no names.
    assert_eq!(done["erased"]["events"], 2);
    assert_eq!(in_tables(&world, MARKER).await, Vec::<String>::new());
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
    let read = api.get("/items/people/1?fields=name,town").await.expect(200);
    assert_eq!(read.data(), json!({"name": "Ada", "town": "Bonn"}));
    let now = api.get("/items/people/1").await.expect(200);
    assert_eq!(now.header("etag").map(str::to_owned), tag, "its version is what it was");
    let told = api.get("/items/people/1/history").await.expect(200).data();
    assert_eq!(
        (&told[0]["payload"], &told[0]["erased"]),
        (&json!({"name": null, "town": "Bonn"}), &json!(["name"]))
    );
    let undo = api.post("/utils/undo", json!({"request_id": "second"})).await.refused(409, "CONFLICT");
    let item = &undo.json()["errors"][0]["extensions"]["items"][0];
    assert_eq!((&item["reason"], &item["fields"]), (&json!("erased"), &json!(["name"])));
    let forced = json!({"request_id": "second", "force": true});
    api.post("/utils/undo", forced).await.expect(200);
    let read = api.get("/items/people/1?fields=name,town").await.expect(200);
    assert_eq!(read.data(), json!({"name": "Ada", "town": "Ulm"}), "what was erased stays as it is");
    // A revision whose name is gone leaves the name alone.
    let position = told[1]["position"].as_i64().unwrap();
    api.patch("/items/people/1", json!({"name": "Eve", "town": "Kiel"})).await.expect(200);
    api.post(&format!("/utils/revert/{position}"), json!({})).await.expect(204);
    let read = api.get("/items/people/1?fields=name,town").await.expect(200);
    assert_eq!(read.data(), json!({"name": "Eve", "town": "Ulm"}));
    // A collection that is gone has left its events.
    api.delete("/collections/people", None).await.expect(204);
    let done = erase(&world, json!({"collection": "people", "keys": ["1"]})).await;
    assert!(done["erased"]["events"].as_i64().unwrap() > 2, "{done}");
    assert_eq!(in_stream(&world, "\"Eve\"").await, Vec::<String>::new());
}

/// A field that becomes a secret leaves the stream and the dead letters as well.
#[tokio::test]
async fn secrets_leave_the_copies_too() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let person = json!({"name": "Ada", "town": MARKER});
    with(api, ("idempotency-key", "one"), Method::POST, "/items/people", person).await.expect(200);
    let version = json!({"collection": "people", "item": "1", "key": "draft", "name": "Draft"});
    let version = api.post("/versions", version).await.expect(200).data();
    let save = format!("/versions/{}/save", version["id"].as_str().unwrap());
    api.post(&save, json!({"name": "Eve", "town": format!("{MARKER}-2")})).await.expect(200);
    world.quiet(SOON).await;
    let pool = world.pool().await;
    let letter = "INSERT INTO eventus.dead_letters (consumer, event_id, position, reason, attempts) \
        SELECT 'hooks', id, position, 'no room for ' || $1, 3 FROM eventus.events WHERE collection = 'people'";
    sqlx::query(letter).bind(MARKER).execute(&pool).await.unwrap();
    assert_eq!(in_stream(&world, MARKER).await.len(), 2);
    api.patch("/fields/people/town", json!({"meta": {"special": ["conceal"]}})).await.expect(200);
    testkit::eventually(SOON, || async {
        let sql = "SELECT (SELECT count(*) FROM eventus.redactions) + (SELECT count(*) FROM eventus.stale_messages)";
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        left == 0
    })
    .await;
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
    // The item itself has its value, behind the mask.
    let tables = in_tables(&world, MARKER).await;
    assert_eq!(tables, ["public.people: 1"]);
    let kept = api.get("/versions?fields=delta").await.expect(200).data();
    assert_eq!(kept[0]["delta"], json!({"name": "Eve"}));
}
