//! `Idempotency-Key`: a write happens once, however often it is asked for.

mod at_once;
mod others;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{TOKEN, World};

/// A call under a key.
async fn keyed(api: &Api, method: Method, path: &str, key: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    api.raw(method, path, &headers, body).await.unwrap()
}

/// Asks twice: the second answer is the first one, and says so.
async fn twice(api: &Api, method: Method, path: &str, key: &str, body: Value) -> Value {
    let first = keyed(api, method.clone(), path, key, body.clone()).await;
    assert!(first.status < 300, "{path}: {}", first.text);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = keyed(api, method, path, key, body).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
    assert_eq!(again.header("etag"), first.header("etag"), "{path}");
    again.json()["data"].clone()
}

async fn notes(world: &World) {
    world
        .collection("notes", json!([{"field": "title", "type": "string"}, {"field": "n", "type": "integer"}]))
        .await;
}

async fn count(world: &World, what: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {what}")))
        .fetch_one(&world.pool().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_write_happens_once() {
    let world = World::start(shape!()).await;
    notes(&world).await;
    let api = &world.api;
    let one = twice(api, Method::POST, "/items/notes", "a", json!({"title": "x"})).await;
    assert_eq!(one["id"], 1);
    let many =
        twice(api, Method::POST, "/items/notes?fields=id", "b", json!([{"n": 1}, {"id": 9, "n": 2}])).await;
    assert_eq!(many, json!([{"id": 2}, {"id": 9}]));
    let changed = twice(api, Method::PATCH, "/items/notes/1", "c", json!({"n": 5})).await;
    assert_eq!((&changed["title"], &changed["n"]), (&json!("x"), &json!(5)));
    twice(api, Method::PATCH, "/items/notes", "d", json!({"keys": [1, 2], "data": {"n": 6}})).await;
    twice(api, Method::PATCH, "/items/notes", "e", json!([{"id": 1, "n": 7}, {"id": 2, "title": "y"}])).await;
    let matching = json!({"query": {"filter": {"n": {"_gt": 0}}}, "data": {"n": 0}});
    let changed = twice(api, Method::PATCH, "/items/notes?fields=id", "f", matching).await;
    assert_eq!(changed, json!([{"id": 1}, {"id": 2}, {"id": 9}]));
    // Nothing that is stored, nothing that fits, nothing at all.
    twice(api, Method::PATCH, "/items/notes/1", "g", json!({"nope": 1})).await;
    let none = json!({"query": {"filter": {"n": {"_gt": 9}}}, "data": {"n": 1}});
    assert_eq!(twice(api, Method::PATCH, "/items/notes", "h", none).await, json!([]));
    assert_eq!(twice(api, Method::POST, "/items/notes", "i", json!([])).await, json!([]));
    let put = twice(api, Method::PUT, "/items/notes?fields=id", "p", json!([{"id": 9}])).await;
    assert_eq!(put, json!([{"id": 9}]));
    let put = twice(api, Method::PUT, "/items/notes?fields=id,n", "q", json!({"id": 9, "n": 5})).await;
    assert_eq!(put, json!({"id": 9, "n": 5}));
    let events = count(&world, "eventus.events WHERE collection = 'notes' AND key <> '9'").await;
    assert_eq!(events, 2 + 1 + 2 + 2 + 2, "an event for each change, none for a second answer");
    twice(api, Method::DELETE, "/items/notes/1", "j", Value::Null).await;
    twice(api, Method::DELETE, "/items/notes", "k", json!([2, 9])).await;
    assert_eq!(count(&world, "notes").await, 0);
    assert_eq!(count(&world, "eventus.events WHERE name = 'items.delete'").await, 3);
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 13);
    // More than one statement.
    let rows: Vec<Value> = (0..1_001).map(|n| json!({"n": n})).collect();
    let made = twice(api, Method::POST, "/items/notes?fields=n", "l", json!(rows)).await;
    assert_eq!((made.as_array().unwrap().len(), count(&world, "notes").await), (1_001, 1_001));
}

#[tokio::test]
async fn so_does_one_of_a_system_collection_a_singleton_and_a_deletion_with_consequences() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let user = json!({"email": "a@example.com", "password": "a secret of hers"});
    let made = twice(api, Method::POST, "/users?fields=id,email,password", "a", user).await;
    assert_eq!((&made["email"], &made["password"]), (&json!("a@example.com"), &json!("**********")));
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    twice(api, Method::PATCH, &path, "b", json!({"status": "suspended"})).await;
    twice(api, Method::PATCH, "/users/me", "c", json!({"first_name": "Ann"})).await;
    twice(api, Method::DELETE, &path, "d", Value::Null).await;
    let settings = twice(api, Method::PATCH, "/settings", "e", json!({"project_name": "P"})).await;
    assert_eq!(settings["project_name"], "P");
    let settings = twice(api, Method::PATCH, "/settings", "f", json!({"project_name": "Q"})).await;
    assert_eq!(settings["project_name"], "Q", "an object, as the first time");
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    world.collection("notes", json!([{"field": "author", "type": "integer"}])).await;
    let relation = json!({"collection": "notes", "field": "author", "related_collection": "authors",
        "schema": {"on_delete": "CASCADE"}});
    api.post("/relations", relation).await.expect(200);
    api.post("/items/authors", json!([{"id": 1}, {"id": 2}])).await.expect(200);
    api.post("/items/notes", json!([{"author": 1}, {"author": 2}])).await.expect(200);
    twice(api, Method::DELETE, "/items/authors/1", "g", Value::Null).await;
    assert_eq!(count(&world, "eventus.events WHERE name = 'items.delete'").await, 2);
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 7);
    let logged = world.whole_logs();
    assert!(!logged.contains("a secret of hers"));
}

