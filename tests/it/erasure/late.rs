//! A consumer that is not past a message keeps it in the stream, and loses nothing.

use serde_json::{Value, json};

use super::{MARKER, SOON, in_stream, in_tables, people};
use crate::world::World;

#[tokio::test]
async fn messages_wait_for_the_slowest_consumer() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let pool = world.pool().await;
    sqlx::query("INSERT INTO eventus.consumers (name) VALUES ('late')").execute(&pool).await.unwrap();
    api.post("/items/people", json!({"name": MARKER})).await.expect(200);
    let wish = json!({"collection": "people", "keys": [1], "delete": true});
    let answer = api.post("/utils/erase", wish).await.expect(200).data();
    // Made and deleted: both messages hold the name.
    assert_eq!((&answer["state"], &answer["messages_left"]), (&json!("running"), &json!(2)));
    assert_eq!(answer["erased"]["events"], 2);
    assert_eq!(in_tables(&world, MARKER).await, Vec::<String>::new(), "the log does not wait");
    assert_eq!(in_stream(&world, MARKER).await.len(), 2);
    sqlx::query("UPDATE eventus.consumers SET low_water = 1000000 WHERE name = 'late'")
        .execute(&pool)
        .await
        .unwrap();
    let path = format!("/utils/erase/{}", answer["id"].as_str().unwrap());
    testkit::eventually(SOON, || async {
        let answer: Value = api.get(&path).await.expect(200).data();
        answer["state"] == "done"
    })
    .await;
    assert_eq!(in_stream(&world, MARKER).await, Vec::<String>::new());
}
