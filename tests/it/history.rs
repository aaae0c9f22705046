//! Time: items as they stood, what happened to them, taking it back, and secrets taken out of the log.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::World;

mod undo;

/// People who write posts; a post knows its author, an author that goes is forgotten.
async fn blog(world: &World) {
    let text = |name: &str| json!({"field": name, "type": "string"});
    let posts = json!({"field": "posts", "type": "alias", "meta": {"special": ["o2m"]}});
    world.collection("authors", json!([text("name"), text("pin"), posts])).await;
    world.collection("posts", json!([text("title"), {"field": "author", "type": "integer"}])).await;
    let relation = json!({"collection": "posts", "field": "author", "related_collection": "authors",
        "meta": {"one_field": "posts"}, "schema": {"on_delete": "SET NULL"}});
    world.api.post("/relations", relation).await.expect(200);
}

/// A call with a request id of its own.
async fn named(api: &Api, id: &str, method: Method, path: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-request-id", id)];
    api.raw(method, path, &headers, body.to_string()).await.unwrap()
}

async fn last_position(world: &World) -> i64 {
    let sql = "SELECT coalesce(max(position), 0) FROM eventus.events";
    sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn items_are_read_as_they_stood() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}])).await.expect(200);
    api.post("/items/posts", json!([{"title": "one", "author": 1}, {"title": "two", "author": 2}]))
        .await
        .expect(200);
    let before = last_position(&world).await;
    let clock: String = sqlx::query_scalar(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    )
    .fetch_one(&world.pool().await)
    .await
    .unwrap();
    let queries = [
        "/items/posts?fields=*,author.name&sort=id&meta=*",
        "/items/posts/1?fields=title,author.name",
        "/items/authors?fields=name,posts.title&filter[posts][title]=two",
        "/items/posts?export=csv&sort=id",
        "/items/posts?limit=-1&sort=-id",
        "/items/posts?aggregate[count]=*&groupBy=author",
    ];
    let mut then = Vec::new();
    for query in queries {
        then.push(api.get(query).await.expect(200).text);
    }
    api.patch("/items/authors/1", json!({"name": "Ada L."})).await.expect(200);
    api.patch("/items/posts/2", json!({"title": "zwei", "author": 1})).await.expect(200);
    api.delete("/items/posts/1", None).await.expect(204);
    api.post("/items/posts", json!({"title": "three"})).await.expect(200);
    api.delete("/items/authors/2", None).await.expect(204);
    for (query, then) in queries.into_iter().zip(then) {
        let and = if query.contains('?') { '&' } else { '?' };
        for moment in [before.to_string(), clock.clone()] {
            let found = api.get(&format!("{query}{and}as_of={moment}")).await.expect(200).text;
            assert_eq!(found, then, "{query} as of {moment}");
        }
    }
    let body = json!({"query": {"as_of": before, "fields": ["title"], "sort": "id"}});
    let found =
        api.call(Method::from_bytes(b"SEARCH").unwrap(), "/items/posts", Some(body)).await.expect(200);
    assert_eq!(found.data(), json!([{"title": "one"}, {"title": "two"}]));
    // A key that came later, one that is gone by then, and one that never was.
    api.get(&format!("/items/posts/3?as_of={before}")).await.refused(403, "FORBIDDEN");
    api.get("/items/posts/1").await.refused(403, "FORBIDDEN");
    assert_eq!(api.get("/items/posts?fields=id&sort=id").await.data(), json!([{"id": 2}, {"id": 3}]));
}