#[tokio::test]
async fn so_does_one_of_items_within_items() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    world
        .collection(
            "notes",
            json!([{"field": "title", "type": "string"}, {"field": "author", "type": "integer"}]),
        )
        .await;
    let relation = json!({"collection": "notes", "field": "author", "related_collection": "authors",
        "meta": {"one_field": "notes"}, "schema": {"on_delete": "SET NULL"}});
    api.post("/fields/authors", json!({"field": "notes", "type": "alias", "meta": {"special": ["o2m"]}}))
        .await
        .expect(200);
    api.post("/relations", relation).await.expect(200);
    let made = json!({"name": "a", "notes": [{"title": "x"}, {"title": "y"}]});
    let made = twice(api, Method::POST, "/items/authors?fields=id,notes.title", "a", made).await;
    assert_eq!(made, json!({"id": 1, "notes": [{"title": "x"}, {"title": "y"}]}));
    let change = json!({"notes": {"create": [{"title": "z"}], "update": [], "delete": [1]}});
    let changed = twice(api, Method::PATCH, "/items/authors/1?fields=notes.id", "b", change).await;
    assert_eq!(changed, json!({"notes": [{"id": 2}, {"id": 3}]}));
    let one = json!({"title": "u", "author": {"name": "b"}});
    twice(api, Method::POST, "/items/notes", "c", one.clone()).await;
    keyed(api, Method::POST, "/items/authors", "c", one).await.refused(422, "UNPROCESSABLE_CONTENT");
    assert_eq!((count(&world, "notes").await, count(&world, "authors").await), (4, 2));
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 3);
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_user() {
    let world = World::start(shape!()).await;
    notes(&world).await;
    let api = &world.api;
    let body = json!({"title": "x"});
    let first = keyed(api, Method::POST, "/items/notes?fields=id", "k", body.clone()).await.expect(200);
    for (method, path, body) in [
        (Method::POST, "/items/notes?fields=id", json!({"title": "y"})),
        (Method::POST, "/items/notes?fields=id", json!([{"title": "x"}])),
        (Method::POST, "/items/notes?fields=title", body.clone()),
        (Method::POST, "/folders?fields=id", body.clone()),
        (Method::PATCH, "/items/notes/1", body.clone()),
        (Method::DELETE, "/items/notes/1", Value::Null),
    ] {
        let other = keyed(api, method, path, "k", body).await.refused(422, "UNPROCESSABLE_CONTENT");
        assert_eq!(other.json()["errors"][0]["extensions"]["header"], "Idempotency-Key");
    }
    // The same key in quotes, as a structured field.
    let same = keyed(api, Method::POST, "/items/notes?fields=id", "\"k\"", body.clone()).await.expect(200);
    assert_eq!((same.text, same.headers["idempotency-replayed"].as_bytes()), (first.text, &b"true"[..]));
    // Somebody else's key is another key.
    let user = json!({"email": "b@example.com", "token": "another-token-of-another-user"});
    let user = api.post("/users", user).await.expect(200).data();
    let admin = "INSERT INTO directus_access (id, policy, \"user\", sort) \
                 SELECT gen_random_uuid(), id, $1::text::uuid, 1 FROM directus_policies WHERE admin_access";
    sqlx::query(admin).bind(user["id"].as_str()).execute(&world.pool().await).await.unwrap();
    let other = api.with_token(Some("another-token-of-another-user"));
    let theirs = keyed(&other, Method::POST, "/items/notes?fields=id", "k", body).await.expect(200);
    assert_eq!((theirs.data(), theirs.header("idempotency-replayed")), (json!({"id": 2}), None));
    assert_eq!(count(&world, "notes").await, 2);
}

