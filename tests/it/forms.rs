//! kill -9 in the middle of a write of any form: all of it is there or nothing, with its events, and who asks again under the
//! same key has it done once.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::api::{Answer, Api};
use crate::world::{Shape, World};

const SOON: Duration = Duration::from_secs(60);

/// A form of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Create,
    Upsert,
    ByQuery,
    Each,
    Nested,
    Sort,
    Revert,
    Promote,
    Undo,
    Delete,
    Emit,
}

use Form::{ByQuery, Create, Delete, Each, Emit, Nested, Promote, Revert, Sort, Undo, Upsert};

/// All forms, and how many events each appends.
const FORMS: [(Form, i64); 11] = [
    (Create, 3),
    (Upsert, 3),
    (ByQuery, 5),
    (Each, 5),
    (Nested, 3),
    (Sort, 5),
    (Revert, 1),
    (Promote, 1),
    (Undo, 5),
    (Delete, 5),
    (Emit, 1),
];

/// What the write waits for when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The last of its items.
    Item,
    /// The log: all items are written by then.
    Log,
}

/// A request.
struct Asked {
    method: Method,
    path: String,
    body: Value,
}

async fn world() -> World {
    let world = World::start(Shape::AllInOne).await;
    let fields = json!([
        {"field": "title", "type": "string"}, {"field": "pos", "type": "integer"},
        {"field": "parts", "type": "alias", "meta": {"special": ["o2m"]}},
    ]);
    world.collection("steps", fields).await;
    let parts = json!([{"field": "name", "type": "string"}, {"field": "step", "type": "integer"}]);
    world.collection("parts", parts).await;
    let relation = json!({"collection": "parts", "field": "step", "related_collection": "steps",
        "meta": {"one_field": "parts"}, "schema": {"on_delete": "CASCADE"}});
    world.api.post("/relations", relation).await.expect(200);
    let meta = json!({"meta": {"sort_field": "pos", "versioning": true, "accountability": "all"}});
    world.api.patch("/collections/steps", meta).await.expect(200);
    world
}

/// Five new items, and the request about them.
async fn asked(api: &Api, form: Form) -> (Vec<i64>, Asked) {
    let items: Vec<Value> = (1..=5).map(|pos| json!({"title": "before", "pos": pos})).collect();
    api.delete("/items/steps", Some(json!({"query": {"limit": -1}}))).await.expect(204);
    let made = api.post("/items/steps?fields=id", json!(items)).await.expect(200).data();
    let keys: Vec<i64> = made.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect();
    let (first, last) = (keys[0], keys[4]);
    let query = json!({"filter": {"id": {"_in": keys}}});
    let of = |method: Method, path: &str, body: Value| Asked { method, path: path.to_owned(), body };
    let parts = json!({"create": [{"name": "p"}, {"name": "q"}], "update": [], "delete": []});
    let each: Vec<Value> = keys.iter().map(|key| json!({"id": key, "title": format!("t{key}")})).collect();
    let asked = match form {
        Create => of(Method::POST, "/items/steps", json!([{"title": "a"}, {"title": "b"}, {"title": "c"}])),
        Upsert => of(
            Method::PUT,
            "/items/steps",
            json!([{"id": first, "title": "u"}, {"title": "new"}, {"id": last, "title": "v"}]),
        ),
        ByQuery => of(Method::PATCH, "/items/steps", json!({"query": query, "data": {"title": "q"}})),
        Each => of(Method::PATCH, "/items/steps", json!(each)),
        Nested => of(Method::PATCH, &format!("/items/steps/{last}"), json!({"title": "n", "parts": parts})),
        Sort => of(Method::POST, "/utils/sort/steps", json!({"item": first, "to": last})),
        Revert => {
            api.patch(&format!("/items/steps/{last}"), json!({"title": "later"})).await.expect(200);
            let path =
                format!("/revisions?filter[collection]=steps&filter[item]={last}&sort=id&limit=1&fields=id");
            let revision = api.get(&path).await.expect(200).data()[0]["id"].clone();
            of(Method::POST, &format!("/utils/revert/{revision}"), Value::Null)
        }
        Promote => {
            let version = json!({"key": "draft", "collection": "steps", "item": last.to_string()});
            let version = api.post("/versions", version).await.expect(200).data()["id"].clone();
            let path = format!("/versions/{}", version.as_str().unwrap());
            api.post(&format!("{path}/save"), json!({"title": "saved"})).await.expect(200);
            let main = api.get(&format!("{path}/compare")).await.expect(200).data()["mainHash"].clone();
            of(Method::POST, &format!("{path}/promote"), json!({"mainHash": main}))
        }
        Undo => {
            let change = json!({"query": query, "data": {"title": "to be taken back"}});
            let done = api.patch("/items/steps", change).await.expect(200);
            let request = done.header("x-request-id").unwrap();
            of(Method::POST, "/utils/undo", json!({"request_id": request}))
        }
        Delete => of(Method::DELETE, "/items/steps", json!({"query": query})),
        Emit => of(Method::POST, "/events", json!({"event": "custom.form", "payload": {"a": 1}})),
    };
    (keys, asked)
}