#[tokio::test]
async fn moments_that_cannot_be_answered_are_refused() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/posts", json!({"title": "one"})).await.expect(200);
    let last = last_position(&world).await;
    let bad = [
        "as_of=x",
        "as_of=-1",
        "as_of=2026-13-01",
        "as_of=99999999999999999999",
        "as_of[a]=1",
        "as_of=1999-12-31",
        "as_of=2999-12-31T00:00:00Z",
        "as_of=1&cursor=",
        "deep[author][_as_of]=1",
        "as_of=1&version=draft",
    ];
    for query in bad {
        api.get(&format!("/items/posts?{query}")).await.refused(400, "INVALID_QUERY");
    }
    api.get(&format!("/items/posts?as_of={}", last + 1)).await.refused(400, "INVALID_QUERY");
    let now = format!("as_of={last}");
    assert_eq!(api.get(&format!("/items/posts?fields=title&{now}")).await.data(), json!([{"title": "one"}]));
    let explained = api.get(&format!("/items/posts?explain&{now}")).await.expect(200);
    assert!(explained.text.contains("position > $1"), "{}", explained.text);
    // What the present type of a field can't take is said; what is not asked for does not matter.
    api.patch("/items/posts/1", json!({"title": "2"})).await.expect(200);
    api.patch("/fields/posts/title", json!({"type": "integer"})).await.expect(200);
    for path in ["/items/posts", "/items/posts/1"] {
        api.get(&format!("{path}?fields=title&{now}")).await.refused(400, "INVALID_QUERY");
        assert_eq!(api.get(path).await.expect(200).text.matches("\"title\":2").count(), 1);
    }
    let last = last_position(&world).await;
    // Writes are of now, and reports know no moment.
    api.post(&format!("/items/posts?{now}"), json!({"title": 3})).await.refused(400, "INVALID_QUERY");
    api.patch(&format!("/items/posts/1?{now}"), json!({"title": 3})).await.refused(400, "INVALID_QUERY");
    let matching = json!({"query": {"as_of": last}, "data": {"title": 3}});
    api.patch("/items/posts", matching).await.refused(400, "INVALID_QUERY");
    let report = format!("/reports/posts/tree?parent=author&{now}");
    api.get(&report).await.refused(400, "INVALID_QUERY");
    assert_eq!(last_position(&world).await, last);
    // Without a right today there is none yesterday.
    world.user("reader@example.com", "token-of-a-reader").await;
    let other = api.with_token(Some("token-of-a-reader"));
    for path in
        [format!("/items/posts?{now}"), format!("/items/posts/1?{now}"), "/items/posts/1/history".to_owned()]
    {
        other.get(&path).await.refused(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn the_history_of_an_item_is_told() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/posts", json!({"title": "one"})).await.expect(200);
    named(api, "second", Method::PATCH, "/items/posts/1", json!({"title": "two"})).await.expect(200);
    let me = api.get("/users/me?fields=id").await.data()["id"].clone();
    let told = api.get("/items/posts/1/history").await.expect(200).data();
    assert_eq!(told.as_array().unwrap().len(), 2);
    let newest = &told[0];
    let expected = [
        ("action", json!("update")),
        ("version", json!(2)),
        ("fields", json!(["title"])),
        ("user", me),
        ("payload", json!({"title": "two"})),
        ("previous", json!({"title": "one"})),
        ("request_id", json!("second")),
    ];
    for (name, value) in expected {
        assert_eq!(newest[name], value, "{name} of {newest}");
    }
    assert_eq!((&told[1]["action"], &told[1]["version"]), (&json!("create"), &json!(1)));
    assert_eq!(told[1]["payload"], json!({"id": 1, "title": "one", "author": null}));
    assert!(newest["time"].as_str().unwrap().ends_with('Z'));
    api.delete("/items/posts/1", None).await.expect(204);
    let page = api.get("/items/posts/1/history?limit=1&offset=1").await.expect(200).data();
    assert_eq!(page, json!([newest]));
    let gone = api.get("/items/posts/1/history?limit=1").await.expect(200).data();
    assert_eq!(gone[0]["previous"], json!({"id": 1, "title": "two", "author": null}));
    for path in ["/items/posts/2/history", "/items/posts/x/history", "/items/nowhere/1/history"] {
        api.get(path).await.refused(403, "FORBIDDEN");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "offset=-1"] {
        api.get(&format!("/items/posts/1/history?{query}")).await.refused(400, "INVALID_QUERY");
    }
}

#[tokio::test]
async fn a_field_that_becomes_a_secret_leaves_the_log() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    blog(&world).await;
    api.post("/items/authors", json!({"name": "Ada", "pin": "hush-1"})).await.expect(200);
    api.patch("/items/authors/1", json!({"pin": "hush-2"})).await.expect(200);
    api.patch("/items/authors/1", json!({"pin": null})).await.expect(200);
    let last = last_position(&world).await;
    let pool = world.pool().await;
    let held = async || -> i64 {
        let sql = "SELECT count(*) FROM eventus.events WHERE collection = 'authors' AND concat(payload, previous) ~ 'hush'";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(held().await, 3);
    let secret = json!({"meta": {"special": ["conceal"]}});
    api.patch("/fields/authors/pin", secret).await.expect(200);
    assert_eq!(held().await, 0);
    let told = api.get("/items/authors/1/history").await.expect(200).data();
    assert_eq!(told[1]["payload"], json!({"pin": "**********"}));
    assert_eq!(
        (&told[0]["payload"], &told[0]["previous"]),
        (&json!({"pin": null}), &json!({"pin": "**********"}))
    );
    assert_eq!(told[2]["payload"]["name"], "Ada");
    let then = api.get(&format!("/items/authors/1?fields=name,pin&as_of={}", last - 1)).await.expect(200);
    assert_eq!(then.data(), json!({"name": "Ada", "pin": "**********"}));
    // What somebody wrote who did not know yet is found by the job.
    let late = "INSERT INTO eventus.events (id, name, collection, key, version, payload, previous, fields) VALUES \
                (gen_random_uuid(), 'items.update', 'authors', '1', 9, '{\"pin\": \"hush-3\"}', '{\"pin\": null}', '{pin}')";
    sqlx::query(late).execute(&pool).await.unwrap();
    assert_eq!(held().await, 1);
    testkit::eventually(Duration::from_secs(30), || async {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM eventus.redactions").fetch_one(&pool).await.unwrap();
        held().await == 0 && left == 0
    })
    .await;
}
