//! Fields with the special `encrypt`: unreadable in the table, in the log and at every door.

use serde_json::json;

use crate::world::World;

const IBAN: &str = "DE02120300000000202051";

#[tokio::test]
async fn an_encrypted_field_is_nowhere_in_the_clear() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let iban = json!({"field": "iban", "type": "text", "meta": {"special": ["encrypt"]}});
    world.collection("people", json!([{"field": "name", "type": "string"}, iban])).await;
    let shown = json!({"id": 1, "name": "Ada", "iban": "**********"});
    let made = api.post("/items/people", json!({"name": "Ada", "iban": IBAN})).await.expect(200).data();
    assert_eq!(made, shown);
    let pool = world.pool().await;
    let stored = async || -> Option<String> {
        sqlx::query_scalar("SELECT iban FROM people WHERE id = 1").fetch_one(&pool).await.unwrap()
    };
    let first = stored().await.unwrap();
    assert!(first.starts_with("$aes256gcm$") && !first.contains(IBAN), "{first}");
    // The mask that comes back means: as it is.
    api.patch("/items/people/1", json!({"name": "Ada L.", "iban": "**********"})).await.expect(200);
    assert_eq!(stored().await.unwrap(), first);
    api.patch("/items/people/1", json!({"iban": format!("{IBAN}0")})).await.expect(200);
    let second = stored().await.unwrap();
    assert_ne!(second, first);
    let log = "SELECT count(*) FROM eventus.events WHERE concat(payload, previous) ~ 'DE0212|aes256gcm'";
    let count: i64 = sqlx::query_scalar(log).fetch_one(&pool).await.unwrap();
    assert_eq!(count, 0);
    let filter =
        json!({"query": {"filter": {"iban": {"_eq": format!("{IBAN}0")}}}, "data": {"name": "found"}});
    let filtered = api.patch("/items/people", filter).await;
    assert!(!filtered.text.contains("found"), "{}", filtered.text);
    api.patch("/items/people/1", json!({"iban": null})).await.expect(200);
    assert_eq!(stored().await, None);
    api.patch("/items/people/1", json!({"iban": ["x"]})).await.refused(400, "INVALID_PAYLOAD");
    assert!(!world.whole_logs().contains(IBAN));
}

#[tokio::test]
async fn only_texts_are_encrypted() {
    let world = World::start(shape!()).await;
    let field = json!({"field": "pin", "type": "integer", "meta": {"special": ["encrypt"]}});
    let body = json!({"collection": "people", "schema": {}, "fields": [field]});
    world.api.post("/collections", body).await.refused(400, "INVALID_PAYLOAD");
    world.api.get("/items/people").await.refused(403, "FORBIDDEN");
}