#[tokio::test]
async fn what_is_refused_is_not_kept() {
    let world = World::start(shape!()).await;
    let title = json!({"field": "title", "type": "string", "schema": {"is_nullable": false, "is_unique": true}, "meta": {"required": true}});
    world.collection("notes", json!([title])).await;
    let api = &world.api;
    let post = async |key: &str, body: Value| keyed(api, Method::POST, "/items/notes", key, body).await;
    post("k", json!({"title": null})).await.refused(400, "FAILED_VALIDATION");
    post("k", json!({"title": "a"})).await.expect(200);
    post("l", json!({"title": "a"})).await.refused(400, "RECORD_NOT_UNIQUE");
    post("l", json!({"title": "b"})).await.expect(200);
    keyed(api, Method::POST, "/items/nope", "m", json!({})).await.refused(403, "FORBIDDEN");
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 2);
    let long = "a".repeat(256);
    for wrong in ["", "\"\"", "\"open", &long, "a\tb", "\u{e4}"] {
        let refused = post(wrong, json!({"title": "c"})).await.refused(400, "INVALID_HEADER");
        assert_eq!(refused.json()["errors"][0]["extensions"]["header"], "Idempotency-Key", "{wrong}");
    }
    let two = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "a")];
    api.raw(Method::POST, "/items/notes", &two, "{}").await.unwrap().refused(400, "INVALID_HEADER");
    let nobody = api.with_token(None);
    keyed(&nobody, Method::POST, "/items/notes", "k", json!({"title": "d"}))
        .await
        .refused(400, "INVALID_HEADER");
    post(&long[1..], json!({"title": "e"})).await.expect(200);
    assert_eq!(count(&world, "notes").await, 3);
}

#[tokio::test]
async fn keys_are_good_for_a_day() {
    let mut world = World::start(shape!()).await;
    notes(&world).await;
    let post = async |n: i32| keyed(&world.api, Method::POST, "/items/notes", "k", json!({"n": n})).await;
    post(1).await.expect(200);
    let aged = async |hours: i32| {
        let age = "UPDATE eventus.idempotency_keys SET created = created - $1 * interval '1 hour'";
        sqlx::query(age).bind(hours).execute(&world.pool().await).await.unwrap();
    };
    aged(23).await;
    post(2).await.refused(422, "UNPROCESSABLE_CONTENT");
    aged(2).await;
    assert_eq!(post(2).await.expect(200).header("idempotency-replayed"), None);
    assert_eq!(post(2).await.expect(200).header("idempotency-replayed"), Some("true"));
    assert_eq!((count(&world, "notes").await, count(&world, "eventus.idempotency_keys").await), (2, 1));
    // A process forgets them when it starts, and then every ten minutes.
    keyed(&world.api, Method::POST, "/items/notes", "l", json!({"n": 3})).await.expect(200);
    let old = "UPDATE eventus.idempotency_keys SET created = created - interval '25 hours' WHERE key = 'k'";
    sqlx::query(old).execute(&world.pool().await).await.unwrap();
    let items = world.process_of("items");
    world.kill9(items);
    world.spawn(items);
    let left = || async { count(&world, "eventus.idempotency_keys").await == 1 };
    testkit::eventually(std::time::Duration::from_secs(20), left).await;
}

/// The admin's token over gRPC.
fn asking<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

#[tokio::test]
async fn the_same_over_grpc() {
    use proto::items::v1::items_service_client::ItemsServiceClient;
    use proto::items::v1::{CreateItemsRequest, DeleteItemsRequest, Keys, delete_items_request};

    let world = World::start(shape!()).await;
    notes(&world).await;
    let address = format!("http://{}", world.grpc);
    let mut items = ItemsServiceClient::connect(address).await.unwrap();
    let create = |key: &str, payload: &'static str| {
        let (collection, idempotency_key) = ("notes".to_owned(), key.to_owned());
        asking(CreateItemsRequest {
            collection,
            payload: payload.into(),
            idempotency_key,
            ..Default::default()
        })
    };
    let first = items.create_items(create("k", r#"{"n":1}"#)).await.unwrap().into_inner();
    assert_eq!((first.version, first.replayed), (1, false));
    let again = items.create_items(create("k", r#"{"n":1}"#)).await.unwrap().into_inner();
    assert_eq!(
        (&again.items, &again.keys, again.version, again.replayed),
        (&first.items, &first.keys, 1, true)
    );
    let other = items.create_items(create("k", r#"{"n":2}"#)).await.unwrap_err();
    assert_eq!(other.code(), tonic::Code::FailedPrecondition);
    let wrong = items.create_items(create("\n", r#"{"n":2}"#)).await.unwrap_err();
    assert_eq!(wrong.code(), tonic::Code::InvalidArgument);
    // The same request by the other door is the same request.
    let http = keyed(&world.api, Method::POST, "/items/notes", "k", Value::Null).await;
    http.refused(422, "UNPROCESSABLE_CONTENT");
    let http = [("content-type", "application/json"), ("idempotency-key", "k")];
    let http = world.api.raw(Method::POST, "/items/notes", &http, r#"{"n":1}"#).await.unwrap().expect(200);
    assert_eq!((http.data()["id"].as_i64(), http.header("idempotency-replayed")), (Some(1), Some("true")));
    let delete = || {
        let target = Some(delete_items_request::Target::Keys(Keys { keys: vec!["1".to_owned()] }));
        let (collection, idempotency_key) = ("notes".to_owned(), "d".to_owned());
        asking(DeleteItemsRequest { collection, target, idempotency_key, ..Default::default() })
    };
    for replayed in [false, true] {
        let gone = items.delete_items(delete()).await.unwrap().into_inner();
        assert_eq!((gone.keys, gone.replayed), (vec!["1".to_owned()], replayed));
    }
}
