//! Writes of one item that come at the same time go in one statement: each is told what became of its own.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::explain::counted;
use crate::api::{Answer, Api};
use crate::world::{Shape, World};

/// So many at once.
const CROWD: usize = 48;

async fn notes(shape: Shape) -> World {
    let world = World::start(shape).await;
    let title = json!({"field": "title", "type": "string", "schema": {"is_unique": true}});
    let number = |name: &str| json!({"field": name, "type": "integer"});
    world.collection("notes", json!([title, number("n")])).await;
    world
}

async fn send(api: &Api, method: Method, path: &str, id: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-request-id", id), ("user-agent", id)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    api.raw(method, path, &headers, body).await.unwrap()
}

/// The version in the answer's ETag.
fn version(answer: &Answer) -> i64 {
    answer.header("etag").unwrap().trim_start_matches('"').split('.').next().unwrap().parse().unwrap()
}

/// Some statements wrote more than one item, in whatever process writes items.
async fn some_went_together(world: &World) -> bool {
    let of = async |name: &str| counted(world, &format!("eventus_write_together_items_{name}")).await;
    of("sum").await > of("count").await
}

#[tokio::test]
async fn each_is_told_of_its_own() {
    let world = notes(shape!()).await;
    let api = &world.api;
    let create = async |number: usize| {
        let (id, title) = (format!("request-{number}"), format!("t{number}"));
        let path = "/items/notes?fields=id,title";
        let made = send(api, Method::POST, path, &id, json!({"title": title, "n": 0})).await.expect(200);
        assert_eq!((made.data()["title"].as_str(), version(&made)), (Some(title.as_str()), 1));
        made.data()["id"].to_string()
    };
    let keys = join_all((0..CROWD).map(create)).await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), CROWD);
    assert!(some_went_together(&world).await);
    // Each event is a batch of its own and says whose request it was.
    let sql = "SELECT key, request_id, user_agent, batch_index, payload->>'title' AS title FROM eventus.events \
               WHERE collection = 'notes' AND name = 'items.create'";
    type Event = (String, String, String, i32, String);
    let pool = world.pool().await;
    let events: Vec<Event> = sqlx::query_as(sql).fetch_all(&pool).await.unwrap();
    assert_eq!(events.len(), CROWD);
    for (key, request, agent, place, title) in events {
        let number: usize = title[1..].parse().unwrap();
        assert_eq!((&key, place), (&keys[number], 0));
        assert_eq!((request, agent), (format!("request-{number}"), format!("request-{number}")));
    }
    let batches = "SELECT count(DISTINCT batch_id) FROM eventus.events WHERE collection = 'notes' AND name = 'items.create'";
    let batches: i64 = sqlx::query_scalar(batches).fetch_one(&pool).await.unwrap();
    assert_eq!(batches, i64::try_from(CROWD).unwrap());
    world.quiet(std::time::Duration::from_secs(30)).await;
}

#[tokio::test]
async fn who_is_refused_takes_nobody_along() {
    let world = notes(shape!()).await;
    let api = &world.api;
    api.post("/items/notes", json!({"title": "taken"})).await.expect(200);
    let create = async |number: usize| {
        let body = match number % 4 {
            0 => json!({"title": "taken"}),
            1 => json!({"title": format!("t{number}"), "n": "no number"}),
            _ => json!({"title": format!("t{number}"), "n": number}),
        };
        let answer = api.post("/items/notes?fields=title,n", body.clone()).await;
        match number % 4 {
            0 => drop(answer.refused(400, "RECORD_NOT_UNIQUE")),
            1 => drop(answer.expect(400)),
            _ => assert_eq!(answer.expect(200).data(), body),
        }
    };
    join_all((0..CROWD).map(create)).await;
    let stored = api.get("/items/notes?aggregate[count]=*").await.expect(200).data();
    assert_eq!(stored[0]["count"], json!((CROWD / 2 + 1).to_string()));
    let events = "SELECT count(*) FROM eventus.events WHERE collection = 'notes' AND name = 'items.create'";
    let events: i64 = sqlx::query_scalar(events).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(events, i64::try_from(CROWD / 2 + 1).unwrap());
}

#[tokio::test]
async fn changes_of_one_item_come_one_after_the_other() {
    let world = notes(shape!()).await;
    let api = &world.api;
    let made = json!([{"n": 0}, {"n": 0}, {"n": 0}]);
    let made = api.post("/items/notes?fields=id", made).await.expect(200).data();
    let keys: Vec<String> = made.as_array().unwrap().iter().map(|item| item["id"].to_string()).collect();
    let change = async |number: usize| {
        let key = if number % 8 == 7 { "999" } else { &keys[number % 3] };
        let body = json!({"n": number});
        let answer = send(api, Method::PATCH, &format!("/items/notes/{key}?fields=id,n"), "r", body).await;
        if key == "999" {
            answer.expect(204);
            return None;
        }
        let answer = answer.expect(200);
        assert_eq!((answer.data()["id"].to_string(), &answer.data()["n"]), (key.to_owned(), &json!(number)));
        Some((key.to_owned(), version(&answer), number))
    };
    let changes: Vec<_> = join_all((0..CROWD).map(change)).await.into_iter().flatten().collect();
    assert!(some_went_together(&world).await);
    let mut versions: BTreeMap<String, BTreeMap<i64, usize>> = BTreeMap::new();
    for (key, version, number) in changes {
        assert!(
            versions.entry(key).or_default().insert(version, number).is_none(),
            "each version is one change"
        );
    }
    for (key, versions) in versions {
        let last = i64::try_from(versions.len()).unwrap() + 1;
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), (2..=last).collect::<Vec<_>>());
        let stored = api.get(&format!("/items/notes/{key}?fields=n")).await.expect(200).data();
        assert_eq!(stored["n"], json!(versions[&last]), "the last version is what is stored");
    }
}

#[tokio::test]
async fn what_hangs_on_the_deleted_is_looked_after() {
    let world = notes(shape!()).await;
    let api = &world.api;
    world.collection("marks", json!([{"field": "note", "type": "integer"}])).await;
    let relation = json!({"collection": "marks", "field": "note", "related_collection": "notes",
        "schema": {"on_delete": "SET NULL"}});
    api.post("/relations", relation).await.expect(200);
    let many: Vec<Value> = (0..CROWD).map(|number| json!({"n": number})).collect();
    let made = api.post("/items/notes?fields=id", json!(many)).await.expect(200).data();
    let keys: Vec<Value> = made.as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    let marked: Vec<Value> = keys.iter().step_by(6).map(|key| json!({"note": key})).collect();
    api.post("/items/marks", json!(marked)).await.expect(200);
    join_all(keys.iter().map(async |key| api.delete(&format!("/items/notes/{key}"), None).await.expect(204)))
        .await;
    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM notes").await, 0);
    assert_eq!(count("SELECT count(note) FROM marks").await, 0);
    let gone =
        "SELECT count(DISTINCT key) FROM eventus.events WHERE collection = 'notes' AND name = 'items.delete'";
    assert_eq!(count(gone).await, i64::try_from(CROWD).unwrap());
    let let_go = "SELECT count(*) FROM eventus.events e JOIN eventus.events c ON c.id = e.causation_id \
                  WHERE e.collection = 'marks' AND e.name = 'items.update' AND c.name = 'items.delete' \
                  AND c.key = e.previous->>'note'";
    assert_eq!(count(let_go).await, i64::try_from(marked.len()).unwrap());
}