async fn call(api: &Api, Asked { method, path, body }: &Asked, key: &str) -> Result<Answer, String> {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    api.raw(method.clone(), path, &headers, body).await
}

/// All items without their keys, and the number of events of them.
async fn state(pool: &PgPool) -> (String, i64) {
    let items = "SELECT concat_ws(' ', (SELECT string_agg(concat(title, pos), ',' ORDER BY id) FROM steps), \
                 (SELECT string_agg(concat(name, step IS NULL), ',' ORDER BY id) FROM parts))";
    let events = "SELECT count(*) FROM eventus.events WHERE name LIKE 'items.%' OR name LIKE 'custom.%'";
    let items = sqlx::query_scalar(items).fetch_one(pool).await.unwrap();
    (items, sqlx::query_scalar(events).fetch_one(pool).await.unwrap())
}

/// How many sessions of this database are so.
async fn sessions(pool: &PgPool, so: &'static str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND {so}"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Holds up the write, kills the process while it waits, lets go and waits until PostgreSQL is done with it.
async fn killed(world: &mut World, pool: &PgPool, (form, held): (Form, Held), last: i64, asked: &Asked) {
    let mut holder = PgConnection::connect(&world.database.url).await.unwrap();
    let mut hold = holder.begin().await.unwrap();
    let lock = match held {
        Held::Item => format!("SELECT 1 FROM steps WHERE id = {last} FOR UPDATE"),
        Held::Log => "LOCK TABLE eventus.events IN SHARE MODE".to_owned(),
    };
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *hold).await.unwrap();
    let api = world.api.clone();
    let harm = async {
        let waits = || async { sessions(pool, "wait_event_type = 'Lock'").await > 0 };
        testkit::eventually(SOON, waits).await;
        world.kill9(0);
    };
    let (answer, ()) = tokio::join!(call(&api, asked, "the key"), harm);
    assert!(answer.is_err(), "{form:?} {held:?} was answered: {answer:?}");
    hold.rollback().await.unwrap();
    holder.close().await.unwrap();
    let gone = || async {
        sessions(pool, "backend_type = 'client backend' AND application_name <> 'the test'").await == 0
    };
    testkit::eventually(SOON, gone).await;
}

#[tokio::test]
async fn of_a_write_that_is_killed_all_or_nothing_is_there() {
    let mut world = world().await;
    let options: sqlx::postgres::PgConnectOptions = world.database.url.parse().unwrap();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.application_name("the test")).await.unwrap();
    let mut whole = 0;
    for (form, events) in FORMS {
        for held in [Held::Item, Held::Log] {
            // These have no item that somebody could hold.
            if held == Held::Item && matches!(form, Create | Emit) {
                continue;
            }
            sqlx::query("DELETE FROM eventus.idempotency_keys").execute(&pool).await.unwrap();
            let (keys, asked) = asked(&world.api, form).await;
            let before = state(&pool).await;
            killed(&mut world, &pool, (form, held), keys[4], &asked).await;
            let killed = state(&pool).await;
            world.spawn(0);
            world.ready().await;
            let answer = call(&world.api, &asked, "the key").await.unwrap();
            assert!(answer.status < 300, "{form:?} {held:?}: {} {}", answer.status, answer.text);
            let after = state(&pool).await;
            assert_eq!(after.1, before.1 + events, "{form:?} {held:?}: one event for each item");
            assert!(form == Emit || after.0 != before.0, "{form:?} does something");
            let replayed = answer.header("idempotency-replayed") == Some("true");
            let expected = if replayed { &after } else { &before };
            assert_eq!(&killed, expected, "{form:?} {held:?}: all or nothing");
            whole += i32::from(replayed);
        }
    }
    eprintln!("{whole} of them were there whole");
    world.quiet(SOON).await;
}
