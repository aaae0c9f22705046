//! What is no erasure is refused, and changes nothing; many keys are one call.

use serde_json::json;

use super::{SOON, erase, people};
use crate::world::World;

#[tokio::test]
async fn what_is_no_erasure_is_refused() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    api.post("/items/people", json!({"name": "Ada"})).await.expect(200);
    world.quiet(SOON).await;
    let pool = world.pool().await;
    let log = "SELECT string_agg(e::text, ',' ORDER BY position) FROM eventus.events e";
    let before: String = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    let bad = [
        json!({}),
        json!([]),
        json!({"collection": "people"}),
        json!({"collection": "people", "keys": []}),
        json!({"collection": "people", "keys": "1"}),
        json!({"collection": "people", "keys": [1.5]}),
        json!({"collection": "people", "keys": [{"id": 1}]}),
        json!({"keys": [1]}),
        json!({"delete": true}),
        json!({"collection": "people", "keys": [1], "fields": []}),
        json!({"collection": "people", "keys": [1], "fields": ["nothing"]}),
        json!({"collection": "people", "keys": [1], "fields": ["id"]}),
        json!({"collection": "people", "keys": [1], "fields": "name"}),
        json!({"collection": "people", "keys": [1], "delete": "yes"}),
        json!({"collection": "people", "keys": [1], "what": 1}),
        json!({"users": ["me"]}),
        json!({"users": []}),
        json!({"users": vec!["0199f0c4-7d7e-7c30-9a52-0b6ad8a3a3f1"; 1_001]}),
        json!({"collection": "people", "keys": (0..100_001).collect::<Vec<_>>()}),
    ];
    for body in bad {
        let text = body.to_string();
        let answer = api.post("/utils/erase", body).await;
        let shown = &text[..text.len().min(100)];
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "INVALID_PAYLOAD"),
            "{shown}: {}",
            answer.text
        );
    }
    forbidden(&world).await;
    let after: String = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    assert_eq!(after, before);
}

/// What is not there, and who may not.
async fn forbidden(world: &World) {
    let api = &world.api;
    for body in [
        json!({"collection": "nowhere", "keys": [1]}),
        json!({"collection": "people", "keys": ["x"]}),
        json!({"collection": "people; DROP TABLE people", "keys": ["1"]}),
    ] {
        api.post("/utils/erase", body).await.refused(403, "FORBIDDEN");
    }
    world.user("reader@example.com", "token-of-a-reader").await;
    for token in [None, Some("token-of-a-reader")] {
        let other = api.with_token(token);
        other
            .post("/utils/erase", json!({"collection": "people", "keys": [1]}))
            .await
            .refused(403, "FORBIDDEN");
        let id = "/utils/erase/0199f0c4-7d7e-7c30-9a52-0b6ad8a3a3f1";
        other.get(id).await.refused(403, "FORBIDDEN");
    }
    for id in ["x", "0199f0c4-7d7e-7c30-9a52-0b6ad8a3a3f1"] {
        api.get(&format!("/utils/erase/{id}")).await.refused(403, "FORBIDDEN");
    }
    api.get("/utils/erase").await.refused(404, "ROUTE_NOT_FOUND");
}

/// An item that others need is not deleted, and then nothing is erased either.
#[tokio::test]
async fn a_deletion_that_is_refused_refuses_the_erasure() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let user = api.get("/users/me?fields=id").await.expect(200).data()["id"].clone();
    let body = json!({"collection": "directus_users", "keys": [user], "delete": true});
    let refused = api.post("/utils/erase", body).await;
    assert_eq!(refused.status, 422, "the last administrator stays: {}", refused.text);
    let begun: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.erasures")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(begun, 0);
}

#[tokio::test]
async fn a_hundred_thousand_keys_are_one_call() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let people: Vec<_> = (0..200).map(|n| json!({"name": format!("secret-{n}-name")})).collect();
    api.post("/items/people?fields=id", json!(people)).await.expect(200);
    let keys: Vec<u32> = (1..=100_000).collect();
    let done = erase(&world, json!({"collection": "people", "keys": keys})).await;
    assert_eq!(done["erased"]["events"], 200);
    let pool = world.pool().await;
    let left = "SELECT count(*) FROM eventus.events WHERE payload::text ~ 'secret-[0-9]+-name'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&pool).await.unwrap();
    let parts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM eventus.erasures").fetch_one(&pool).await.unwrap();
    assert_eq!((left, parts), (0, 100));
    world.quiet(SOON).await;
}
