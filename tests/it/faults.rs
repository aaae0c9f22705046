//! What is promised when everything dies, or what everything stands on: nothing acknowledged is lost, nothing has two
//! effects, outages are said.

use std::time::Duration;

use serde_json::json;

use crate::storm::{ITEMS, Storm};
use crate::world::{Options, World};

#[tokio::test]
async fn kill_9_of_everything() {
    let mut storm = Storm::start(shape!()).await;
    let acked = storm
        .rage(async |world| {
            world.kill9_all();
            world.spawn_all();
            world.ready().await;
        })
        .await;
    assert!(acked.len() > ITEMS / 2, "most creates are acknowledged: {}", acked.len());
    storm.settle(&acked).await;
}

/// The broker dies under load and comes back: writes are answered all the while.
#[tokio::test]
async fn kill_9_of_nats() {
    let mut storm = Storm::start(shape!()).await.without_broker();
    let acked = storm
        .rage(async |world| {
            world.nats.kill9().await;
            let made = world.api.post("/items/articles?fields=id", json!({"token": "while away"})).await;
            made.expect(200);
            world.nats.restart().await;
        })
        .await;
    assert!(acked.len() >= ITEMS, "a broker that is away refuses no write: {}", acked.len());
    storm.settle(&acked).await;
}

/// Everything JetStream knew is gone while the fleet is down.
#[tokio::test]
async fn the_store_of_the_bus_is_wiped() {
    let mut storm = Storm::start(shape!()).await.without_broker();
    let acked = storm
        .rage(async |world| {
            world.kill9_all();
            world.nats.kill9().await;
            world.nats.wipe_store();
            world.nats.restart().await;
            world.spawn_all();
            world.ready().await;
        })
        .await;
    storm.settle(&acked).await;
}

/// The same while the fleet goes on: the broker dies and comes back without a memory.
#[tokio::test]
async fn the_bus_comes_back_empty() {
    let mut storm = Storm::start(shape!()).await.without_broker();
    let acked = storm
        .rage(async |world| {
            world.nats.kill9().await;
            let made = world.api.post("/items/articles?fields=id", json!({"token": "while away"})).await;
            made.expect(200);
            world.nats.wipe_store();
            world.nats.restart().await;
        })
        .await;
    assert!(acked.len() >= ITEMS, "a broker that is away refuses no write: {}", acked.len());
    storm.settle(&acked).await;
}

/// The database dies under load: what it acknowledged is there when it is back, and nothing is restarted.
#[tokio::test]
async fn kill_9_of_postgres() {
    let mut server = testkit::Postgres::start().await;
    let world = World::on(shape!(), Options::default(), &server).await;
    let mut storm = Storm::over(world, None).await;
    let acked = storm
        .rage(async |_| {
            server.kill9().await;
            server.restart().await;
        })
        .await;
    assert!(acked.len() > ITEMS / 2, "most creates are acknowledged: {}", acked.len());
    storm.settle(&acked).await;
}

/// SIGTERM to each process in turn, as a rolling restart does it: what was begun is finished, and nothing is lost.
#[tokio::test]
async fn a_polite_stop_loses_nothing() {
    let mut storm = Storm::start(shape!()).await;
    let acked = storm
        .rage(async |world| {
            for index in 0..world.processes.len() {
                assert!(world.terminate(index).success(), "{}", world.logs());
                world.spawn(index);
                world.ready().await;
            }
        })
        .await;
    storm.settle(&acked).await;
}

/// PostgreSQL away: 503 with Retry-After, and recovery without a restart.
#[tokio::test]
async fn an_outage_of_the_database_is_said_and_heals() {
    let mut server = testkit::Postgres::start().await;
    let world = World::on(shape!(), Options::default(), &server).await;
    world.collection("articles", json!([{"field": "token", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"token": "before"})).await.expect(200);
    server.kill9().await;
    for _ in 0..3 {
        let answer = world.api.post("/items/articles", json!({"token": "during"})).await;
        let answer = answer.refused(503, "SERVICE_UNAVAILABLE");
        assert!(answer.header("retry-after").is_some());
        world.api.get("/items/articles").await.refused(503, "SERVICE_UNAVAILABLE");
    }
    server.restart().await;
    testkit::eventually(Duration::from_secs(15), || async {
        world.api.get("/items/articles").await.status == 200
    })
    .await;
    world.api.post("/items/articles", json!({"token": "after"})).await.expect(200);
    let tokens = world.api.get("/items/articles?fields=token").await.expect(200).data();
    assert_eq!(tokens, json!([{"token": "before"}, {"token": "after"}]), "a 503 left nothing");
    world.quiet(Duration::from_secs(20)).await;
}
