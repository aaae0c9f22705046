//! kill -9 in the middle of an erasure: it completes.

use std::time::Duration;

use serde_json::json;

use super::{MARKER, in_stream, in_tables, people};
use crate::storm;
use crate::world::World;

const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_erasure_that_is_killed_goes_on() {
    let mut world = World::start(shape!()).await;
    people(&world).await;
    world.api.post("/items/people", json!({"name": MARKER})).await.expect(200);
    let pool = world.pool().await;
    let events = "INSERT INTO eventus.events (id, name, collection, key, version, payload, previous, fields) \
        SELECT gen_random_uuid(), 'items.update', 'people', '1', n, json_build_object('name', $1 || n), \
        json_build_object('name', $1 || (n - 1)), '{name}' FROM generate_series(2, 6000) n";
    sqlx::query(events).bind(MARKER).execute(&pool).await.unwrap();
    world.quiet(LONG).await;
    // One of the third chunk can't be changed as long as this is open: there it is killed.
    let mut held = pool.begin().await.unwrap();
    let lock =
        "SELECT position FROM eventus.events WHERE collection = 'people' AND version = 4500 FOR UPDATE";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    let api = world.api.clone();
    let asked = storm::spawn(async move {
        let body = json!({"collection": "people", "keys": [1], "delete": true}).to_string();
        api.raw(http::Method::POST, "/utils/erase", &[("content-type", "application/json")], body).await
    });
    let reached = "SELECT count(*) FROM eventus.erasures e WHERE e.stage = 'log' AND e.done > 0 \
                   AND (SELECT count(*) FROM eventus.events v WHERE v.erased IS NOT NULL) > 0";
    testkit::eventually(LONG, || async {
        let reached: i64 = sqlx::query_scalar(reached).fetch_one(&pool).await.unwrap();
        reached == 1
    })
    .await;
    world.kill9_all();
    held.rollback().await.unwrap();
    drop(asked);
    assert!(!in_tables(&world, MARKER).await.is_empty(), "it was in the middle");
    world.spawn_all();
    world.ready().await;
    testkit::eventually(LONG, || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.erasures WHERE stage <> 'done'")
            .fetch_one(&pool)
            .await
            .unwrap();
        left == 0
    })
    .await;
    assert_eq!(in_tables(&world, MARKER).await, Vec::<String>::new());
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
    // What was made of it can be made again from the log.
    world.nats.stop().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    world.api.post("/items/people", json!({"name": "Bob"})).await.expect(200);
    world.quiet(LONG).await;
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
}
